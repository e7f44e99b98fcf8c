"""Measure the structure of a folder of Python code against this project's goals.

Functions are counted with methods and nested functions; a lambda is not one. Imports count wherever they
stand, those for the type checker alone too; the names that the package's own `__init__.py` re-exports
do not. Reads the source by `ast`, and runs nothing.

Usage: python scripts/measure_structure.py [FOLDER] [--longest N]
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from statistics import median

PACKAGE = Path(__file__).resolve().parents[1] / "inception_lab"
MEDIAN_LINES, SHORT_LINES, SHORT_PERCENT, MOST_LINES = 8, 20, 90, 60
FILE_LINES = 450
QUESTIONS = ("What", "Whether", "Where", "Which", "How")
"""Words that a docstring should not open with."""
PARTICIPLES = frozenset(
    "found known given asked made wanted shown held seen left kept drawn gone taken said called measured "  # noqa: SIM905
    "told written named born begun chosen picked noted tried counted added sought meant sent lost got grown "
    "heard felt thought brought caught broken stored gathered collected expected needed used done".split()
)
"""Participles that say nothing of a value when they stand alone; a noun beside one says it."""
_DIRECTIVE = re.compile(r"#\s*(!|noqa|type:|fmt:|ruff:|mypy:|pragma|-\*-)")

Node = ast.FunctionDef | ast.AsyncFunctionDef
Graph = Mapping[str, set[str]]


@dataclass(frozen=True)
class SourceFile:
    """A file of code.

    Attributes:
        path: Relative to the folder that is measured.
        module: Its dotted name, as an import spells it.
        text: Its source.
    """

    path: Path
    module: str
    text: str

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of its syntax tree."""
        return list(ast.walk(ast.parse(self.text)))

    @property
    def lines(self) -> int:
        """Its lines, blank ones too."""
        return len(self.text.splitlines())


@dataclass(frozen=True)
class Function:
    """A function, method or nested function, from its `def` to its last line.

    Attributes:
        place: File and line.
        name: As it is defined.
        lines: Of all of it.
        docstring_lines: Those of its docstring.
    """

    place: str
    name: str
    lines: int
    docstring_lines: int

    @property
    def code_lines(self) -> int:
        """Its length without the docstring."""
        return self.lines - self.docstring_lines


@dataclass(frozen=True)
class Goal:
    """A figure beside what it should be.

    Attributes:
        label: The name of the figure.
        figure: Its value as text.
        requirement: The goal in words.
        passes: True where the figure reaches the goal.
    """

    label: str
    figure: str
    requirement: str
    passes: bool


# The source


def source_files(folder: Path) -> list[SourceFile]:
    """Read all Python files under a folder, in order; hidden folders are left out."""
    prefix = _package_name(folder)
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*.py"))
    visible = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
    return [SourceFile(p, _module(prefix, p), (folder / p).read_text(encoding="utf-8")) for p in visible]


def _package_name(folder: Path) -> tuple[str, ...]:
    """The dotted name of a folder as parts; empty where it is not a package."""
    folder = folder.resolve()
    if not (folder / "__init__.py").exists():
        return ()
    return (*_package_name(folder.parent), folder.name)


def _module(prefix: tuple[str, ...], path: Path) -> str:
    parts = (*prefix, *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions(files: Iterable[SourceFile]) -> list[Function]:
    """All functions, in the order of files."""
    return [
        Function(f"{file.path}:{node.lineno}", node.name, _extent(node), _docstring_lines(node))
        for file in files
        for node in file.nodes
        if isinstance(node, Node)
    ]


def _extent(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _docstring_lines(node: Node) -> int:
    return 0 if ast.get_docstring(node) is None else _extent(node.body[0])


# What it holds


def comments(file: SourceFile) -> int:
    """Lines that carry a comment for people; directives for tools do not count."""
    tokens = tokenize.generate_tokens(io.StringIO(file.text).readline)
    return sum(t.type == tokenize.COMMENT and not _DIRECTIVE.match(t.string) for t in tokens)


def questions(file: SourceFile) -> Iterator[tuple[int, str]]:
    """Line and first word of each docstring that opens with a question word."""
    for line, text in docstrings(file):
        if (word := text.split(maxsplit=1)[0]) in QUESTIONS:
            yield line, word


def docstrings(file: SourceFile) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring: of a module, class, function or attribute."""
    for node in file.nodes:
        match node:  # a string that stands alone documents the attribute before it, if not its scope
            case ast.Expr(value=ast.Constant(value=str(text))) if text.strip():
                yield node.lineno, text


def participles(file: SourceFile) -> Iterator[tuple[int, str]]:
    """Line and name of each binding that is a participle and nothing else."""
    return (x for x in bindings(file) if x[1].strip("_").lower() in PARTICIPLES)


def other_participles(file: SourceFile) -> Iterator[tuple[int, str]]:
    """Line and name of each binding of one other word in -ed, which may be a participle."""
    for line, name in bindings(file):
        word = name.strip("_").lower()
        if word.endswith("ed") and "_" not in word and word not in PARTICIPLES:
            yield line, name


def bindings(file: SourceFile) -> Iterator[tuple[int, str]]:
    """Line and name of each variable, attribute, parameter, function and class where it is bound."""
    for node in file.nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


# Imports


def import_graph(files: Sequence[SourceFile]) -> Graph:
    """The imports between files, by module name; the names that a package re-exports are left out."""
    # what a package re-exports reaches all of it, so that any use of those names would be a circle
    inner = {file.module: file for file in files if file.path != Path("__init__.py")}
    return {name: set(_imports(file, inner)) & inner.keys() - {name} for name, file in inner.items()}


def _imports(file: SourceFile, modules: Collection[str]) -> Iterator[str]:
    for node in file.nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(file, node)
            # `from package import name` imports a file of that name where there is one, else the package
            paths = (f"{origin}.{name.name}" for name in node.names)
            yield from (path if path in modules else origin for path in paths)


def _origin(file: SourceFile, node: ast.ImportFrom) -> str:
    """The absolute name of the module that names come from."""
    if not node.level:
        return node.module or ""
    # one dot is the package that holds the file; an `__init__.py` bears that package's own name
    level = node.level - (file.path.name == "__init__.py")
    parts = file.module.split(".")
    return ".".join([*parts[: len(parts) - level], *filter(None, [node.module])])


def part_graph(graph: Graph, prefix: str) -> Graph:
    """The same between the parts at the top of the folder: its files and its folders."""
    parts: dict[str, set[str]] = defaultdict(set)
    for module, imports in graph.items():
        own = _part(module, prefix)
        parts[own] |= {_part(other, prefix) for other in imports} - {own}
    return parts


def _part(module: str, prefix: str) -> str:
    return module.removeprefix(f"{prefix}." if prefix else "").partition(".")[0]


def circles(graph: Graph) -> list[list[str]]:
    """The groups of names that reach each other."""
    # two names lie on one circle where each reaches the other: the strongly connected components,
    # of which graphlib would name but one path; quadratic, which a few hundred files allow
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {tuple(sorted(o for o in reach[n] if n in reach.get(o, ()))) for n in graph if n in reach[n]}
    return [list(group) for group in sorted(groups)]


def _reachable(graph: Graph, name: str) -> set[str]:
    """All that a name imports, directly or through others; itself where it lies on a circle."""
    reach: set[str] = set()  # without the name itself, which only a circle leads back to
    pending = [name]
    while pending:
        fresh = graph.get(pending.pop(), set()) - reach
        reach |= fresh
        pending.extend(fresh)
    return reach


# The report


def length_goals(lengths: Sequence[int]) -> list[Goal]:
    """The goals for the length of functions."""
    middle, short = median(lengths or [0]), sum(length <= SHORT_LINES for length in lengths)
    percent, longest = 100 * short / max(len(lengths), 1), max(lengths, default=0)
    return [
        Goal("median", f"{middle:g} lines", f"at most {MEDIAN_LINES}", middle <= MEDIAN_LINES),
        Goal(
            f"at most {SHORT_LINES} lines",
            f"{percent:.1f}%",
            f"{SHORT_PERCENT}%",
            not lengths or percent >= SHORT_PERCENT,
        ),
        Goal("longest", f"{longest} lines", f"at most {MOST_LINES}", longest <= MOST_LINES),
    ]


def file_goals(files: Sequence[SourceFile], prefix: str) -> list[Goal]:
    """The goals for the length of files and their imports."""
    large = [f"{file.path} ({file.lines})" for file in files if file.lines > FILE_LINES]
    graph = import_graph(files)
    return [
        _none(f"files above {FILE_LINES} lines", large),
        _none("circles between parts", _arrows(circles(part_graph(graph, prefix)))),
        _none("circles between files", _arrows(circles(graph))),
    ]


def _none(label: str, faults: Sequence[str]) -> Goal:
    return Goal(label, "; ".join(faults) or "none", "none", not faults)


def _arrows(groups: Iterable[Sequence[str]]) -> list[str]:
    return [" <-> ".join(group) for group in groups]


def _goal_lines(title: str, goals: Iterable[Goal]) -> Iterator[str]:
    yield f"\n{title}"
    for goal in goals:
        verdict = "met" if goal.passes else "MISSED"
        yield f"  {goal.label + ':':<26}{goal.figure}  (goal: {goal.requirement}) {verdict}"


def _longest_lines(all_functions: Sequence[Function], number: int) -> Iterator[str]:
    yield "\nLongest functions (without docstring, with it)"
    for function in sorted(all_functions, key=lambda f: -f.code_lines)[:number]:
        yield f"  {function.code_lines:>4} {function.lines:>4}  {function.name}  {function.place}"


def _place_lines(
    title: str, files: Iterable[SourceFile], reader: Callable[[SourceFile], Iterable[tuple[int, str]]]
) -> Iterator[str]:
    """The number of places, of each name among them, and the lines of each in each file."""
    places = [(str(file.path), sorted(reader(file), key=lambda place: place[::-1])) for file in files]
    counts = Counter(name for _, entries in places for _, name in entries)
    yield f"\n{title}: {counts.total()}"
    if counts:
        yield "  " + ", ".join(f"{name} {number}" for name, number in counts.most_common())
    for path, entries in places:
        groups = [
            f"{name} {' '.join(str(line) for line, _ in group)}"
            for name, group in groupby(entries, key=lambda entry: entry[1])
        ]
        if groups:
            yield f"  {path}: {', '.join(groups)}"


def _density(files: Sequence[SourceFile]) -> str:
    number, lines = sum(map(comments, files)), sum(file.lines for file in files)
    return f"\nComments: {number}, {100 * number / max(lines, 1):.2f} per 100 lines"


def report(folder: Path, longest: int) -> tuple[str, bool]:
    """Return the figures as text, and True where every goal is reached."""
    files = source_files(folder)
    all_functions = functions(files)
    goals = [
        (
            "Length of functions without their docstrings, which decides",
            length_goals([f.code_lines for f in all_functions]),
        ),
        ("Files", file_goals(files, ".".join(_package_name(folder)))),
    ]
    whole = length_goals([f.lines for f in all_functions])
    lines = [
        f"{folder.resolve().name}: {len(files)} files, {sum(f.lines for f in files):,} lines, "
        f"{len(all_functions):,} functions",
        *(line for title, group in goals for line in _goal_lines(title, group)),
        *_goal_lines("Length of functions with their docstrings, for comparison", whole),
        *_longest_lines(all_functions, longest),
        _density(files),
        *_place_lines("Docstrings that open with a question word", files, questions),
        *_place_lines("Bindings that are bare participles", files, participles),
        *_place_lines("Bindings of one other word in -ed", files, other_participles),
    ]
    return "\n".join(lines) + "\n", all(goal.passes for _, group in goals for goal in group)


# The command line


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Measure the structure of a folder of Python code.")
    add = parser.add_argument
    add("folder", nargs="?", type=Path, default=PACKAGE, help="default: the package")
    add("--longest", type=int, default=10, metavar="N", help="functions to list; default: 10")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns 1 where a goal is missed."""
    options = parse(arguments)
    text, passes = report(options.folder, options.longest)
    print(text, end="")
    return 0 if passes else 1


if __name__ == "__main__":
    sys.exit(main())
