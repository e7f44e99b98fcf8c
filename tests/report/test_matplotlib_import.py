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
    "print(*(sha256(MODEL_PLOTS['cost_along_depth'].image(tiny(), kind)).hexdigest() for kind in ('svg', 'png', 'pdf')))"
)


def _run(folder: Path, code: str = DRAW, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    command = [sys.executable, "-c", code, str(TESTS)]
    paths = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        cwd=folder,
        env=environment | {"PYTHONPATH": paths, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Hashes of a plot where nothing is set."""
    return _run(tmp_path_factory.mktemp("plain")).stdout


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "agg", ""])
def test_the_backend_does_not_matter(tmp_path: Path, plain: str, backend: str) -> None:
    drawn = _run(tmp_path, MPLBACKEND=backend)
    assert (drawn.stdout, drawn.stderr, drawn.returncode) == (plain, "", 0)


@pytest.mark.parametrize(
    "settings", [b"\xff\xfe", b"font.size: huge\nno colon\nbackend: nonsense", b"savefig.dpi: 30"]
)
@pytest.mark.parametrize("place", ["here", "by a variable", "at home"])
def test_settings_do_not_matter(tmp_path: Path, plain: str, settings: bytes, place: str) -> None:
    home = tmp_path / "home" / "matplotlib"
    home.mkdir(parents=True)
    file = {
        "here": tmp_path / "matplotlibrc",
        "by a variable": tmp_path / "mine",
        "at home": home / "matplotlibrc",
    }[place]
    file.write_bytes(settings)
    variables = {"MATPLOTLIBRC": str(file)} if place == "by a variable" else {}
    drawn = _run(tmp_path, XDG_CONFIG_HOME=str(home.parent), **variables)
    assert (drawn.stdout, drawn.stderr, drawn.returncode) == (plain, "", 0)


def test_a_broken_style_does_not_matter(tmp_path: Path, plain: str) -> None:
    styles = tmp_path / "matplotlib" / "stylelib"
    styles.mkdir(parents=True)
    (styles / "mine.mplstyle").write_bytes(b"\xff\xfe")
    drawn = _run(tmp_path, XDG_CONFIG_HOME=str(tmp_path))
    assert (drawn.stdout, drawn.stderr, drawn.returncode) == (plain, "", 0)


@pytest.mark.parametrize("variable", ["MPLCONFIGDIR", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"])
def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path, plain: str, variable: str) -> None:
    drawn = _run(tmp_path, **{variable: "/proc/nowhere"})
    assert (drawn.stdout, drawn.stderr, drawn.returncode) == (plain, "", 0)


def test_warnings_taken_for_errors_do_not_matter(tmp_path: Path, plain: str) -> None:
    drawn = _run(tmp_path, PYTHONWARNINGS="error")
    assert (drawn.stdout, drawn.stderr, drawn.returncode) == (plain, "", 0)


def test_the_users_own_plots_keep_their_backend(tmp_path: Path) -> None:
    code = "import os, inception_lab.report.plots, matplotlib as m; print(m.rcParams['backend'], os.environ['MPLBACKEND'])"
    assert _run(tmp_path, code, MPLBACKEND="svg").stdout == "svg svg\n"


def test_the_users_own_plots_keep_their_settings(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 7\n")
    code = "import inception_lab.report.plots, matplotlib as m, logging; print(m.rcParams['lines.linewidth'], logging.getLogger('matplotlib').level)"
    assert _run(tmp_path, code).stdout == "7.0 0\n"


def test_matplotlib_that_is_there_already_stays(tmp_path: Path) -> None:
    code = "import matplotlib as m; m.rcParams['lines.linewidth'] = 7; import inception_lab.report.plots; print(m.rcParams['lines.linewidth'])"
    assert _run(tmp_path, code).stdout == "7.0\n"


def test_nothing_is_imported_in_place_of_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('broken')\n")
    code = "import sys; sys.path.insert(0, '.'); import inception_lab.report.plots"
    assert _run(tmp_path, code).stderr.endswith("ImportError: broken\n")
