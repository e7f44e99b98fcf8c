"""The arguments of the race."""

import pytest

from peers.options import parse


@pytest.mark.parametrize(
    "arguments",
    [
        ["--models", "gogglenet"],
        ["--rounds", "0"],
        ["--input-size", "3x8x8"],
        ["--input-size", "32x32"],
    ],
)
def test_wrong_usage_exits_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as exit_info:
        parse(arguments)
    assert exit_info.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_what_is_named_twice_counts_once_and_sizes_are_shapes():
    options = parse(["--models", "nin", "googlenet", "nin", "--batch-sizes", "2", "2"])
    assert (options.models, options.batch_sizes) == (("nin", "googlenet"), (2,))
    assert options.shape("googlenet", 4) == (4, 3, 224, 224)
    assert parse(["--input-size", "3x32x64"]).shape("googlenet", 1) == (1, 3, 32, 64)
