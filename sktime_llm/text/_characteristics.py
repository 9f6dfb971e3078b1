"""Numbers that say how a series behaves; missing values count nowhere."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CONSTANT_WITHIN = 1e-12
"""Range of a constant series, relative to its largest value: what rounding makes."""
_ROUNDING = 1e-6
"""Least of what is divided by, so that what rounding leaves does not become large."""

_MIN_PAIRS = 8
"""Pairs of observations that an autocorrelation needs to count."""
_MIN_CORRELATION = 0.25
_MIN_PROMINENCE = 0.2
_HIGH = 0.6
_CLEARLY_HIGHER = 0.1

_MIN_REGIME = 10
"""Observations in the shortest regime that is told apart."""
_MIN_VARIANCE_EXPLAINED = 0.2
_MIN_SHARPNESS = 0.75
_MAX_SHIFTS = 2


@dataclass(frozen=True)
class Season:
    """A lag at which the series, freed of its trend, resembles itself."""

    lag: int
    autocorrelation: float


@dataclass(frozen=True)
class LevelShift:
    """A sudden and lasting change of the mean.

    Attributes
    ----------
    position : float
        Where in the span, from 0 to 1.
    before, after : float
        Means of the regimes on both sides.
    """

    position: float
    before: float
    after: float


@dataclass(frozen=True)
class Characteristics:
    """How a series behaves, in the data's own units where not said otherwise.

    Attributes
    ----------
    n_steps, n_observed : int
        Length, and how many of the values are there.
    longest_gap : int
        Most missing values in a row.
    mean, deviation, minimum, maximum : float
        Of the observed values; NaN if there are none.
    peak, trough : float
        Where in the span the maximum and the minimum are first reached, from 0 to 1.
    change : float
        Rise of the least-squares line over the span.
    trend_strength : float
        Share of the variance that this line explains, adjusted for its two
        coefficients, from 0 to 1.
    recent : float
        Mean of the last tenth of the span minus the mean, in standard deviations; NaN
        if nothing is observed there.
    roughness : float
        Standard deviation of the changes from step to step, in that of the values: near
        0 for a smooth series, 1.4 for white noise.
    roughness_growth : float
        The same for the second half of the span over the first.
    seasons : tuple of Season
        Dominant lags, at most two, the shorter first.
    shifts : tuple of LevelShift
        At most two, in the order of time.
    """

    n_steps: int
    n_observed: int
    longest_gap: int
    mean: float = np.nan
    deviation: float = 0.0
    minimum: float = np.nan
    maximum: float = np.nan
    peak: float = 0.0
    trough: float = 0.0
    change: float = 0.0
    trend_strength: float = 0.0
    recent: float = 0.0
    roughness: float = 0.0
    roughness_growth: float = 1.0
    seasons: tuple[Season, ...] = ()
    shifts: tuple[LevelShift, ...] = ()


def characterize(values: Array, seasonal_period: int | None = None) -> Characteristics:
    """Compute the characteristics of one series.

    Parameters
    ----------
    values : ndarray of float64 of shape (time,)
        Finite, or NaN where missing.
    seasonal_period : int, optional
        The lag to measure. If None, dominant lags are looked for.

    Returns
    -------
    Characteristics
    """
    time = np.flatnonzero(~np.isnan(values))
    n_steps, n_observed = len(values), len(time)
    gap = _longest_gap(time, n_steps)
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
    grid = np.full(n_steps, np.nan)
    grid[time] = (observed - mean) / deviation
    roughness, growth = _roughness(grid)
    last_tenth = grid[-max(1, n_steps // 10) :]
    recent = last_tenth[~np.isnan(last_tenth)]
    detrended = np.full(n_steps, np.nan)
    detrended[time] = observed - mean - line * (time - time.mean())
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


def _unit(observed: Array) -> float:
    """Power of two near the largest value.

    In this unit squares neither overflow nor vanish, and to divide by it is exact.
    """
    largest = np.abs(observed).max()
    return float(np.ldexp(1.0, np.frexp(largest)[1] - 1)) if largest else 1.0


def _longest_gap(time: NDArray[np.intp], n_steps: int) -> int:
    edges = np.concatenate([[-1], time, [n_steps]])
    return int(np.diff(edges).max()) - 1


def _trend(time: NDArray[np.intp], observed: Array) -> tuple[float, float]:
    """Slope of the least-squares line, and the share of variance that it explains."""
    count = len(time)
    if count < 3:
        return 0.0, 0.0
    centred, rest = time - time.mean(), observed - observed.mean()
    slope = float(centred @ rest / (centred @ centred))
    explained = slope**2 * float(centred @ centred / (rest @ rest))
    adjusted = 1 - (1 - explained) * (count - 1) / (count - 2)
    return slope, min(1.0, max(0.0, adjusted))


def _roughness(grid: Array) -> tuple[float, float]:
    """Size of the changes from step to step; and in the second half over the first."""
    changes = np.diff(grid)
    halves = [half[~np.isnan(half)] for half in np.array_split(changes, 2)]
    known = np.concatenate(halves)
    whole = float(known.std()) if len(known) else 0.0
    if min(len(half) for half in halves) < _MIN_PAIRS:
        return whole, 1.0
    first, second = (float(half.std()) + _ROUNDING for half in halves)
    return whole, second / first


def _autocorrelation(detrended: Array) -> tuple[Array, Array]:
    """Correlation of all pairs a lag apart, and their number; lags to half the span.

    Mean and variance are those of the pairs, or the lag of a season would come out
    wrong where the span is no multiple of it.
    """
    observed = ~np.isnan(detrended)
    length = len(detrended)
    padded = 2 * length  # against wrapping round
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
    scale = np.sqrt(np.maximum(variances, _ROUNDING).prod(axis=0))
    return covariance / scale, pairs


def _seasons(detrended: Array, seasonal_period: int | None) -> tuple[Season, ...]:
    known = detrended[~np.isnan(detrended)]
    if len(known) < _MIN_PAIRS or np.ptp(known) <= _CONSTANT_WITHIN:
        return ()
    correlation, pairs = _autocorrelation(detrended)
    if seasonal_period is None:
        chance = _largest_by_chance(correlation, pairs, len(detrended))
        lags = _dominant_lags(correlation, pairs, chance)
    elif seasonal_period >= len(pairs) or pairs[seasonal_period] < _MIN_PAIRS:
        return ()
    else:
        lags = [seasonal_period]
    return tuple(Season(lag, float(correlation[lag])) for lag in lags)


def _dominant_lags(correlation: Array, pairs: Array, chance: Array) -> list[int]:
    valid = (pairs >= _MIN_PAIRS) & (correlation > _MIN_CORRELATION)
    valid &= correlation > chance
    # a season first unlike itself, then alike again; a slow drift is never the latter
    valid &= correlation - np.minimum.accumulate(correlation) > _MIN_PROMINENCE
    inner = correlation[1:-1]
    valid[1:-1] &= (inner >= correlation[:-2]) & (inner >= correlation[2:])
    lags = np.flatnonzero(valid[:-1])
    if len(lags) == 0:
        return []
    highest = correlation[lags].max()
    # multiples of a season are as high as itself, so the shortest of them counts
    season = _first_peak(correlation, lags, _HIGH * highest)
    # what is clearly higher is a season of its own, as a week is besides a day
    longer = _first_peak(correlation, lags, highest - _CLEARLY_HIGHER / 2)
    excess = correlation[longer] - correlation[season]
    if excess > max(_CLEARLY_HIGHER, 2 / np.sqrt(pairs[longer])):
        return [season, longer]
    return [season]


def _first_peak(correlation: Array, lags: NDArray[np.intp], least: float) -> int:
    first = int(lags[correlation[lags] >= least][0])
    # noise makes small peaks on the slope of a broad one
    return first + int(correlation[first : first + first // 3 + 1].argmax())


def _largest_by_chance(correlation: Array, pairs: Array, length: int) -> Array:
    """Highest autocorrelation to expect at any lag of a series without seasons.

    By Bartlett's formula, neighbours that are alike tell less than independent ones, in
    a proportion that their correlations up to the first negative one give; and the
    largest of m independent standard normal values is about the root of 2 log m.
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
    """Split by binary segmentation at the largest changes of the mean."""
    total = float(((observed - observed.mean()) ** 2).sum())
    splits: list[int] = []
    segments = [(0, len(observed))]
    while segments and len(splits) < _MAX_SHIFTS:
        start, stop = segments.pop(0)
        split = _split(observed[start:stop], total)
        if split is not None:
            splits.append(start + split)
            segments += [(start, start + split), (start + split, stop)]
    edges = [0, *sorted(splits), len(observed)]
    levels = [
        unit * float(observed[start:stop].mean()) for start, stop in pairwise(edges)
    ]
    return tuple(
        LevelShift(float(position[edge]), before, after)
        for edge, before, after in zip(edges[1:], levels, levels[1:], strict=False)
    )


def _split(part: Array, total: float) -> int | None:
    """Where the means on both sides differ most, if that is sudden and matters."""
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
    # a trend, a season or a slow drift also has unlike means, but does not jump
    jumps = [
        part[split : split + width].mean() - part[split - width : split].mean()
        for width in (_MIN_REGIME // 2, shortest)
    ]
    sharpness = min(jumps / (means[1][best] - means[0][best]))
    return split if sharpness >= _MIN_SHARPNESS else None
