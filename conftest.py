"""Set-up of all tests and doctests."""

import gc

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes what tests compare with anew."""
    parser.addoption("--update-golden", action="store_true", help="write expected outputs anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether expected outputs are to be written anew."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Keep ceilings in a folder of the tests' own, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="module")
def _few_objects_to_collect() -> None:
    """Put all that there is out of sight of the collector, which real runs have go through everything."""
    gc.collect()
    gc.freeze()
