"""Each model finds the settings that its modules make, whichever of them ran for an earlier model."""

import sys
from pathlib import Path

import pytest
import torch
from support.own_folder import own_folder

from inception_lab.loading.model import trace_model
from inception_lab.loading.options import ModelRequest

NET = "import torch\nfrom torch import nn\nclass Net(nn.Linear):\n    default_cfg = {'input_size': (3,)}\n"
NET += "    def __init__(self):\n        super().__init__(3, 3)\n"
DOUBLE, SINGLE = (
    f"import torch\ntorch.set_default_dtype(torch.{dtype})\n" for dtype in ("float64", "float32")
)

FILES = {
    "double/__init__.py": DOUBLE,
    "double/one.py": NET,
    "double/two.py": NET,
    "single/__init__.py": "",
    "single/one.py": DOUBLE + NET,
    "single/two.py": NET,
    "doubling.py": DOUBLE,
    "by_name.py": "import doubling\n" + NET,
    "by_member.py": "from doubling import torch\n" + NET,
    "by_another.py": "import by_name\n" + NET,
    "again_single.py": "import doubling\n" + SINGLE + NET,
    "no_longer.py": SINGLE + "import doubling\n" + NET,
    "late.py": NET + "from doubling import *\n",
    "alone.py": NET,
    "parts/__init__.py": "",
    "parts/kind.py": DOUBLE,
    "parts/near.py": "from . import kind\n" + NET,
    "parts/far.py": "from .kind import torch\n" + NET,
    "half-done.py": "import doubling\n" + NET,
    "raises.py": "import doubling\nraise RuntimeError\n",
}
DOUBLE_ONES = {
    "double.one", "double.two", "single.one", "by_name", "by_member", "by_another", "no_longer", "late",
    "parts.near", "parts.far", "half-done.py",
}  # fmt: skip
NETS = sorted({*DOUBLE_ONES, "single.two", "again_single", "alone"})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    with own_folder(tmp_path, FILES, monkeypatch) as folder:
        yield folder


def dtype_of(module):
    return trace_model(ModelRequest(f"{module}:Net")).context.dtype


@pytest.mark.parametrize("order", [NETS, NETS[::-1], NETS[::2] + NETS[1::2], [*NETS, *NETS]])
def test_every_net_has_the_dtype_that_it_has_alone(order):
    assert {net for net in order if dtype_of(net) == "float64"} == DOUBLE_ONES
    assert torch.get_default_dtype() is torch.float32


def test_what_a_module_imported_before_it_failed_is_found_by_the_next_one():
    with pytest.raises(ValueError, match="importing it failed: RuntimeError"):
        dtype_of("raises")
    assert dtype_of("by_name") == "float64"
    assert dtype_of("alone") == "float32"


@pytest.mark.parametrize("line", ["sys.path.insert(0, {!r})", "sys.path = [{!r}, *sys.path]"])
def test_places_of_modules_are_found_by_every_net_that_names_them(home, line):
    Path("more").mkdir()
    Path("more/further.py").write_text("")
    Path("placed.py").write_text(f"import sys\n{line.format(str(home / 'more'))}\n")
    for folder in ("left", "right"):
        Path(folder).mkdir()
        Path(folder, f"near_{folder}.py").write_text("")
        Path(folder, f"net_{folder}.py").write_text(f"import placed, further, near_{folder}\n{NET}")
    for folder in ("left", "right"):
        sys.modules.pop("further", None)
        assert dtype_of(f"{folder}/net_{folder}.py") == "float32"


def test_a_relative_import_outside_a_package_is_told_in_pythons_words():
    Path("lost.py").write_text("from . import kind\n")
    with pytest.raises(ValueError, match="attempted relative import with no known parent package"):
        dtype_of("lost")
