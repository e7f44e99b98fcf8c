"""Every script runs on one thread; the tests after it do not."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
