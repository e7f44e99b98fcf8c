"""A current folder with files of a user's own, which are forgotten afterwards."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from inception_lab.loading.namesakes import FOLDERS


@contextmanager
def own_folder(place: Path, files: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder the current one, with files in it, and forget what was imported of them afterwards.

    Args:
        place: The folder.
        files: Contents by name.
        monkeypatch: Puts the current folder back.
    """
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(place)
    yield place
    FOLDERS.clear()
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(place)):
            del sys.modules[name]
