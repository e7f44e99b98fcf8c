"""Which part of the package may import which, and what start-up imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import inception_lab

PACKAGE = Path(inception_lab.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "models": {"errors", "models"},
    "ir": {"errors", "files", "ir"},
    "running": {"errors", "ir", "running"},
    "tracing": {"errors", "formulas", "ir", "running", "tracing"},
    "analyzers": {"analyzers", "errors", "ir", "metrics", "record"},
    "measure": {"analyzers", "errors", "ir", "measure", "running", "tracing"},
    "counters": {"analyzers", "counters", "errors", "ir", "record", "running", "tracing"},
    "report": {"analyzers", "errors", "files", "metrics", "record", "report"},
    "cli": None,
}  # fmt: skip
"""What each folder knows of the package; None for all of it."""


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Modules of this package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inception_lab"):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("inception_lab"))


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folders_know_only_what_they_may(folder):
    allowed = MAY_IMPORT[folder]
    for path in (PACKAGE / folder).rglob("*.py"):
        known = {name.split(".")[1] for name in imports(path) if "." in name}
        assert allowed is None or known <= allowed, path


def test_nothing_imports_the_command_line():
    for path in FILES:
        if not {"cli", "__main__.py"} & set(path.relative_to(PACKAGE).parts):
            assert not [name for name in imports(path) if name.startswith("inception_lab.cli")], path


def test_no_file_bears_the_name_of_a_public_function():
    public = set(inception_lab.__all__)
    siblings = {path.stem for path in PACKAGE.iterdir()}
    assert not public & siblings


def test_every_public_name_can_be_loaded():
    for name in inception_lab.__all__:
        assert getattr(inception_lab, name) is not None
    assert set(inception_lab.__all__) <= set(dir(inception_lab))
    with pytest.raises(AttributeError, match="nothing"):
        inception_lab.nothing  # noqa: B018


def in_fresh_interpreter(code):
    """Which of the heavy libraries a piece of code imports."""
    heavy = "sorted({'torch', 'pandas', 'matplotlib', 'numpy', 'fvcore'} & set(__import__('sys').modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint({heavy})"], capture_output=True, text=True, check=True
    )
    return ast.literal_eval(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["models"], ["models", "--format", "json"], ["summary", "--help"],
     ["report", "--help"], ["crosscheck", "--help"], ["modles"]],
    ids=" ".join,
)  # fmt: skip
def test_light_commands_import_nothing_heavy(arguments):
    code = f"from inception_lab.cli import main\ntry: main({arguments!r})\nexcept SystemExit: pass"
    assert in_fresh_interpreter(code) == []


def test_importing_the_package_and_reading_a_record_imports_nothing_heavy(tmp_path):
    path = tmp_path / "summary.json"
    model = inception_lab.create_model("googlenet", device="meta")
    record = inception_lab.summarise(inception_lab.trace(model, (1, 3, 64, 64)))
    path.write_text(record.to_json())
    code = f"import inception_lab as il\nprint(il.Record.load({str(path)!r}).totals, il.list_models())"
    assert in_fresh_interpreter(code) == []
