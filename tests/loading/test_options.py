"""Text that names inputs and keywords: read as written, or refused in one line."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.errors import USAGE, InceptionLabError
from inception_lab.loading.options import (
    DTYPES,
    InputSize,
    ModelRequest,
    parse_input_size,
    parse_keyword,
    unique_keywords,
)

SIZES = st.lists(st.integers(1, 10**6), min_size=1, max_size=4)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=3), parts, max_size=3),
    max_leaves=5,
)


@given(SIZES, st.sampled_from(DTYPES))
def test_sizes_are_read_as_written(sizes, dtype):
    text = "x".join(map(str, sizes))
    assert parse_input_size(text) == InputSize(tuple(sizes))
    assert parse_input_size(f"{text}:{dtype}".upper()) == (tuple(sizes), dtype)


@given(st.text(max_size=12) | st.from_regex(r"[0-9x:a-z-]{0,20}", fullmatch=True))
def test_any_size_is_read_or_refused_in_one_line(text):
    try:
        sizes, dtype = parse_input_size(text)
    except InceptionLabError as error:
        assert error.exit_code == USAGE  # noqa: PT017
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert min(sizes) > 0
        assert dtype in ("", *DTYPES)


@pytest.mark.parametrize("text", ["", "x", "3x", "3x0", "-3x4", "3 x 4", "3x٣", "9" * 16, "3:", "3:float31"])
def test_sizes_that_are_refused(text):
    with pytest.raises(InceptionLabError):
        parse_input_size(text)


@given(NAMES, LITERALS)
def test_a_python_literal_is_read_as_its_value(name, value):
    assert parse_keyword(f"{name}={value!r}") == (name, ast.literal_eval(repr(value)))


@pytest.mark.parametrize("value", ["input", "{[1]:2}", "{{}}", "-" * 20000 + "1", "1if", "a=b", ""])
def test_any_other_value_is_a_string(value, recwarn):
    assert parse_keyword(f" width = {value} ") == ("width", value)
    assert not recwarn


@given(st.text(max_size=12))
def test_any_keyword_is_read_or_refused_in_one_line(text):
    try:
        name, _ = parse_keyword(text)
    except InceptionLabError as error:
        name = "refused"
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    assert name.isidentifier()


@given(st.lists(st.tuples(NAMES, st.integers())))
def test_keywords_are_unique(pairs):
    if len({name for name, _ in pairs}) == len(pairs):
        assert unique_keywords(pairs) == dict(pairs)
    else:
        with pytest.raises(InceptionLabError, match="given twice"):
            unique_keywords(pairs)


def test_a_request_is_plain_and_frozen():
    request = ModelRequest("googlenet")
    assert (dict(request.kwargs), request.input_sizes, request.batch_size) == ({}, (), 1)
    with pytest.raises(AttributeError):
        request.batch_size = 2
