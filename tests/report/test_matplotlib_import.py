"""Plots are the same whatever the user's settings of matplotlib are, and whether they can be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DRAW = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from support.report_nets import tiny;"
    "from inception_lab.report.plots import MODEL_PLOTS;"
    "from hashlib import sha256;"
    "from inception_lab.report.sizes import KINDS;"
    "images = MODEL_PLOTS['cost_along_depth'].images(tiny(), kinds=KINDS);"
    "print(*(sha256(image).hexdigest() for image in images.values()))"
)
IMPORT = "import inception_lab.report.plots, matplotlib as m, os, logging;"
PRINT = "print(m.rcParams['lines.linewidth'], logging.getLogger('matplotlib').level)"
BROKEN, NONSENSE = b"\xff\xfe", b"font.size: huge\nno colon\nbackend: nonsense"


def _run(folder: Path, code: str = DRAW, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    paths = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code, str(TESTS)],
        cwd=folder,
        env=environment | {"PYTHONPATH": paths, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def _drawn(folder: Path, **variables: str) -> str:
    """Hashes of a plot, of which nothing else is said."""
    run = _run(folder, **variables)
    assert (run.stderr, run.returncode) == ("", 0)
    return run.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hashes where nothing is set."""
    return _drawn(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_the_backend_does_not_matter(tmp_path: Path, plain: str, backend: str) -> None:
    assert _drawn(tmp_path, MPLBACKEND=backend) == plain


@pytest.mark.parametrize(
    ("place", "settings"),
    [("here", BROKEN), ("variable", BROKEN), ("home/matplotlib", NONSENSE), ("here", b"text.usetex: True")],
)
def test_settings_do_not_matter(tmp_path: Path, plain: str, place: str, settings: bytes) -> None:
    file = tmp_path / place / "matplotlibrc"
    file.parent.mkdir(parents=True)
    file.write_bytes(settings)
    variables = {"MATPLOTLIBRC": str(file)} if place == "variable" else {}
    folder = file.parent if place == "here" else tmp_path
    assert _drawn(folder, XDG_CONFIG_HOME=str(tmp_path / "home"), **variables) == plain


def test_a_broken_style_does_not_matter(tmp_path: Path, plain: str) -> None:
    styles = tmp_path / "matplotlib" / "stylelib"
    styles.mkdir(parents=True)
    (styles / "mine.mplstyle").write_bytes(BROKEN)
    assert _drawn(tmp_path, XDG_CONFIG_HOME=str(tmp_path)) == plain


@pytest.mark.parametrize("variables", [("MPLCONFIGDIR",), ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")])
def test_folders_that_cannot_be_written_do_not_matter(
    tmp_path: Path, plain: str, variables: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    assert _drawn(tmp_path, **dict.fromkeys(variables, str(tmp_path / "file" / "below"))) == plain


def test_warnings_taken_for_errors_do_not_matter(tmp_path: Path, plain: str) -> None:
    assert _drawn(tmp_path, PYTHONWARNINGS="error") == plain


def test_the_users_own_plots_keep_their_backend(tmp_path: Path) -> None:
    code = f"{IMPORT} print(m.rcParams['backend'], os.environ['MPLBACKEND'])"
    assert _run(tmp_path, code, MPLBACKEND="svg").stdout == "svg svg\n"


def test_the_users_own_plots_keep_their_settings(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 7\n")
    assert _run(tmp_path, IMPORT + PRINT).stdout == "7.0 0\n"


def test_matplotlib_that_is_there_already_stays(tmp_path: Path) -> None:
    before = "import matplotlib as m; m.rcParams['lines.linewidth'] = 7;"
    assert _run(tmp_path, before + IMPORT + PRINT).stdout == "7.0 0\n"


INTERRUPTED = """
import signal, sys
from inception_lab import interrupts

class Sends:
    def find_spec(self, name, path=None, target=None):
        if name == "mpl_toolkits.mplot3d":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Sends())
with interrupts.raised():
    import inception_lab.report.plots
"""


def test_a_request_to_end_is_no_broken_installation(tmp_path: Path) -> None:
    run = _run(tmp_path, INTERRUPTED)
    assert run.stderr.splitlines()[-1] == "inception_lab.interrupts.Interrupted: 2"
    assert "Axes3D" not in run.stderr
