"""Sudden and lasting changes of the level of a series."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MIN_REGIME = 10
"""Observations in the shortest regime."""
_MIN_VARIANCE_EXPLAINED = 0.2
_MIN_SHARPNESS = 0.75
_MAX_SHIFTS = 2


@dataclass(frozen=True)
class LevelShift:
    """A change of the mean, at a position between 0 and 1 in the span."""

    position: float
    before: float
    after: float


def find_level_shifts(
    position: Array, observed: Array, unit: float
) -> tuple[LevelShift, ...]:
    """Find at most two shifts, in the order of time, by binary segmentation.

    Positions in the span and observed values, these in multiples of `unit`, both have
    the shape (observation,).
    """
    total = float(((observed - observed.mean()) ** 2).sum())
    splits: list[int] = []
    segments = [(0, len(observed))]
    while segments and len(splits) < _MAX_SHIFTS:
        start, stop = segments.pop(0)
        split = _split(observed[start:stop], total)
        if split is not None:
            splits.append(start + split)
            segments += [(start, start + split), (start + split, stop)]
    splits.sort()
    levels = [unit * float(part.mean()) for part in np.split(observed, splits)]
    pairs = zip(splits, pairwise(levels), strict=True)
    return tuple(LevelShift(float(position[i]), *pair) for i, pair in pairs)


def _split(part: Array, total: float) -> int | None:
    """Find where the means on both sides differ most, if suddenly and by much."""
    count = len(part)
    shortest = max(_MIN_REGIME, count // 20)
    if count < 2 * shortest:
        return None
    left = np.arange(shortest, count - shortest + 1)
    sums = np.cumsum(part)
    means = sums[left - 1] / left, (sums[-1] - sums[left - 1]) / (count - left)
    explained = left * (count - left) / count * (means[0] - means[1]) ** 2
    best = int(explained.argmax())
    if explained[best] < _MIN_VARIANCE_EXPLAINED * total:
        return None
    split = int(left[best])
    # with a trend, a season or a slow drift the means also differ, but nothing jumps
    jumps = [
        part[split : split + width].mean() - part[split - width : split].mean()
        for width in (_MIN_REGIME // 2, shortest)
    ]
    sharpness = min(jumps / (means[1][best] - means[0][best]))
    return split if sharpness >= _MIN_SHARPNESS else None
