"""Text that names inputs and keywords: read as written, or refused in one line."""

import ast
from keyword import iskeyword

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inception_lab.errors import USAGE, InceptionLabError
from inception_lab.loading.literals import CONSTANTS
from inception_lab.loading.options import (
    DTYPES,
    InputSize,
    ModelRequest,
    argument_text,
    forward_arguments,
    model_request,
    parse_argument,
    parse_input_size,
    parse_keyword,
    unique_keywords,
)

SIZES = st.lists(st.integers(1, 10**6), min_size=1, max_size=4)
ASCII_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=16)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=3), parts, max_size=3),
    max_leaves=5,
)


@given(SIZES, st.sampled_from(DTYPES), NAMES)
def test_sizes_are_read_as_written(sizes, dtype, name):
    text = "x".join(map(str, sizes))
    assert parse_input_size(text) == InputSize(tuple(sizes))
    assert parse_input_size(f"{text}:{dtype}".upper()) == InputSize(tuple(sizes), dtype)
    assert parse_input_size(f"{name}={text}:{dtype}") == InputSize(tuple(sizes), dtype, name)


@given(st.text(max_size=12) | st.from_regex(r"[0-9x:a-z=-]{0,20}", fullmatch=True))
def test_any_size_is_read_or_refused_in_one_line(text):
    try:
        sizes, dtype, keyword = parse_input_size(text)
    except InceptionLabError as error:
        assert error.exit_code == USAGE  # noqa: PT017
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert min(sizes) > 0
        assert dtype in ("", *DTYPES)
        assert not keyword or keyword.isidentifier()


@pytest.mark.parametrize(
    "text", ["", "x", "3x", "3x0", "-3x4", "3 x 4", "3x٣", "9" * 16, "3:", "3:float31", "=3", "1a=3", "a=b=3"]
)
def test_sizes_that_are_refused(text):
    with pytest.raises(InceptionLabError):
        parse_input_size(text)


@given(NAMES, LITERALS)
def test_a_python_literal_is_read_as_its_value(name, value):
    assert parse_keyword(f"{name}={value!r}") == (name, ast.literal_eval(repr(value)))


@pytest.mark.parametrize("value", ["input", "1if", "a=b", "", "a-b", "3x3", "#fff", "v1.5", "1979-05-27"])
def test_any_other_value_is_a_string(value, recwarn):
    assert parse_keyword(f" width = {value} ") == ("width", value)
    assert not recwarn


@pytest.mark.parametrize("word", ["true", "FALSE", "none", "Null", "NaN", "Infinity", "inf"])
def test_constants_of_other_languages_are_understood_everywhere(word):
    value = CONSTANTS[word.lower()]
    for read in (
        lambda text: parse_keyword(f"se={text}")[1],
        lambda text: parse_argument(f"se={text}")[1],
        lambda text: model_request(f"nin(se={text})").kwargs["se"],
    ):
        assert repr(read(word)) == repr(value)
        assert repr(read(f"[1, {word}]")) == repr([1, value])
        assert read(f"'{word}'") == word


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
    assert request.name == "googlenet"
    with pytest.raises(AttributeError):
        request.batch_size = 2


KEYWORDS = NAMES.filter(lambda name: not iskeyword(name))
WORDS = KEYWORDS.filter(lambda word: not word.startswith("_"))
ALL_LITERALS = LITERALS | st.floats(allow_nan=False, allow_infinity=False) | st.binary(max_size=4)


@given(st.dictionaries(KEYWORDS, ALL_LITERALS, max_size=4), st.sampled_from(["nin", "my.nets:Net"]))
def test_keywords_of_a_model_are_read_as_written(kwargs, spec):
    request = model_request(f"{spec}({', '.join(f'{name}={value!r}' for name, value in kwargs.items())})")
    assert (request.spec, request.kwargs) == (spec, kwargs)
    assert list(map(type, request.kwargs.values())) == list(map(type, kwargs.values()))
    if "…" not in request.name:
        assert model_request(request.name) == request


@given(st.text(max_size=20) | st.text("n:(a=1,'[]{}*.) #-\\", max_size=16).map("net(a".__add__))
def test_any_model_is_read_or_refused_in_one_line(text):
    try:
        request = model_request(text)
    except InceptionLabError as error:
        assert error.exit_code == USAGE  # noqa: PT017
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert model_request(request.name) == request
        assert request.spec in text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nin", "nin"),
        ("nin()", "nin"),
        (" nin ( num_classes = 1_0 ,) ", "nin(num_classes=10)"),
        ("n:N(c=None,b=-0.5,a=false)", "n:N(a=False, b=-0.5, c=None)"),
        ("n:N(a=input)", "n:N(a='input')"),
        ('n:N(a="x:(y)")', "n:N(a='x:(y)')"),
        ("n:N(a=[1,(2,)],\nb={1:'c'})", "n:N(a=[1, (2,)], b={1: 'c'})"),
        ("n:N(a=1e999)", "n:N(a=inf)"),
        ("old (1)/n.py:N(a='.py:(')", "old (1)/n.py:N(a='.py:(')"),
    ],
)
def test_a_model_is_named_with_the_keywords_in_its_text(text, name):
    request = model_request(text, {}, (InputSize((3,)),), 2)
    assert request.name == name
    assert (request.input_sizes, request.batch_size) == ((InputSize((3,)),), 2)
    assert model_request(name).kwargs == request.kwargs
    assert model_request(request.spec, request.kwargs).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nin(10)", "'nin(10)' has a value without a keyword; write it like nin(num_classes=10)"),
        ("nin(**{'a': 1})", "has a value without a keyword; write it like nin(num_classes=10)"),
        ("nin(*[1])", "has a value without a keyword"),
        ("nin(a=1", "'nin(a=1' cannot be read; write it like nin(num_classes=10)"),
        ("nin(a)=1", "cannot be read"),
        ("nin(a=1)(b=2)", "cannot be read"),
        ("nin(a=1).b", "cannot be read"),
        ("nin(a=1), f(b=2)", "cannot be read"),
        ("nin(a==1)", "value without a keyword"),
        ("(a=1)", "cannot be read; write it like googlenet(num_classes=10)"),
        ("nin(a=3x3)", "cannot be read"),
        ("nin(a=torch.half)", "nin: the value of a is not a literal; write a number, text in quotes"),
        ("nin(a=len('x'))", "the value of a is not a literal"),
        ("nin(a=__import__('os').system('true'))", "the value of a is not a literal"),
        ("nin(a=[b])", "the value of a is not a literal"),
        ("nin(a=f'{b}')", "the value of a is not a literal"),
        ("nin(a={[1]: 2})", "the value of a is not a literal"),
        ("nin(a=lambda: 1)", "the value of a is not a literal"),
        ("nin(a=" + "-" * 20000 + "1)", "cannot be read"),
        ("nin(a=" + "[" * 20000 + "]" * 20000 + ")", "cannot be read"),
        ("nin(a=0x" + "f" * 5000 + ")", "the value of a is not a literal"),
        ("nin(a='\0')", "cannot be read"),
        ("nin(a='\ud800')", "cannot be read"),
        ("nin(a=1)#b", "cannot be read"),
        ("nin(a=1) # (b=2)", "cannot be read"),
        ("nin(a=off)", "a is 'off', which may be a value or text; write false, or for text"),
        ("nin(a=1, a=2)", "keyword 'a' is given twice; give it once"),
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_keywords_of_a_model_that_are_refused(text, message, recwarn):
    with pytest.raises(InceptionLabError) as raised:
        model_request(text)
    assert message in str(raised.value)
    assert not recwarn


def test_a_keyword_in_the_text_and_beside_it_is_given_twice():
    with pytest.raises(InceptionLabError, match="keyword 'a' is given twice"):
        model_request("nin(a=1)", {"a": 1})


def outcome(read):
    """What is read, or the refusal of it."""
    try:
        return read()
    except InceptionLabError as error:
        return str(error)


@given(WORDS)
@example("no")  # may be a value, and is refused by both
@example("wide")
def test_a_single_word_is_text_as_after_an_option(word):
    in_text = outcome(lambda: model_request(f"nin(a={word})").kwargs)
    assert in_text == outcome(lambda: dict([parse_keyword(f"a={word}")]))


@given(NAMES, LITERALS)
def test_an_argument_is_read_as_its_value_with_a_name_or_without(name, value):
    assert parse_argument(f"{name}={value!r}") == (name, value)
    assert parse_argument(repr(value)) == ("", value)


@given(st.just("") | NAMES, LITERALS | st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_an_argument_is_read_back(name, value):
    assert parse_argument(argument_text(name, value)) == (name, value)


@pytest.mark.parametrize("value", [object(), [object()], SIZES])
def test_what_is_not_a_literal_has_no_text(value):
    assert argument_text("x", value) is None


@given(ASCII_TEXT | st.builds("{}={}".format, NAMES, ASCII_TEXT))
def test_any_argument_is_read_or_refused_in_one_line(text):
    try:
        name, _ = parse_argument(text)
    except InceptionLabError as error:
        assert error.exit_code == USAGE  # noqa: PT017
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert not name or name.isidentifier()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean", "not an argument"),  # without a name a word may be a name without its value
        ("out_indices=[1,3", "cannot be read"),
        ("scale=(1,3", "cannot be read"),
        ("mode='mean", "cannot be read"),
        ("flag=off", "write false"),
        ("mask=nil", "write null"),
        ("1a=3", "not an argument"),
        ("", "not an argument"),
        ("[1,", "not an argument"),
    ],
)
def test_arguments_that_are_refused(text, message):
    with pytest.raises(InceptionLabError, match=message) as refused:
        parse_argument(text)
    assert refused.value.exit_code == USAGE


def test_an_argument_that_is_given_twice():
    with pytest.raises(InceptionLabError, match="'a' is given twice"):
        forward_arguments([("a", 1), ("", 2), ("a", 3)])
