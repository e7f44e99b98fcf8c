"""Imports that each part of the package may make, and those of its start-up."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import inception_lab

PACKAGE = Path(inception_lab.__file__).parent
BASE = {"arguments", "errors", "files", "formulas", "interrupts", "ir", "metrics", "record"}
ENGINE = BASE | {"running", "tracing"}
ANSWERS = ENGINE | {"analyzers", "limits", "measure", "short_forms"}
MAY_IMPORT = {
    "errors": set(),
    "arguments": {"errors"},
    "formulas": {"arguments", "errors"},
    "interrupts": set(),
    "leftovers": {"errors"},
    "files": {"errors", "interrupts", "leftovers"},
    "metrics": {"errors"},
    "short_forms": {"errors", "metrics"},
    "record": {"errors", "files", "metrics", "short_forms"},
    "models": {"arguments", "errors"},
    "ir": {"errors", "files", "metrics", "short_forms"},
    "running": {"arguments", "errors", "formulas", "ir", "metrics"},
    "tracing": {"arguments", "errors", "formulas", "ir", "running"},
    "analyzers": {"arguments", "errors", "ir", "metrics", "record"},
    "limits": ANSWERS,
    "measure": ANSWERS,
    "counters": ANSWERS,
    "loading": ENGINE | {"models"},
    "report": BASE | {"analyzers", "leftovers", "variants"},
    "comparison": ANSWERS | {"budgets", "counters", "loading", "models"},
    "budgets": ANSWERS | {"loading", "models"},
    "claims": ANSWERS | {"budgets", "comparison", "counters", "loading", "models"},
    "worksheets": ENGINE | {"analyzers", "models", "report"},
    "audits": ANSWERS | {"loading", "models"},
    "variants": {"arguments", "errors"},
    "sweeps": ANSWERS | {"budgets", "loading", "models", "variants"},
    "cli": None,
    "pytest_plugin": None,
    "__init__": None,
    "__main__": None,
}
"""Parts that each file and folder at the top may import besides itself; None for everything."""

EVERYTHING = "*"


def imports(path):
    """Modules of this package that a file imports, wherever in the file, and the name it takes from each.

    A lazy name of the package counts as one of the module that defines it. The package itself gives all of
    them, as does a relative import, which could name any.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (pair for name in node.names for pair in imports_of_module(name.name, name.asname))
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                yield "inception_lab", EVERYTHING
            elif module == "inception_lab":
                yield from (imports_of_name(name.name) for name in node.names if name.name != "__version__")
            elif module.startswith("inception_lab."):
                yield from ((module, name.name) for name in node.names)


def imports_of_module(module, alias):
    """The imports of `import module as alias`."""
    if module.split(".")[0] == "inception_lab":
        if "." in module:
            yield module, EVERYTHING
        if "." not in module or alias is None:  # the name that is bound is that of the whole package
            yield "inception_lab", EVERYTHING


def imports_of_name(name):
    """The import of `from inception_lab import name`: of a lazy name, of a module, or of everything."""
    if name in inception_lab._HOME:
        return f"inception_lab.{inception_lab._HOME[name]}", name
    return ("inception_lab" if name == EVERYTHING else f"inception_lab.{name}"), EVERYTHING


def parts_imported(path, names):
    """The parts at the top of the package that a file imports; all of them where it imports the package."""
    modules = {module for module, _ in imports(path)}
    if "inception_lab" in modules:
        return names
    return {module.split(".")[1] for module in modules} & names


def top_level(package):
    """The files and folders of code at the top of a package, by name."""
    return {p.stem: p for p in package.iterdir() if p.suffix == ".py" or any(p.rglob("*.py"))}


def files_of(part):
    """The files of code of a file or folder."""
    return sorted(path for path in [part, *part.rglob("*.py")] if path.suffix == ".py")


def faults(package):
    """The names at the top that are not listed, and the imports that are not allowed."""
    names = top_level(package)
    yield from (f"{name} is not listed" for name in sorted(names.keys() ^ MAY_IMPORT.keys()))
    for name in names.keys() & MAY_IMPORT.keys():
        for path in files_of(names[name]) if MAY_IMPORT[name] is not None else ():
            forbidden = parts_imported(path, names.keys()) - MAY_IMPORT[name] - {name}
            # only an import of the whole package reaches `__init__`
            imported = ["everything"] if "__init__" in forbidden else sorted(forbidden)
            yield from (f"{path.relative_to(package)} imports {part}" for part in imported)


def plant(package, lines):
    """A package of empty parts, in which files at some places have these lines."""
    for name in MAY_IMPORT:
        (package / f"{name}.py").touch()
    for place, line in lines.items():
        path = package / place
        if path.parent != package:
            (package / f"{path.relative_to(package).parts[0]}.py").unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line)


def test_every_part_of_the_package_imports_only_what_it_may():
    assert list(faults(PACKAGE)) == []


@pytest.mark.parametrize(
    ("place", "line", "fault"),
    [
        ("loose.py", "", "loose is not listed"),
        ("room/part.py", "", "room is not listed"),
        ("errors.py", "from inception_lab.ir.trace import Op", "errors.py imports ir"),
        ("ir/deep/part.py", "def f():\n    import inception_lab.tracing.tracer as tracer",
         "ir/deep/part.py imports tracing"),
        ("metrics.py", "from inception_lab import record", "metrics.py imports record"),
        ("ir/part.py", "from inception_lab import trace", "ir/part.py imports tracing"),
        ("analyzers/part.py", "from inception_lab import Trace, trace as run, Record",
         "analyzers/part.py imports tracing"),
        ("running/part.py", "def f():\n    from inception_lab import layer_costs as costs",
         "running/part.py imports analyzers"),
        ("report/part.py", "from inception_lab import create_model", "report/part.py imports models"),
        ("ir/part.py", "import inception_lab as il", "ir/part.py imports everything"),
        ("limits.py", "import inception_lab", "limits.py imports everything"),
        ("ir/part.py", "import inception_lab.errors", "ir/part.py imports everything"),
        ("ir/part.py", "from inception_lab import *", "ir/part.py imports everything"),
        ("ir/part.py", "from .. import trace", "ir/part.py imports everything"),
    ],
)  # fmt: skip
def test_a_part_that_is_not_listed_or_imports_too_much_is_found(tmp_path, place, line, fault):
    plant(tmp_path, {place: line})
    assert list(faults(tmp_path)) == [fault]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("tracing/part.py", "from inception_lab import __version__"),
        ("limits.py", "from inception_lab import trace, layer_costs"),
        ("ir/part.py", "import inception_lab.errors as errors"),
        ("ir/part.py", "import inception_lab_of_others, other.inception_lab"),
        ("cli/part.py", "import inception_lab as il"),
    ],
)
def test_an_import_that_is_allowed_is_left_alone(tmp_path, place, line):
    plant(tmp_path, {place: line})
    assert list(faults(tmp_path)) == []


READ_BY_REPORT = {
    "inception_lab.analyzers.dataflow": {"SOURCE", "Box", "Flow"},
    "inception_lab.analyzers.memory.peak": {"PeakMemory"},
    "inception_lab.analyzers.receptive_field.resolution": {"ResolutionFit"},
    "inception_lab.analyzers.reductions": {"ALL_MODULES", "SUM", "WHOLE_NET"},
}
"""The result types and constants of analyzers that all files of report/ may import; collect.py calls more."""


def analyses(path):
    """The names that a file imports from analyzers, or the whole package."""
    for module, name in imports(path):
        if module == "inception_lab" or module.split(".")[1] == "analyzers":
            yield module, name


def report_faults(report):
    """The imports of files of report/ other than collect.py that could run an analysis."""
    for path in sorted(report.rglob("*.py")):
        if path != report / "collect.py":
            for module, name in analyses(path):
                if name not in READ_BY_REPORT.get(module, ()):
                    yield f"{path.relative_to(report)} imports {name} of {module}"


def test_in_report_collect_alone_calls_analyzers():
    assert list(report_faults(PACKAGE / "report")) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("from inception_lab.analyzers.cost import layer_costs",
         "layer_costs of inception_lab.analyzers.cost"),
        ("def f():\n    from inception_lab import summarise", "summarise of inception_lab.analyzers.summary"),
        ("from inception_lab import analyzers", "* of inception_lab.analyzers"),
        ("from inception_lab.analyzers import cost", "cost of inception_lab.analyzers"),
        ("import inception_lab as il", "* of inception_lab"),
        ("import inception_lab.analyzers.cost as cost", "* of inception_lab.analyzers.cost"),
        ("import inception_lab.errors", "* of inception_lab"),
        ("from inception_lab import *", "* of inception_lab"),
        ("from inception_lab import Record, peak_memory",
         "peak_memory of inception_lab.analyzers.memory.peak"),
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


def arrows(package):
    """The parts that each part imports, but for itself and for the command line."""
    names = top_level(package)
    listed = {name for name in names if MAY_IMPORT.get(name) is not None}
    return {
        name: {part for path in files_of(names[name]) for part in parts_imported(path, listed)} - {name}
        for name in listed
    }


def test_the_parts_form_no_circle():
    """An order exists in which each part imports earlier ones alone, and static_order finds it."""
    order = TopologicalSorter(arrows(PACKAGE)).static_order()
    assert len(list(order)) == len([name for name in MAY_IMPORT if MAY_IMPORT[name] is not None])


@pytest.mark.parametrize(
    ("line", "back"),
    [
        ("from inception_lab.tracing.tracer import trace", "from inception_lab.errors import nearest"),
        ("from inception_lab import trace", "from inception_lab import InceptionLabError"),
        ("import inception_lab as il", ""),
    ],
)
def test_a_circle_is_found(tmp_path, line, back):
    plant(tmp_path, {"errors.py": line, "tracing/part.py": back or "from inception_lab import errors"})
    with pytest.raises(CycleError):
        list(TopologicalSorter(arrows(tmp_path)).static_order())


def test_nothing_imports_the_command_line():
    for path in sorted(PACKAGE.rglob("*.py")):
        if not {"cli", "__main__.py"} & set(path.relative_to(PACKAGE).parts):
            assert "cli" not in parts_imported(path, {"cli"}), path


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
    """Heavy libraries that a piece of code imports."""
    heavy = "sorted({'torch', 'pandas', 'matplotlib', 'numpy', 'fvcore'} & set(__import__('sys').modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint({heavy})"], capture_output=True, text=True, check=True
    )
    return ast.literal_eval(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["models"], ["models", "--format", "json"], ["summary", "--help"],
     ["check", "--help"], ["report", "--help"], ["crosscheck", "--help"], ["profile", "--help"],
     ["confirm", "--help"], ["time", "--help"], ["compare", "--help"], ["worksheet", "--help"], ["modles"]],
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


def test_comparing_saved_records_imports_nothing_heavy(tmp_path):
    path = tmp_path / "summary.json"
    row = {"layer": "fc", "type": "Linear", "params": 3}
    context = {"model": "net", "mode": "eval", "input_shapes": [[1, 3]], "complete": True}
    path.write_text(inception_lab.Record(context, {"params": 3}, (), (), (row,)).to_json())
    arguments = ["compare", str(path), str(path), "--format", "markdown", "-o", str(tmp_path / "text")]
    code = f"from inception_lab.cli import main\ntry: main({arguments!r})\nexcept SystemExit: pass"
    assert in_fresh_interpreter(code) == []
    assert "No module differs" in (tmp_path / "text").read_text()
