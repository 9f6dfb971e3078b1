"""Seasons of a series: lags at which it resembles itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CONSTANT_WITHIN = 1e-12
_MIN_VARIANCE = 1e-6
"""Smallest variance to divide by, so that rounding errors do not become large."""
_MIN_PAIRS = 8
"""Pairs of observations that an autocorrelation needs to count."""
_MIN_CORRELATION = 0.25
_MIN_PROMINENCE = 0.2
_HIGH = 0.6
_CLEARLY_HIGHER = 0.1


@dataclass(frozen=True)
class Season:
    """A lag at which the series, without its trend, resembles itself."""

    lag: int
    autocorrelation: float


def find_seasons(detrended: Array, seasonal_period: int | None) -> tuple[Season, ...]:
    """Measure the given season, or find at most two, the shorter first.

    The series, (time,), is without its trend, and NaN where values are missing.
    """
    known = detrended[~np.isnan(detrended)]
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
    scale = np.sqrt(np.maximum(variances, _MIN_VARIANCE).prod(axis=0))
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
