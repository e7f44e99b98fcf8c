"""Ceilings kept from one process to the next, in the user's folder for caches."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from inception_lab.errors import InceptionLabError
from inception_lab.files import write_text
from inception_lab.measure.roofline.limits import Ceilings

KEY = ("machine", "device", "torch", "threads", "dtype", "tf32", "precision")
"""The fields that ceilings are kept by."""


def cache_folder() -> Path:
    """Return the folder for caches: `$XDG_CACHE_HOME/inception_lab`, by default in `~/.cache`.

    A relative path is ignored, as the XDG Base Directory Specification says.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "inception_lab"


def cache_file(key: tuple[object, ...]) -> Path:
    """Return the file of the ceilings with these values of `KEY`."""
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return cache_folder() / f"ceilings_{digest[:16]}.json"


def key_of(ceilings: Ceilings) -> tuple[object, ...]:
    """Return the values that ceilings are kept by."""
    return tuple(getattr(ceilings, name) for name in KEY)


def load(key: tuple[object, ...]) -> Ceilings | None:
    """Return the ceilings that were kept, None where there are none or their file is damaged."""
    try:
        ceilings = Ceilings.from_dict(json.loads(cache_file(key).read_text(encoding="utf-8")))
    # from_dict raises a ValueError; a user without a home, or JSON without an end, is a RuntimeError
    except (OSError, ValueError, RuntimeError):
        return None
    return ceilings if key_of(ceilings) == key else None


def save(ceilings: Ceilings) -> None:
    """Keep ceilings; where nothing can be written they are measured again the next time."""
    with suppress(InceptionLabError, RuntimeError):
        write_text(cache_file(key_of(ceilings)), json.dumps(ceilings.to_dict(), indent=2))
