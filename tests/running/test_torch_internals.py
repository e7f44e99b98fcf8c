"""Private names of torch stand in one file, all of them exist, and a missing one is said in one line."""

import ast
import re
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch

import inception_lab
from inception_lab.errors import InceptionLabError
from inception_lab.running import torch_internals
from inception_lab.running.torch_internals import ATTRIBUTES, NAMES

PACKAGE = Path(inception_lab.__file__).parent
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "torch_internals.py"]
PYTHONS_OWN = {"_exit", "_fields", "_replace", "_asdict", "_DummyThread", "_getframe", "_current_frames"}
"""Of processes, named tuples, threads and frames."""


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


OF_MODULES = {name for name in [*dir(torch.nn.Module), *vars(torch.nn.Module())] if is_private(name)}


def is_private_string(text):
    """True for the name of a private attribute of modules, and of the hooks of all modules, or its start."""
    return text in OF_MODULES - ATTRIBUTES.keys() or text.startswith("_global")


def chain(node):
    """The names of `a.b.c`, from the left; empty where it does not begin with a name."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def at_run_time(tree):
    """Every node, but for what is read by type checkers alone."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and chain(node.test)[-1:] == ["TYPE_CHECKING"]:
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def own_names(trees):
    """Private functions, classes, methods and attributes that the package itself defines."""
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def private_uses(tree, own):
    """The private names of torch that a file uses at run time, as it writes them."""
    for node in at_run_time(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            path = [*node.module.split("."), *(name.name for name in node.names)]
            yield from (".".join(path) for part in path if is_private(part))
        elif isinstance(node, ast.Import):
            yield from (n.name for n in node.names if n.name.startswith("torch.") and "._" in n.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from [node.value] * is_private_string(node.value)
        elif isinstance(node, ast.Attribute):
            names = chain(node)
            # operators of ATen may begin with an underscore: they are no names of Python's
            if names[:1] == ["torch"] and names[1:2] != ["ops"] and is_private(node.attr):
                yield ".".join(names)
            elif names[:1] != ["torch"] and "aten" not in names and is_private(node.attr):
                yield from [ast.unparse(node)] * (node.attr not in own | PYTHONS_OWN | ATTRIBUTES.keys())


def test_no_other_file_uses_a_private_name_of_torch():
    trees = {path: ast.parse(path.read_text()) for path in FILES}
    own = own_names(trees.values())
    uses = {str(path.relative_to(PACKAGE)): list(private_uses(tree, own)) for path, tree in trees.items()}
    assert {path: names for path, names in uses.items() if names} == {}


@pytest.mark.parametrize(
    ("line", "use"),
    [
        ("from torch._C import parse_schema", "torch._C.parse_schema"),
        ("from torch.utils.flop_counter import _count", "torch.utils.flop_counter._count"),
        ("import torch._dynamo", "torch._dynamo"),
        ("def f():\n    return torch._C._hidden()", "torch._C._hidden"),
        ("def f(tensor):\n    return tensor._hidden", "tensor._hidden"),
        (
            "if TYPE_CHECKING:\n    from torch._ops import OpOverload\nelse:\n    import torch._ops",
            "torch._ops",
        ),
        ("getattr(module, '_non_persistent_buffers_set')", "_non_persistent_buffers_set"),
        ("vars(module)['_is_full_backward_hook']", "_is_full_backward_hook"),
        ("HOOKS = ('_forward_hooks_with_kwargs',)", "_forward_hooks_with_kwargs"),
        ("vars(nn.modules.module).get(f'_global{name}')", "_global"),
        ("'_global' + name", "_global"),
        ("'_global_forward_hooks'", "_global_forward_hooks"),
    ],
)
def test_a_private_name_is_found(line, use):
    assert use in set(private_uses(ast.parse(line), set()))


@pytest.mark.parametrize(
    "line",
    [
        "if TYPE_CHECKING:\n    from torch._ops import OpOverload",
        "torch.ops.aten._softmax.default",
        "func._schema",
        "attributes.get('_forward_hooks')",
        "'forward', '_mine', 'a _global name', '__call__'",
        "torch.nn.Module.__call__",
        "row._replace(a=1)",
    ],
)
def test_what_is_not_private_is_left_alone(line):
    assert list(private_uses(ast.parse(line), set())) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_name_exists(name):
    if "cuda" in NAMES[name] and torch.version.cuda is None:
        pytest.skip("PyTorch was built without CUDA")
    assert getattr(torch_internals, name) is resolve_name(NAMES[name])


def test_every_attribute_exists():
    torch_internals.require_attributes.cache_clear()
    torch_internals.require_attributes()  # raises where one is missing, as the next test shows
    assert torch_internals.require_attributes.cache_info().currsize == 1


@pytest.mark.parametrize("home", sorted(set(ATTRIBUTES.values())))
def test_a_missing_attribute_is_one_line_with_the_version(home, monkeypatch):
    monkeypatch.setattr(torch_internals, "ATTRIBUTES", {"_gone_since_then": home})
    torch_internals.require_attributes.cache_clear()
    with pytest.raises(InceptionLabError) as refusal:
        torch_internals.require_attributes()
    name = f"{home.replace(':', '.')}._gone_since_then"
    assert str(refusal.value).startswith(f"torch {torch.__version__} does not have {name}; install a version")


def test_a_missing_name_is_one_line_with_the_version(monkeypatch):
    monkeypatch.setattr(torch_internals, "NAMES", {**NAMES, "gone": "torch._C:_gone_since_then"})
    with pytest.raises(InceptionLabError) as refusal:
        torch_internals.gone  # noqa: B018
    line = f"torch {torch.__version__} does not have torch._C._gone_since_then; install a version"
    assert str(refusal.value).startswith(line)


def test_the_versions_in_its_hint_are_those_that_the_package_requires(monkeypatch):
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    requirement, *others = [line for line in project["dependencies"] if re.match(r"torch\b(?!-)", line)]
    assert not others
    monkeypatch.setattr(torch_internals, "NAMES", {**NAMES, "gone": "torch._C:_gone_since_then"})
    with pytest.raises(InceptionLabError) as refusal:
        torch_internals.gone  # noqa: B018
    assert re.findall(r"torch[<>=]\S*", refusal.value.hint) == [requirement]


def test_a_name_that_is_not_listed_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        torch_internals.nothing_like_it  # noqa: B018
