"""What the rows of a store hold for: every file that a factory is made of, and every package that it uses."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from inception_lab.errors import InceptionLabError
from inception_lab.sweeps.imports import imported_names
from inception_lab.sweeps.versions import check_versions, loaded_versions_of, located, versions_of

MAIN = """
import functools
from torch import nn
from NAME_constants import WIDTH
import NAME_package.blocks

def net():
    from NAME_later import kernel
    return nn.Conv2d(3, WIDTH, kernel())

partial = functools.partial(net)
built = nn.Conv2d(3, 4, 1)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's and all that it imports, with names of their own; returns the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = tmp_path.name
    files = {
        "main": MAIN.replace("NAME", name),
        "constants": "WIDTH = 4\n",
        "later": "def kernel():\n    return 3\n",
        "package/__init__": "",
        "package/blocks": "from .sizes import SIZES\n",
        "package/sizes": "SIZES = [1, 2]\n",
        "unused": "",
    }
    (tmp_path / f"{name}_package").mkdir()
    for file, text in files.items():
        (tmp_path / f"{name}_{file}.py").write_text(text)
    return name


def test_a_model_of_the_zoo_holds_for_this_tool_and_torch():
    versions = versions_of("nin(num_classes=3)")
    assert versions.keys() == {"inception_lab", "torch"}
    # where its files are worked on, a checksum of them stands behind
    assert versions["inception_lab"].partition("+")[0] == version("inception_lab")
    assert versions["torch"] == version("torch")


def test_a_model_of_a_package_holds_for_its_version():
    assert versions_of("click:Command")["click"] == version("click")
    assert "source" not in versions_of("click:Command")


@pytest.mark.parametrize("factory", ["net", "partial", "built"])
@pytest.mark.parametrize(
    "file", ["main", "constants", "later", "package/__init__", "package/blocks", "package/sizes"]
)
def test_every_file_that_a_factory_imports_counts(own, factory, file):
    model = f"{own}_main:{factory}"
    before = versions_of(model)
    path = Path(f"{own}_{file}.py")
    text = path.read_text()
    path.write_text(text + "# changed\n")
    assert versions_of(model)["source"] != before["source"]
    path.write_text(text)
    assert versions_of(model) == before


def test_a_file_that_is_not_imported_does_not_count(own):
    model = f"{own}_main:net"
    before = versions_of(model)
    Path(f"{own}_unused.py").write_text("changed = True\n")
    assert versions_of(model) == before


def test_packages_that_own_code_imports_count(own):
    path = Path(f"{own}_constants.py")
    path.write_text("def width():\n    import click\nWIDTH = 4\n")
    assert versions_of(f"{own}_main:net")["click"] == version("click")


def test_a_path_names_the_same_code_as_a_module(own):
    assert versions_of(f"./{own}_main.py:net") == versions_of(f"{own}_main:net(width=3)")


def test_code_that_changed_after_its_import_is_refused(own):
    model = f"{own}_main:net"
    assert loaded_versions_of(model) == versions_of(model)
    Path(f"{own}_constants.py").write_text("WIDTH = 5\n")
    with pytest.raises(
        InceptionLabError, match=rf"^{own}_main:net: its code has changed since .*; start Python"
    ):
        loaded_versions_of(model)


def test_a_worker_with_other_versions_is_refused():
    own = versions_of("nin")
    check_versions("nin", tuple(own.items()))
    with pytest.raises(
        InceptionLabError, match=re.escape(f"a worker has torch {own['torch']}, this process has 1.0; start")
    ):
        check_versions("nin", tuple((own | {"torch": "1.0"}).items()))
    with pytest.raises(InceptionLabError, match="a worker does not find it"):
        check_versions("/nowhere/nets.py:net", tuple(own.items()))


def test_a_model_is_located_by_the_path_of_its_file(own):
    path = Path(f"{own}_main.py").resolve()
    assert located(f"{own}_main:net") == f"{path}:net"
    assert located(f" ./{own}_main.py:net(width=3)") == f"{path}:net(width=3)"
    assert located("nin(num_classes=3)") == "nin(num_classes=3)"
    assert located("click:Command") == "click:Command"


def test_names_that_a_file_imports(tmp_path):
    file = tmp_path / "blocks.py"
    file.write_text(
        "import a.b\nfrom c import d as e\nfrom . import f\nfrom ..g import h\nif a:\n    import i\n"
    )
    names = imported_names("top.inner.blocks", file)
    assert {"a", "a.b", "c.d", "top.inner.f", "top.g.h", "i", "top.inner"} <= names
    assert imported_names("blocks", file) >= {"a.b", "i"}


@pytest.mark.parametrize("content", [b"\x7fELF\x00\x01", b"def (:", b"(" * 5000])
def test_a_file_that_is_not_python_imports_nothing(tmp_path, content):
    file = tmp_path / "blocks.so"
    file.write_bytes(content)
    assert imported_names("blocks", file) <= {"blocks"}


def test_python_itself_is_no_code_of_the_user():
    assert versions_of("collections:OrderedDict").keys() == {"inception_lab", "torch"}
    assert "collections" in sys.modules
