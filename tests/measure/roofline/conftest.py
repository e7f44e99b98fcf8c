"""A cache of its own for each test, and kernels small enough to be measured in no time."""

import pytest

from inception_lab.measure.roofline import kernels


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def _small_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "SQUARES", {"cpu": (8, 16)})
    monkeypatch.setattr(kernels, "CONVOLUTIONS", {"cpu": ((1, 2, 4),)})
    monkeypatch.setattr(kernels, "_LEAST_COPY", 2**12)
    monkeypatch.setattr(kernels, "_MOST_COPY", 2**12)
