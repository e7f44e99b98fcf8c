"""Which part of the package may import which, and what start-up imports."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import inception_lab

PACKAGE = Path(inception_lab.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


BASE = {"errors", "files", "formulas", "ir", "metrics", "record"}
ENGINE = BASE | {"running", "tracing"}
ANSWERS = ENGINE | {"analyzers", "limits", "measure"}
MAY_IMPORT = {
    "errors": set(),
    "formulas": {"errors"},
    "files": {"errors"},
    "metrics": {"errors"},
    "record": {"errors", "files", "metrics"},
    "models": {"errors"},
    "ir": {"errors", "files"},
    "running": {"errors", "formulas", "ir"},
    "tracing": {"errors", "formulas", "ir", "running"},
    "analyzers": {"errors", "ir", "metrics", "record"},
    "limits": ANSWERS,
    "measure": ANSWERS,
    "counters": ANSWERS,
    "loading": ENGINE | {"models"},
    "report": BASE | {"analyzers"},
    "cli": None,
    "__init__": None,
    "__main__": None,
}
"""What each file and folder at the top of the package may import besides itself; None for everything."""


def imports(path):
    """Modules of this package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "inception_lab":
            yield from (f"inception_lab.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inception_lab."):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("inception_lab."))


def top_level(package):
    """The files and folders of code at the top of a package, by name."""
    return {p.stem: p for p in package.iterdir() if p.suffix == ".py" or any(p.rglob("*.py"))}


def faults(package):
    """The names at the top that are not listed, and the imports that are not allowed."""
    names = top_level(package)
    yield from (f"{name} is not listed" for name in sorted(names.keys() ^ MAY_IMPORT.keys()))
    for name in names.keys() & MAY_IMPORT.keys():
        for path in sorted([names[name], *names[name].rglob("*.py")]):
            if path.suffix == ".py" and MAY_IMPORT[name] is not None:
                parts = {module.split(".")[1] for module in imports(path)} & names.keys()
                forbidden = parts - MAY_IMPORT[name] - {name}
                yield from (f"{path.relative_to(package)} imports {part}" for part in sorted(forbidden))


def test_every_part_of_the_package_imports_only_what_it_may():
    assert list(faults(PACKAGE)) == []


@pytest.mark.parametrize(
    ("place", "line", "fault"),
    [
        ("loose.py", "", "loose is not listed"),
        ("room/part.py", "", "room is not listed"),
        ("errors.py", "from inception_lab.ir.trace import Op", "errors.py imports ir"),
        (
            "ir/deep/part.py",
            "def f():\n    import inception_lab.tracing.tracer",
            "ir/deep/part.py imports tracing",
        ),
        ("metrics.py", "from inception_lab import record", "metrics.py imports record"),
    ],
)
def test_a_part_that_is_not_listed_or_imports_too_much_is_found(tmp_path, place, line, fault):
    for name in MAY_IMPORT:
        (tmp_path / f"{name}.py").touch()
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent != tmp_path:
        (tmp_path / f"{path.relative_to(tmp_path).parts[0]}.py").unlink(missing_ok=True)
    path.write_text(line)
    assert list(faults(tmp_path)) == [fault]


READ_BY_REPORT = {
    "inception_lab.analyzers.memory.peak": {"PeakMemory"},
    "inception_lab.analyzers.receptive_field.resolution": {"ResolutionFit"},
    "inception_lab.analyzers.reductions": {"ALL_MODULES", "SUM", "WHOLE_NET"},
}
"""The result types and constants of analyzers that all files of report/ may import; collect.py calls more."""


def names_of_analyzers(path):
    """The names that a file imports from analyzers, or through the package's own lazy names."""
    homes = {"analyzers": "analyzers", **inception_lab._HOME}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "inception_lab":
            names = [name.name for name in node.names]
            yield from (("inception_lab", n) for n in names if homes.get(n, "").startswith("analyzers"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inception_lab.analyzers"):
            yield from ((node.module, name.name) for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                (name.name, "*")
                for name in node.names
                if name.name.split(".")[:2] in (["inception_lab"], ["inception_lab", "analyzers"])
            )


def report_faults(report):
    """The imports of files of report/ other than collect.py that could run an analysis."""
    for path in sorted(report.rglob("*.py")):
        if path != report / "collect.py":
            for module, name in names_of_analyzers(path):
                if name not in READ_BY_REPORT.get(module, ()):
                    yield f"{path.relative_to(report)} imports {name} of {module}"


def test_in_report_collect_alone_calls_analyzers():
    assert list(report_faults(PACKAGE / "report")) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("from inception_lab.analyzers.cost import layer_costs",
         "layer_costs of inception_lab.analyzers.cost"),
        ("def f():\n    from inception_lab import summarise", "summarise of inception_lab"),
        ("from inception_lab import analyzers", "analyzers of inception_lab"),
        ("from inception_lab.analyzers import cost", "cost of inception_lab.analyzers"),
        ("import inception_lab as il", "* of inception_lab"),
        ("import inception_lab.analyzers.cost", "* of inception_lab.analyzers.cost"),
        ("from inception_lab.analyzers.reductions import SUM, reduction_saving",
         "reduction_saving of inception_lab.analyzers.reductions"),
    ],
)  # fmt: skip
def test_an_analysis_that_is_not_run_by_collect_is_found(tmp_path, line, fault):
    for place in ("collect.py", "plots/part.py"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(line)
    assert list(report_faults(tmp_path)) == [f"plots/part.py imports {fault}"]


def test_result_types_and_constants_may_be_imported(tmp_path):
    lines = [f"from {module} import {name}" for module, names in READ_BY_REPORT.items() for name in names]
    (tmp_path / "part.py").write_text("\n".join([*lines, "from inception_lab import __version__"]))
    assert list(report_faults(tmp_path)) == []


def test_the_parts_form_no_circle():
    """What a part may import may not import it: their order exists, and static_order finds it."""
    graph = {name: allowed - {name} for name, allowed in MAY_IMPORT.items() if allowed is not None}
    actual = {
        name: {m.split(".")[1] for path in PACKAGE.rglob("*.py") if module_of(path).split(".")[1:2] == [name]
               for m in imports(path)} & graph.keys() - {name}
        for name in graph
    }  # fmt: skip
    assert len(list(TopologicalSorter(actual).static_order())) == len(graph)


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
     ["report", "--help"], ["crosscheck", "--help"], ["time", "--help"], ["modles"]],
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
