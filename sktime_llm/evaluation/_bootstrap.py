"""Confidence intervals of paired differences over seeds, folds and series."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from scipy import stats

FACTORS = ("seeds", "folds", "series")
_N_DRAWS, _CHUNK = 2000, 500
_TAIL = 0.025  # on each side of a 95 % interval


class Gain(NamedTuple):
    """How much lower one error is than another, in percent, and what it depends on.

    `lower` and `upper` are NaN of one fit each, and all are if the other error is 0.
    `deviations` are the standard deviations over draws of one of `FACTORS` alone.
    """

    mean: float
    lower: float
    upper: float
    deviations: dict[str, float]

    @property
    def deviation(self) -> float:
        """Standard deviation over draws of all factors."""
        return float(np.sqrt(sum(one**2 for one in self.deviations.values())))


def gain_of(error: np.ndarray, other: np.ndarray) -> Gain:
    """Return the gain of an error over another, with a 95 % interval.

    Errors are (seed, fold, series).

    Seeds, folds and series are drawn with replacement, each by itself, and both errors
    are taken at the same draws. So what all folds of a series share does not count as
    often as there are folds. A factor of one has no draws: the interval holds for it
    only. Few draws tell little of how much they vary, so the interval is widened by the
    quantiles of Student's t, each factor by its share in the variance. NaN, where
    nothing was observed, counts in neither error.

    The interval is conservative, as what differs from fit to fit without any pattern is
    drawn with each factor, up to three times. Of 3 seeds, 3 folds and 20 series it is
    1.1 times as wide as 1.96 standard deviations on each side if series make all the
    difference, 1.6 times if fits differ as much by themselves, and 4 times if only
    these do; of 5, 5 and 50 it is 1.0, 1.2 and 3 times as wide. Sources: A. B. Owen
    (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1; T. Hesterberg
    (2015), What teachers should know about the bootstrap, American Statistician 69.
    """
    observed = np.isfinite(other)
    # what was observed nowhere is nothing to draw
    kept = np.ix_(*(observed.any(axis=rest) for rest in ((1, 2), (0, 2), (0, 1))))
    error, other = error[kept], other[kept]
    # Zeros change both sums alike, and so not their ratio.
    error, other = np.nan_to_num(error), np.nan_to_num(other)
    if not other.any():
        return Gain(np.nan, np.nan, np.nan, dict.fromkeys(FACTORS, 0.0))
    mean = 100 * (1 - error.mean() / other.mean())
    if error.size == 1:
        return Gain(float(mean), np.nan, np.nan, dict.fromkeys(FACTORS, 0.0))
    draws = _gains(error, other, FACTORS)
    deviations = {
        factor: float(np.nanstd(_gains(error, other, [factor]))) for factor in FACTORS
    }
    bounds = np.nanpercentile(draws, [100 * _TAIL, 100 * (1 - _TAIL)])
    lower, upper = mean + _widening(deviations, error.shape) * (bounds - mean)
    upper = min(upper, 100.0)  # of no error at all
    return Gain(float(mean), float(lower), float(upper), deviations)


def _widening(deviations: dict[str, float], shape: tuple[int, ...]) -> float:
    squares = np.array([one**2 for one in deviations.values()])
    if not squares.any():
        return 1.0
    wide = [_square(n) for n in shape] @ squares
    return float(np.sqrt(wide / squares.sum()) / stats.norm.ppf(1 - _TAIL))


def _square(n: int) -> float:
    """Return what the variance over draws of n is multiplied by for an interval."""
    n = max(n, 2)
    return float(n / (n - 1) * stats.t.ppf(1 - _TAIL, n - 1) ** 2)


def draws_that_would_tell(
    gain: Gain, shape: tuple[int, ...]
) -> tuple[str, int, int | None]:
    """Return the factor that a gain depends on most, its size, and a sufficient one.

    That is the least size with which the 95 % interval would not have 0 in it, if all
    else stayed as it is; None if there is none up to a hundred times as many.
    """
    squares = {
        factor: deviation**2 * _square(n)
        for (factor, deviation), n in zip(gain.deviations.items(), shape, strict=True)
    }
    sizes = dict(zip(squares, shape, strict=True))
    factor = max(squares, key=squares.__getitem__)
    own, n = squares.pop(factor), sizes[factor]
    room = gain.mean**2 - sum(squares.values())
    of_one = own / _square(n) * n / (1 - 1 / max(n, 2))  # variance of a single draw
    for more in range(n + 1, 100 * n + 1):
        spread = float(stats.t.ppf(1 - _TAIL, more - 1)) ** 2 * of_one / more
        if spread < room:
            return factor, n, more
    return factor, n, None


def _gains(error: np.ndarray, other: np.ndarray, drawn: Collection[str]) -> np.ndarray:
    """Return gains over draws of some factors, in percent, or NaN."""
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(0, _N_DRAWS, _CHUNK):
        seeds, folds, series = (
            _weights(rng, n) if factor in drawn else np.full((_CHUNK, n), 1 / n)
            for factor, n in zip(FACTORS, error.shape, strict=True)
        )
        means = [
            np.einsum("sfb,bs,bf->b", each @ series.T, seeds, folds)
            for each in (error, other)
        ]
        means[1][means[1] == 0] = np.nan  # nothing that was drawn was observed
        parts.append(100 * (1 - means[0] / means[1]))
    return np.concatenate(parts)


def _weights(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return the share of each of n in draws with replacement, (draw, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=_CHUNK) / n
