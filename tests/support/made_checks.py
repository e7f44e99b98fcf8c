"""Checks made by hand, for tests of what is made of them."""

from pathlib import Path

from inception_lab.budgets.budget import Budget, Growth, Limit, Ratio
from inception_lab.budgets.verdict import Change, Check, Finding, Verdict

CONFIGURATION = Path("/repo/sub/pyproject.toml")
CHANGES = (
    Change("inception4e.branch3.conv5x5.conv", 20e6, 118e6),
    Change("inception5a.new", 0, 22e6),
    Change("stem.conv1", 30e6, 29e6),
    Change("stem.old", 10e6, 0),
)


def budget(name, *limits, **fields):
    """A budget of googlenet with these limits."""
    values = {"model": "googlenet", "kwargs": {}, "input_sizes": (), "batch_size": 1, "mode": "eval"}
    return Budget(**{"name": name, "optimizer": None, "limits": limits, "line": 4} | values | fields)


def verdict(name, *findings, error="", **fields):
    """The verdict on a budget with these findings."""
    return Verdict(budget(name, *(finding.limit for finding in findings), **fields), findings, error)


KEPT = Finding(Limit("params", most=7e6, line=5), 6_998_552.0, 7e6, True, 6_998_552.0)
BROKEN = Finding(
    Limit("macs", most=1.6e9, growth=Growth(1.0, None), message="phones: ask Ada, 100% sure", line=6),
    1_709_000_000.0, 1.6e9, False, 1_600_000_000.0, CHANGES,
    "1,709,000,000 is 109,000,000 (6.81 %) above the maximum of 1,600,000,000",
)  # fmt: skip
WARNED = Finding(
    Limit("peak_bytes", layers="stem.*", most=2**20, severity="warn", line=7),
    2.0**21, 2.0**20, False, None, (), "2,097,152 is 1,048,576 (100 %) above the maximum of 1,048,576",
)  # fmt: skip
TOO_FEW = Finding(
    Limit("receptive_field", least=224, line=8), 215.0, 224.0, False, 300.0,
    (Change("a", 300.0, 215.0), Change("b", 3.0, 5.0)), "215 is 9 (4.02 %) below the minimum of 224",
)  # fmt: skip
UNTOLD = Finding(
    Limit("time", ratio=Ratio(2.0, "vgg16"), line=9), None, None, False, reason="vgg16 cannot be built"
)

ALL = Check(
    CONFIGURATION,
    (
        verdict("good", KEPT),
        verdict("big", KEPT, BROKEN, WARNED, line=4),
        verdict("loud", WARNED),
        verdict("small", TOO_FEW, UNTOLD),
        verdict("absent", model="nowhere:Net", line=20, error="nowhere:Net: no module named 'nowhere'"),
    ),
    CONFIGURATION.parent / "inception-lab.lock",
)
PASSED = Check(CONFIGURATION, (verdict("good", KEPT),))
