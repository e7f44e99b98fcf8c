"""Lines of keys in TOML, against the smallest prefix of the file that has the key."""

import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inception_lab.budgets.toml_source import Place, key_lines, read_toml, shortened
from inception_lab.errors import InceptionLabError

STATEMENTS = [
    "[a]", "[a.b]", "[ a . c ]  # a comment", "['a'.\"d\"]", "[[e]]", "[e.f]", "  [g]", "[h]",
    "x = 1", "  y = 2", "x.y = 3", "z = { u = 1, v = { w = 2 } }", "'q r' = 'x = 5'", '"" = 0',
    "m = [\n  1,\n  2, # ]\n]", "n = [[1], [\n2]]", 's = """\n[a]\nx = 1\n"""', "t = '''\n= [\n'''",
    'r = """a""""', 'o = "[b]"', "# [a]", "#x = 1", "", "   ", "p = [{ k = 1 }]",
    'aa = """\\\n  b"""', "ab = [1, # ]\n2]", 'ac = """\n\\"""\n"""', 'ad = ["]",\n"#]"\n]  # [',
    "ae = [\n'''\n]''', '''\n]''']", "af = 1979-05-27 07:32:00", "ag = '''\n\\",
]  # fmt: skip


def paths_of(data, parent=()):
    """Paths of all keys; of an array's tables those of the last."""
    if isinstance(data, list) and data:
        yield from paths_of(data[-1], parent)
    elif isinstance(data, dict):
        for key, value in data.items():
            yield (*parent, key)
            yield from paths_of(value, (*parent, key))


def lines_by_prefix(text):
    """The line behind the last prefix that is TOML without the key."""
    rows, lines, boundary = text.replace("\r\n", "\n").split("\n"), {}, 0
    for end in range(1, len(rows) + 1):
        try:
            data = tomllib.loads("\n".join(rows[:end]))
        except tomllib.TOMLDecodeError:
            continue
        for path in paths_of(data):
            lines.setdefault(path, boundary + 1)
        boundary = end
    return lines


@given(st.lists(st.sampled_from(STATEMENTS), max_size=12), st.sampled_from(["\n", "\r\n"]))
@example(["[a]", "m = [\n  1,\n  2, # ]\n]", "x = 1"], "\n")
@example(["[[e]]", "x = 1", "[[e]]", "y = 2"], "\r\n")
def test_each_key_has_the_line_of_its_statement(statements, line_break):
    text = "\n".join(statements).replace("\n", line_break)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert key_lines(text) == lines_by_prefix(text)


def fault(tmp_path, content):
    file = tmp_path / "budgets.toml"
    file.write_bytes(content)
    with pytest.raises(InceptionLabError) as failure:
        read_toml(file)
    assert failure.value.exit_code == 2
    return str(failure.value).removeprefix(str(file))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nb = = 2\n", ":2: is not TOML: Invalid value"),
        (b"a = 1\na = 2\n", ":2: is not TOML: Cannot overwrite a value"),
        (b"[a]\n[b]\n\n[a]\n", ":4: is not TOML: Cannot declare ('a',) twice"),
        (b'a = 1\n\nb = """x\ny\nz\n', ":3: is not TOML: Unterminated string"),
        (b"a = 1\nb = [\n1,\n2\n", ":2: is not TOML: Unclosed array"),
        (b"a = 1\nb =", ":2: is not TOML: Invalid value"),
        (b"a = 1\nb = 'x\xff'\n", ":2: is not UTF-8"),
        (b"a = " + b"9" * 5000, ":1: is not TOML"),
        (b"a = 1\nb = " + b"[" * 5000 + b"\n", ":2: is not TOML"),
        (b"a = 1\n<<<<<<< HEAD\nb = 2\n=======\nb = 3\n>>>>>>> other\n", ":2: merge conflict marks"),
        (b"a = 1\r\n=======\r\nb = 3\r\n", ":2: merge conflict marks"),
    ],
)
def test_a_file_that_is_not_toml_names_the_line(tmp_path, content, line):
    assert fault(tmp_path, content).startswith(line)


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(InceptionLabError, match="cannot be read"):
            read_toml(path)


def test_the_place_of_a_key_without_a_line_is_that_of_its_table():
    place = Place("f.toml", ("a",), "x = 1\n[a]\nb = 2\n")
    assert [place.at("b").line, place.at("c").line, place.at("b", "d").line] == [3, 2, 3]
    assert Place("f.toml").line is None
    assert str(Place().at("a b", "c").refusal("is wrong", "mend it")) == "'a b'.c: is wrong; mend it"


def test_long_and_huge_values_are_shortened():
    assert shortened("x" * 100) == "'" + "x" * 56 + "..."
    assert shortened(10**5000) == "a huge int"


@pytest.mark.parametrize(
    "content",
    ['x = """\n' + "]\n" * 5000, "x = [\n" + "[1],\n" * 5000, "x = [\n[\n" + "]\n" * 5000],
    ids=["text", "arrays", "brackets"],
)
def test_a_statement_of_thousands_of_lines_takes_few_attempts(tmp_path, monkeypatch, content):
    attempts = []
    loads = tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda text: attempts.append(text) or loads(text))
    fault(tmp_path, content.encode())
    assert len(attempts) < 1100
