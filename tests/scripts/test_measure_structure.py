"""The measure of structure: planted faults are counted and make it fail, and clean trees pass."""

import re

import pytest

import measure_structure


@pytest.fixture
def measure(capsys, tmp_path):
    """Plant files by path and text; returns the exit code and the text for a folder of them."""

    def run(files, folder="."):
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        code = measure_structure.main([str(tmp_path / folder)])
        return code, capsys.readouterr().out

    return run


def function(name, lines, docstring=0):
    """A function of so many lines, `def` included, after which come the lines of its docstring."""
    text = ['    """Do.', *["    more"] * (docstring - 2), '    """'] if docstring else []
    return "\n".join([f"def {name}():", *text, *["    pass"] * (lines - 1)]) + "\n"


def figure(text, label, section=""):
    """The text behind a label, in the section of a title."""
    rest = text.partition(section)[2] if section else text
    return re.search(rf"^  {re.escape(label)}:\s+(.*)$", rest, re.MULTILINE)[1]


def test_a_clean_tree_reaches_every_goal(measure):
    code, text = measure({"a.py": "import b\n", "b.py": function("f", 3)})
    assert code == 0
    assert "MISSED" not in text
    assert "2 files, 4 lines, 1 functions" in text


def test_lengths_are_counted_without_docstrings_and_told_with_them(measure):
    code, text = measure({"a.py": "".join(function(f"f{n}", n, docstring=3) for n in (2, 6, 8))})
    assert code == 0
    assert figure(text, "median").startswith("6 lines")
    assert figure(text, "median", "with their docstrings").endswith("MISSED")
    assert "     8   11  f8  a.py:15" in text


@pytest.mark.parametrize(
    ("lengths", "label", "value"),
    [
        ([8, 9, 10], "median", "9 lines"),
        ([2] * 8 + [20, 21], "at most 20 lines", "90.0%"),
        ([2] * 7 + [21, 21, 2], "at most 20 lines", "80.0%"),
        ([2] * 20 + [61], "longest", "61 lines"),
    ],
)
def test_long_functions_miss_a_goal(measure, lengths, label, value):
    code, text = measure({"a.py": "".join(function(f"f{i}", n) for i, n in enumerate(lengths))})
    assert figure(text, label).startswith(value)
    missed = figure(text, label).endswith("MISSED")
    assert missed == (value != "90.0%") == bool(code)


def test_methods_and_nested_functions_count_with_their_lines(measure):
    text = measure({"a.py": "class A:\n    async def m(self):\n        def n():\n            pass\n"})[1]
    assert "2 functions" in text
    assert "3    3  m  a.py:2" in text
    assert "2    2  n  a.py:3" in text


def test_a_file_above_450_lines_misses(measure):
    assert measure({"a.py": "\n" * 450})[0] == 0
    code, text = measure({"deep/b.py": "\n" * 451})
    assert code == 1
    assert figure(text, "files above 450 lines").startswith("deep/b.py (451)")


CIRCLE = {
    "p/__init__.py": "from p.x.a import f\n",
    "p/x/__init__.py": "",
    "p/x/a.py": "def f():\n    from p.y import b\n",
    "p/x/c.py": "",
    "p/y/__init__.py": "",
    "p/y/b.py": "from ..x import c\n",
    "p/z.py": "from p import f\n",
}


def test_a_circle_between_parts_may_be_none_between_files(measure):
    code, text = measure(CIRCLE, "p")
    assert code == 1
    assert figure(text, "circles between parts").startswith("x <-> y ")
    assert figure(text, "circles between files").startswith("none")


def test_a_circle_between_files_is_named(measure):
    files = CIRCLE | {
        "p/x/c.py": "import p.x.d\n",
        "p/x/d.py": "from .e import g\n",
        "p/x/e.py": "from . import c",
    }
    text = measure(files, "p")[1]
    assert figure(text, "circles between files").startswith("p.x.c <-> p.x.d <-> p.x.e ")


def test_a_folder_inside_a_package_has_parts_of_its_own(measure):
    files = {
        "p/__init__.py": "",
        "p/q/__init__.py": "",
        "p/q/a.py": "import p.q.b",
        "p/q/b.py": "import p.q.a",
    }
    assert figure(measure(files, "p/q")[1], "circles between parts").startswith("a <-> b ")


def test_scripts_that_import_each_other_by_name_are_seen(measure):
    text = measure({"a.py": "import b\n", "b.py": "from a import f\n"})[1]
    assert figure(text, "circles between parts").startswith("a <-> b ")


def test_comments_count_and_directives_do_not(measure):
    text = measure({"a.py": '#!/bin/python\n# why\nx = "# no"  # because\ny = 1  # noqa: E501\n'})[1]
    assert "Comments: 2, 50.00 per 100 lines" in text


def test_docstrings_that_open_with_a_question_word_are_listed(measure):
    source = '"""What it is."""\nx = 1\n"""Howl."""\n\n\ndef f():\n    """\n    Whether so."""\n'
    text = measure({"a.py": source})[1]
    assert "question word: 2" in text
    assert "  a.py: What 1, Whether 7" in text


def test_every_kind_of_binding_is_read(measure):
    source = "\n".join(
        [
            "found = found_rows = 1",
            "def _said(held, *seen, known=found): pass",
            "self.left = 2",
            "for a, asked in x: print(made)",
            "if (kept := 1): merged = seed_red = 3",
        ]
    )
    text = measure({"a.py": source})[1]
    names = {"found": 1, "_said": 2, "held": 2, "seen": 2, "known": 2, "left": 3, "asked": 4, "kept": 5}
    line = next(x for x in text.partition("bare participles: 8")[2].splitlines() if "a.py" in x)
    assert line == "  a.py: " + ", ".join(f"{name} {names[name]}" for name in sorted(names))
    assert "in -ed: 1\n  merged 1\n  a.py: merged 5" in text


def test_what_is_not_a_folder_is_wrong_usage(capsys, tmp_path):
    with pytest.raises(SystemExit) as exit_info:
        measure_structure.main([str(tmp_path / "none")])
    assert exit_info.value.code == 2
    assert "is not a folder" in capsys.readouterr().err


def test_the_package_itself_is_the_default(capsys):
    measure_structure.main(["--longest", "1"])
    assert capsys.readouterr().out.startswith("inception_lab: ")
