"""Tables of sweeps with plausible figures, made without a net."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas import DataFrame

METRICS = ["params", "macs", "receptive_field", "peak_bytes", "train_peak_bytes"]
PARAMETERS = ["width", "reduction", "depth", "input_size", "kind", "batch_norm"]
BUDGETS = {"params": (None, 5e6), "macs": (None, 1.2e9)}
REFERENCES = DataFrame(
    [
        ("googlenet", 6_998_552, 1_582_671_872, 907, 60e6, 168e6),
        ("bn_inception", 11.3e6, 2.05e9, 1083, 80e6, 273e6),
        ("alexnet", 61e6, 714e6, 195, 260e6, 1049e6),
        ("nin", 7.6e6, 1.1e9, 355, 70e6, 199e6),
        ("unmeasured", None, None, None, None, None),
    ],
    columns=["model", *METRICS],
)


def made_variants(count: int, seed: int = 0) -> DataFrame:
    """Variants like GoogLeNet's, with the first one partial and the second one failed."""
    draw = np.random.default_rng(seed)
    width, depth = draw.choice([0.5, 0.75, 1.0, 1.25, 1.5], count), draw.integers(1, 4, count)
    kind = draw.choice(["naive", "reduced", "factorised"], count)
    side, norm = draw.choice([160, 192, 224, 256], count), draw.choice([False, True], count)
    reduction = draw.choice([0.25, 0.5, 1.0, 2.0], count)
    cost = np.select([kind == "naive", kind == "reduced"], [2.2, 1.0], 0.8) * (0.7 + 0.3 * reduction)
    params = 1e6 + 4.2e6 * width**2 * (0.6 + 0.4 * depth) * cost
    macs = 1.1e9 * width**2 * (side / 224) ** 2 * (0.55 + 0.45 * depth) * cost
    field = (
        120
        + 150 * depth
        + 90 * (kind == "factorised")
        - 40 * (reduction < 0.5)
        + draw.integers(-20, 20, count)
    )
    peak = 9.4e6 * (side / 224) ** 2 * width * np.sqrt(cost) + 4 * params
    train_peak = 63e6 * (side / 224) ** 2 * width * (0.5 + 0.5 * depth) * (1 + 0.6 * norm) + 12 * params
    parameters = dict(zip(PARAMETERS, (width, reduction, depth, side, kind, norm), strict=True))
    figures = dict(zip(METRICS, (params, macs, field, peak, train_peak), strict=True))
    table = pd.DataFrame(parameters | {name: np.round(values) for name, values in figures.items()})
    table["within_budgets"] = (table["params"] <= 5e6) & (table["macs"] <= 1.2e9)
    table["status"], table["cause"] = "complete", ""
    table.loc[0, "status"], table.loc[1, ["status", "cause"]] = "partial", ["failed", "no room"]
    table.loc[1, METRICS], table.loc[1, "within_budgets"] = np.nan, False
    return table
