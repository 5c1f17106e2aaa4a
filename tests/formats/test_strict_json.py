"""Strict JSON: what is refused, and that every refusal names the path of the offender."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.formats.errors import JsonFault, TooManyValues
from gradhorizon_service.formats.json_path import json_path
from gradhorizon_service.formats.lifting import LIFT_FROM, MAX_VALUES, as_numbers
from gradhorizon_service.formats.strict_json import read_json

REFUSED = {
    "NaN in a matrix": (
        b'{"network":{"weights":{"values":[[1,NaN],[2,3]]}}}',
        "$.network.weights.values[0][1]",
        "NaN",
    ),
    "minus infinity": (b'{"a":[[1,2],[3,-Infinity]]}', "$.a[1][1]", "Infinity"),
    "a bare infinity": (b"Infinity", "$", "Infinity"),
    "1e999": (b'{"a":[0,1e999]}', "$.a[1]", "too large for float64"),
    "an integer of 5000 digits": (b'{"depth":' + b"9" * 5000 + b"}", "$.depth", "too large for float64"),
    "a lone surrogate": (b'{"a":{"b":"\\ud800"}}', "$.a.b", "lone surrogate"),
    "a lone low surrogate": (b'["\\udc00"]', "$[0]", "lone surrogate"),
    "a key that stands twice": (b'{"a":1,"b":{"c":1,"c":2}}', "$.b.c", "stands twice"),
    "the same key written twice": (b'{"a":1,"\\u0061":2}', "$.a", "stands twice"),
    "a double key beside a blank": (b'{"a" :1,"b":1,"b":2}', "$.b", "stands twice"),
    "a double key beside a backslash": (b'{"a\\\\":1,"b":1,"b":2}', "$.b", "stands twice"),
    "bad UTF-8": (b'{"a":["x","\xff"]}', "$.a[1]", "UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "$", "UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "$", "BOM"),
    "nothing": (b"", "$", "empty"),
    "blanks": (b" \n", "$", "empty"),
    "two values": (b"{} {}", "$", "more text"),
    "a trailing comma": (b'{"a":[1,2,]}', "$.a", "trailing comma"),
    "a leading zero": (b'{"a":[1,01]}', "$.a[1]", "leading zero"),
    "single quotes": (b"{'a':1}", "$", "line 1, column 2"),
    "a missing colon": (b'{"a" 1}', "$.a", "line 1, column 6"),
    "a cut text": (b'{"a":{"b":[1,2', "$.a.b[1]", "cut off"),
    "a comment": (b'{"a":1, // one\n"b":2}', "$.a", "line 1"),
    "100 levels": (b"[" * 100 + b"]" * 100, "$" + "[0]" * 16 + "...", "64 levels"),
    "100000 levels": (b"[" * 100_000, "$" + "[0]" * 16 + "...", "64 levels"),
}


@pytest.mark.parametrize(("text", "path", "says"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_the_path_and_the_reason(text: bytes, path: str, says: str) -> None:
    with pytest.raises(JsonFault) as refusal:
        read_json(text)
    assert refusal.value.path.startswith(path)
    assert says in refusal.value.message


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])


@given(JSON, SEPARATORS, st.booleans())
def test_valid_json_is_read_as_the_standard_library_reads_it(
    tree: Any, separators: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(tree, separators=separators, ensure_ascii=ascii_only)
    try:
        expected = json.loads(text)
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate cannot be written in UTF-8 at all
        return
    if "\\ud" in text:  # hypothesis may make surrogates, alone or in pairs; the table above covers them
        return
    assert read_json(data) == expected


TREE_WITH_NAN = st.recursive(
    st.integers() | st.text(alphabet='a,:[]{}"\\é😀', max_size=6),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4)
        | st.dictionaries(st.text(alphabet='ab.:,[]{}"\\é😀', max_size=4), inner, min_size=1, max_size=4)
    ),
    max_leaves=12,
)


@given(TREE_WITH_NAN, SEPARATORS, st.booleans(), st.data())
def test_a_nan_anywhere_is_named_by_its_path(
    tree: Any, separators: tuple[str, str], ascii_only: bool, data: st.DataObject
) -> None:
    leaves = list(_leaves(tree, ()))
    at = data.draw(st.sampled_from(leaves))
    text = json.dumps(_replaced(tree, at, float("nan")), separators=separators, ensure_ascii=ascii_only)
    with pytest.raises(JsonFault) as refusal:
        read_json(text.encode())
    assert refusal.value.path == json_path(at)


def _leaves(tree: Any, at: tuple[Any, ...]) -> Any:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, (*at, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _leaves(value, (*at, index))
    else:
        yield at


def _replaced(tree: Any, at: tuple[Any, ...], leaf: Any) -> Any:
    if not at:
        return leaf
    if isinstance(tree, dict):
        return {key: _replaced(value, at[1:], leaf) if key == at[0] else value for key, value in tree.items()}
    return [_replaced(value, at[1:], leaf) if index == at[0] else value for index, value in enumerate(tree)]


def test_a_large_matrix_becomes_an_array_with_the_same_numbers() -> None:
    matrix = np.random.default_rng(0).standard_normal((12, 17))
    tree = read_json(json.dumps({"values": matrix.tolist()}).encode())
    np.testing.assert_array_equal(tree["values"], matrix)


def test_integers_stay_integers_exactly() -> None:
    labels = [2**53 + 1 + i for i in range(LIFT_FROM)]
    array = read_json(json.dumps(labels).encode())
    assert array.dtype == np.int64
    assert array.tolist() == labels


def test_short_lists_stay_lists() -> None:
    assert read_json(b'{"lags":[0,1,10]}') == {"lags": [0, 1, 10]}


NO_NUMBERS = {
    "a boolean": [*range(LIFT_FROM), True],
    "a string": [*range(LIFT_FROM), "1"],
    "a null": [*range(LIFT_FROM), None],
    "ragged rows": [list(range(LIFT_FROM)), list(range(LIFT_FROM - 1))],
    "a number beside a row": [list(range(LIFT_FROM)), 1.0],
    "an integer beyond int64": [*range(LIFT_FROM), 2**64 - 1],
    "five axes": [[[[[1.0] * LIFT_FROM]]]],
    "empty rows": [[]] * LIFT_FROM,
}


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_rectangle_of_numbers_is_not_lifted(value: list[Any]) -> None:
    assert as_numbers(value) is None


def test_rows_of_a_ragged_matrix_are_lifted_one_by_one() -> None:
    """So that a large matrix with one short row costs as little to validate as a good one."""
    tree = read_json(json.dumps({"values": NO_NUMBERS["ragged rows"] + [[1.0] * 70]}).encode())
    assert [type(row) for row in tree["values"]] == [np.ndarray, list, np.ndarray]


@pytest.mark.parametrize("item", ["{}", "true", '"x"', '["x"]'])
def test_the_values_outside_arrays_are_bounded(item: str) -> None:
    text = f'{{"layers":[{",".join([item] * (MAX_VALUES + 1))}]}}'
    with pytest.raises(TooManyValues) as refusal:
        read_json(text.encode())
    assert refusal.value.path.startswith("$.layers")
