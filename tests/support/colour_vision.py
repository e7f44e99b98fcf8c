"""Colours as readers with other colour vision see them, and how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Triple = NDArray[np.float64]

NORMAL = np.eye(3)
# Machado, Oliveira & Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", table 1, severity 1.0; of linear RGB
VISIONS: Mapping[str, NDArray[np.float64]] = {
    "normal": NORMAL,
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# IEC 61966-2-1: linear sRGB to XYZ, white D65
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(colour: str, vision: NDArray[np.float64] = NORMAL) -> Triple:
    """CIELAB of a colour such as `#3271c4` as it is seen: lightness from 0 to 100, and two axes of hue."""
    coded = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    x, y, z = map(_cube_root, _XYZ @ np.clip(vision @ linear, 0, 1) / _XYZ.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _cube_root(part: float) -> float:
    return float(np.cbrt(part)) if part > (6 / 29) ** 3 else part / (3 * (6 / 29) ** 2) + 4 / 29


def lightness(colour: str) -> float:
    """The lightness L* of a colour, all that a grey print keeps of it."""
    return float(lab(colour)[0])


def distance(one: str, other: str, vision: NDArray[np.float64] = NORMAL) -> float:
    """The distance of two colours as they are seen, CIE 1976: 2.3 is just noticeable side by side."""
    return float(np.linalg.norm(lab(one, vision) - lab(other, vision)))
