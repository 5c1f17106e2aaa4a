# The service as an unprivileged user on a read-only file system.
#
#   docker build -t gradhorizon .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --tmpfs /tmp --cap-drop all \
#       -v gradhorizon:/var/lib/gradhorizon gradhorizon
#
# Settings are environment variables that start with GRADHORIZON_.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python3 -m venv /opt/gradhorizon
# The lock alone first: this layer stays while only the code changes.
COPY requirements/service.lock requirements/
RUN /opt/gradhorizon/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary :all: --requirement requirements/service.lock
COPY pyproject.toml README.md LICENSE ./
COPY clients/python clients/python
COPY service service
RUN /opt/gradhorizon/bin/pip install --no-cache-dir --disable-pip-version-check \
    --no-deps --no-build-isolation --no-index .

FROM python:3.11-slim-bookworm
RUN useradd -K UID_MAX=65532 -K GID_MAX=65532 --uid 65532 --user-group --no-create-home --shell /usr/sbin/nologin gradhorizon
RUN install -d -o gradhorizon -g gradhorizon -m 0700 /var/lib/gradhorizon
COPY --from=build /opt/gradhorizon /opt/gradhorizon
ENV PATH=/opt/gradhorizon/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GRADHORIZON_ARTIFACTS_FOLDER=/var/lib/gradhorizon/artifacts
# What was uploaded outlives the container; a volume of its own, because nothing else can be written to but /tmp.
VOLUME /var/lib/gradhorizon
USER 65532:65532
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
# Ready, not merely alive: it says so once the worker processes are warm.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["python", "-m", "gradhorizon_service", "--host", "0.0.0.0", "--port", "8000"]
