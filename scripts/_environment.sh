# Sourced by the scripts beside it: one virtual environment, .venv in the checkout, filled from the lock files.
#
#   environment LOCK...      makes .venv, or takes what is there, and installs requirements/LOCK.lock and this project in it
#
# Afterwards $python is the environment's interpreter and the working directory is the checkout. Needs Python 3.11 or newer
# with venv and pip, and nothing else. PYTHON=/path/to/python3.12 chooses another interpreter than the first that fits.

CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
root=$PWD
python=$root/.venv/bin/python
notes=$root/.venv/gradhorizon # what was installed from what: its presence also says that these scripts made the folder

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

supported() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() { # prints the interpreter to build with
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11 or newer: name another one, or unset PYTHON."
        printf '%s\n' "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if supported "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "Gradhorizon needs Python 3.11 or newer; python3 here is: $(python3 --version 2>/dev/null || echo none)." \
        "Install one (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.12)" \
        "or name one that is installed: PYTHON=/path/to/python3.12 $0"
}

make_environment() {
    local base version
    base=$(find_python)
    version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$base" -c 'import venv, ensurepip' 2>/dev/null || fail \
        "Python $version at $base comes without venv or ensurepip, which make the environment." \
        "Install them (Debian and Ubuntu: apt install python3-venv, or python$version-venv) and run this again."
    echo "Making .venv with Python $version (the first time takes about a minute)"
    rm -rf "$root/.venv"
    mkdir -p "$notes"
    "$base" -m venv "$root/.venv" || fail "$base could not make a virtual environment in $root/.venv: see above."
    pwd -P >"$notes/root"
}

usable() { # made by us, here, still running, and nothing installed from a lock that has changed since
    local note
    [ "$(cat "$notes/root" 2>/dev/null)" = "$(pwd -P)" ] || return 1
    supported "$python" || return 1
    for note in "$notes"/*.lock; do
        [ ! -e "$note" ] || cmp -s "$note" "requirements/${note##*/}" || return 1
    done
}

pip_install() { # errors only
    "$python" -m pip install -qq --disable-pip-version-check "$@"
}

install_lock() {
    cmp -s "requirements/$1.lock" "$notes/$1.lock" && return
    echo "Installing requirements/$1.lock"
    # Wheels only: a source distribution would run code that no hash covers, and need compilers.
    pip_install --require-hashes --only-binary :all: --requirement "requirements/$1.lock" || fail \
        "Installing requirements/$1.lock failed: see above. Without a network, or behind a proxy or mirror, pip's own" \
        "settings (PIP_INDEX_URL, PIP_PROXY, PIP_CERT) apply. Running this again goes on where it stopped."
    cp "requirements/$1.lock" "$notes/$1.lock"
}

install_project() { # editable: the code is read from the checkout; only what pyproject.toml says is copied
    cmp -s pyproject.toml "$notes/pyproject.toml" && return
    pip_install --no-deps --no-build-isolation --no-index --editable .
    cp pyproject.toml "$notes/pyproject.toml"
}

install_peers() { # the other frameworks, by hash, and PyTorch as pyproject.toml pins it: requirements/peers.in says why
    install_lock peers
    cmp -s pyproject.toml "$notes/peers.toml" && return
    echo "Installing PyTorch"
    pip_install --no-build-isolation --editable ".[peers]"
    cp pyproject.toml "$notes/peers.toml"
}

environment() {
    local lock
    if [ -e .venv ] && [ ! -d "$notes" ]; then
        fail "$root/.venv was not made by these scripts: move it away, they keep an environment of their own there."
    fi
    usable || make_environment
    for lock in "$@"; do install_lock "$lock"; done
    install_project
}
