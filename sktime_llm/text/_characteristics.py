"""Numbers that say how a series behaves; missing values are ignored."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sktime_llm.text._level_shifts import LevelShift, find_level_shifts
from sktime_llm.text._seasons import Season, find_seasons

Array = NDArray[np.float64]

_CONSTANT_WITHIN = 1e-12
"""Range of a constant series, relative to its largest value: rounding errors."""
_MIN_DEVIATION = 1e-6
"""Added to a divisor, so that rounding errors do not become large."""
_MIN_CHANGES = 8
"""Changes in each half of the span that are needed to compare the two."""


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
        seasons=find_seasons(detrended, seasonal_period),
        shifts=find_level_shifts(time / n_steps, observed, unit),
    )


def _unit(observed: Array) -> float:
    """Return a power of two near the largest value.

    In this unit squares neither overflow nor vanish, and dividing by it is exact.
    """
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
    halves = [half[~np.isnan(half)] for half in np.array_split(changes, 2)]
    known = np.concatenate(halves)
    whole = float(known.std()) if len(known) else 0.0
    if min(len(half) for half in halves) < _MIN_CHANGES:
        return whole, 1.0
    first, second = (float(half.std()) + _MIN_DEVIATION for half in halves)
    return whole, second / first
