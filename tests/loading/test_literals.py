"""Values as users write them: every literal of three languages is read, and no other is taken for text."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.errors import USAGE, InceptionLabError
from inception_lab.loading.literals import CONSTANTS, read_literal, read_value

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=4), parts, max_size=3),
    max_leaves=6,
)
HASHABLE = SCALARS | st.binary(max_size=4) | st.complex_numbers(allow_nan=False, allow_infinity=False)
PYTHON = st.recursive(
    HASHABLE,
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, parts, max_size=3)
    ),
    max_leaves=6,
) | st.sets(HASHABLE, max_size=3)
WORDS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_./-]{0,12}", fullmatch=True)
SWITCHES = ("on", "off", "yes", "no", "nil", "undefined")


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_every_value_of_json_is_read(value, is_ascii, indent):
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    assert repr(read_value(text, "k")) == repr(value)


@given(PYTHON)
def test_every_literal_of_python_is_read(value):
    read = read_value(repr(value), "k")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    ["+99", "1_000", "0xDEAD_beef", "0o755", "0b1101", "-2e-2", "9_224.5", "+inf", "-nan", "true", "'''a'''",
     "[1, [2, 'x'], { y = [true, {}] }]", '{ a.b = 1, "c d" = false, e = inf }', "[[1,\n2],\n]", '"\\u00e9"'],
)  # fmt: skip
def test_every_value_of_toml_but_dates_is_read(text):
    assert repr(read_value(text, "k")) == repr(tomllib.loads(f"k = {text}")["k"])


@given(WORDS.filter(lambda word: word.lower() not in (*CONSTANTS, *SWITCHES)))
def test_a_word_is_text(word):
    assert read_value(f" {word} ", "k") == word


@pytest.mark.parametrize("word", CONSTANTS)
def test_a_constant_is_one_in_any_case(word):
    for spelling in (word, word.upper(), word.title()):
        assert repr(read_value(spelling, "k")) == repr(CONSTANTS[word])


@pytest.mark.parametrize(
    "text",
    [*SWITCHES, "OFF", "010", "1_000_", "1__0", "1.5.2", "0x", "0b12", "1e", "--1", "-null", "+True", "1,000",
     "3,224,224", "[1,", "[mean, max]", "[a,b]", "{a: 1}", "{a = 1979-05-27}", "{a = null}", "'open", '"a" b',
     "(1", "{[1]: 2}", "[len('x')]", "1" * 5000, "0x" + "f" * 5000, "-" * 20000 + "1", "[" * 20000],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_may_be_a_value_or_text_is_refused_in_one_short_line(text, recwarn):
    with pytest.raises(InceptionLabError) as refusal:
        read_value(text, "se")
    assert refusal.value.exit_code == USAGE
    assert len(str(refusal.value)) < 900
    assert str(refusal.value).startswith("se is ")
    assert not recwarn


@given(st.text(max_size=12) | st.text("0123456789.,_+-eExXab[]{}'\"= ", max_size=8))
def test_anything_is_a_literal_or_text_as_it_is_or_refused(text):
    try:
        value = read_value(text, "k")
    except InceptionLabError:
        return
    assert value == text.strip() or repr(value) == repr(read_literal(text.strip()))
