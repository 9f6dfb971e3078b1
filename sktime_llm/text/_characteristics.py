"""Numbers that say how a series behaves; missing values are ignored."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CONSTANT_WITHIN = 1e-12
"""Range of a constant series, relative to its largest value: rounding errors."""
_MIN_DIVISOR = 1e-6
"""Added to a deviation and at least a variance, to keep rounding errors small."""
_MIN_PAIRS = 8
"""Changes in a half of the span, or pairs a lag apart, that are needed to compare."""

_MIN_CORRELATION = 0.25
_MIN_PROMINENCE = 0.2
_HIGH = 0.6
_CLEARLY_HIGHER = 0.1

_MIN_REGIME = 10
"""Observations in the shortest regime."""
_MIN_VARIANCE_EXPLAINED = 0.2
_MIN_SHARPNESS = 0.75
_MAX_SHIFTS = 2


class Season(NamedTuple):
    """A lag at which the series, without its trend, resembles itself."""

    lag: int
    autocorrelation: float


class LevelShift(NamedTuple):
    """A change of the mean, at a position between 0 and 1 in the span."""

    position: float
    before: float
    after: float


@dataclass(frozen=True)
class Characteristics:
    """How a series behaves; values are in the data's own units, NaN if unknown."""

    n_steps: int
    n_observed: int
    longest_gap: int
    """Largest number of missing values in a row."""
    mean: float = np.nan
    deviation: float = 0.0
    minimum: float = np.nan
    maximum: float = np.nan
    peak: float = 0.0
    trough: float = 0.0
    """Where in the span the maximum and the minimum are first reached, from 0 to 1."""
    change: float = 0.0
    trend_strength: float = 0.0
    """Rise of the least-squares line, and its adjusted share of the variance."""
    recent: float = 0.0
    """Mean of the last tenth of the span minus the mean, in standard deviations."""
    roughness: float = 0.0
    roughness_growth: float = 1.0
    """Standard deviation of the changes from step to step over that of the values: near
    0 for a smooth series, 1.4 for white noise. Growth is second half over first."""
    seasons: tuple[Season, ...] = ()
    shifts: tuple[LevelShift, ...] = ()


def characterize(values: Array, seasonal_period: int | None = None) -> Characteristics:
    """Compute the characteristics of a series, (time,), NaN where missing."""
    time = np.flatnonzero(~np.isnan(values))
    n_steps, n_observed = len(values), len(time)
    gap = int(np.diff(time, prepend=-1, append=n_steps).max()) - 1
    if n_observed == 0:
        return Characteristics(n_steps, n_observed, gap)
    unit = _unit(values[time])
    observed = values[time] / unit
    mean = float(observed.mean())
    deviation = float(observed.std())
    if np.ptp(observed) <= _CONSTANT_WITHIN:
        level = unit * mean
        return Characteristics(n_steps, n_observed, gap, level, 0.0, level, level)
    line, strength = _trend(time, observed)
    detrended, grid = np.full((2, n_steps), np.nan)
    detrended[time] = observed - mean - line * (time - time.mean())
    grid[time] = (observed - mean) / deviation
    roughness, growth = _roughness(grid)
    recent = _known(grid[-max(1, n_steps // 10) :])
    return Characteristics(
        n_steps=n_steps,
        n_observed=n_observed,
        longest_gap=gap,
        mean=unit * mean,
        deviation=unit * deviation,
        minimum=unit * float(observed.min()),
        maximum=unit * float(observed.max()),
        peak=time[observed.argmax()] / (n_steps - 1),
        trough=time[observed.argmin()] / (n_steps - 1),
        change=unit * line * (n_steps - 1),
        trend_strength=strength,
        recent=float(recent.mean()) if len(recent) else np.nan,
        roughness=roughness,
        roughness_growth=growth,
        seasons=_seasons(detrended, seasonal_period),
        shifts=_level_shifts(time / n_steps, observed, unit),
    )


def _known(values: Array) -> Array:
    return values[~np.isnan(values)]


def _unit(observed: Array) -> float:
    """Return a power of two near the largest value, so that squares do not overflow."""
    largest = np.abs(observed).max()
    return float(np.ldexp(1.0, np.frexp(largest)[1] - 1)) if largest else 1.0


def _trend(time: NDArray[np.intp], observed: Array) -> tuple[float, float]:
    """Return the slope of the least-squares line and its share of the variance."""
    count = len(time)
    if count < 3:
        return 0.0, 0.0
    centered, rest = time - time.mean(), observed - observed.mean()
    slope = float(centered @ rest / (centered @ centered))
    explained = slope**2 * float(centered @ centered / (rest @ rest))
    adjusted = 1 - (1 - explained) * (count - 1) / (count - 2)
    return slope, min(1.0, max(0.0, adjusted))


def _roughness(grid: Array) -> tuple[float, float]:
    """Return the size of the changes between steps, and its growth between halves."""
    changes = np.diff(grid)
    halves = [_known(half) for half in np.array_split(changes, 2)]
    known = np.concatenate(halves)
    whole = float(known.std()) if len(known) else 0.0
    if min(len(half) for half in halves) < _MIN_PAIRS:
        return whole, 1.0
    first, second = (float(half.std()) + _MIN_DIVISOR for half in halves)
    return whole, second / first


def _seasons(detrended: Array, seasonal_period: int | None) -> tuple[Season, ...]:
    """Measure the given season, or find at most two, the shorter first."""
    known = _known(detrended)
    if len(known) < _MIN_PAIRS or np.ptp(known) <= _CONSTANT_WITHIN:
        return ()
    correlation, pairs = _autocorrelation(detrended)
    if seasonal_period is None:
        chance = _highest_by_chance(correlation, pairs, len(detrended))
        lags = _dominant_lags(correlation, pairs, chance)
    elif seasonal_period >= len(pairs) or pairs[seasonal_period] < _MIN_PAIRS:
        return ()
    else:
        lags = [seasonal_period]
    return tuple(Season(lag, float(correlation[lag])) for lag in lags)


def _autocorrelation(detrended: Array) -> tuple[Array, Array]:
    """Return the correlation of all pairs a lag apart, and the number of pairs.

    Lags go up to half the span. Mean and variance are those of the pairs, or the lag of
    a season would be wrong where the span is not a multiple of it.
    """
    observed = ~np.isnan(detrended)
    length = len(detrended)
    padded = 2 * length  # so that no pair wraps around
    values = np.where(observed, detrended / np.nanstd(detrended), 0.0)
    one, first, square = np.fft.rfft([observed, values, values**2], padded)

    def sums(earlier: NDArray[np.complex128], later: NDArray[np.complex128]) -> Array:
        return np.fft.irfft(earlier.conj() * later, padded)[: length // 2 + 1]

    pairs = sums(one, one).round()
    count = np.maximum(pairs, 1)
    earlier, later = sums(first, one), sums(one, first)
    covariance = sums(first, first) - earlier * later / count
    variances = (
        sums(square, one) - earlier**2 / count,
        sums(one, square) - later**2 / count,
    )
    scale = np.sqrt(np.maximum(variances, _MIN_DIVISOR).prod(axis=0))
    return covariance / scale, pairs


def _dominant_lags(correlation: Array, pairs: Array, chance: Array) -> list[int]:
    valid = (pairs >= _MIN_PAIRS) & (correlation > _MIN_CORRELATION)
    valid &= correlation > chance
    # the autocorrelation of a season falls and rises again; a slow drift only falls
    valid &= correlation - np.minimum.accumulate(correlation) > _MIN_PROMINENCE
    inner = correlation[1:-1]
    valid[1:-1] &= (inner >= correlation[:-2]) & (inner >= correlation[2:])
    lags = np.flatnonzero(valid[:-1])
    if len(lags) == 0:
        return []
    highest = correlation[lags].max()
    # multiples of a season are as high as the season, so the shortest lag counts
    season = _first_peak(correlation, lags, _HIGH * highest)
    # a clearly higher one is a second season, as a week is besides a day
    longer = _first_peak(correlation, lags, highest - _CLEARLY_HIGHER / 2)
    excess = correlation[longer] - correlation[season]
    if excess > max(_CLEARLY_HIGHER, 2 / np.sqrt(pairs[longer])):
        return [season, longer]
    return [season]


def _first_peak(correlation: Array, lags: NDArray[np.intp], minimum: float) -> int:
    first = int(lags[correlation[lags] >= minimum][0])
    # noise makes small peaks on the slope of a broad one
    return first + int(correlation[first : first + first // 3 + 1].argmax())


def _highest_by_chance(correlation: Array, pairs: Array, length: int) -> Array:
    """Return the highest autocorrelation to expect at a lag without seasons.

    Bartlett's formula gives the variance of an autocorrelation from the correlations of
    neighbors, here those before the first negative one. The largest of m independent
    standard normal values is about the root of 2 log m.
    """
    negative = correlation <= 0
    first = int(negative.argmax()) if negative.any() else len(correlation)
    alike = 2 * float((correlation[1:first] ** 2).sum())
    independent_lags = max(2.0, len(correlation) / (1 + alike))
    overlaps = length - np.arange(len(pairs))
    variance = alike / overlaps + 1 / np.maximum(pairs, 1)
    return np.sqrt(2 * np.log(independent_lags) * variance)


def _level_shifts(
    position: Array, observed: Array, unit: float
) -> tuple[LevelShift, ...]:
    """Find at most two shifts, in the order of time, by binary segmentation."""
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
