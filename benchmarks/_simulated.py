"""Series to pretrain on: simulated ones, and short pieces of longer ones."""

import numpy as np
from scipy.signal import lfilter

# the fewest and the most values of a series; as in the competitions, by the season
LENGTHS = {1: (30, 80), 4: (40, 120), 12: (60, 160)}
BURN_IN = 200
PIECES = {"yearly": 6, "quarterly": 1, "monthly": 6}  # of each series
ARIMA = {1: 0.5, 4: 0.5, 12: 0.0}  # share of the processes, by the season


def simulate(season: int, rng: np.random.Generator) -> np.ndarray:
    """Return a series: an ARIMA process, or a sum of what may be in one.

    Half of them are exponentials of such values, which are positive and skewed.
    """
    n = int(rng.integers(*LENGTHS[season]))
    make = arima if rng.random() < ARIMA[season] else components
    values = make(n, season, rng)
    if rng.random() < 0.5:
        values = np.exp(values * rng.uniform(0.1, 0.9))
    return values


def components(n: int, season: int, rng: np.random.Generator) -> np.ndarray:
    """Return a trend, a season, a cycle, a break, each in some series, and noise."""
    values = trend(n, rng) + noise(n, rng)
    if season > 1 and rng.random() < 0.8:
        values += seasons(n, season, rng)
    if rng.random() < (0.5 if season == 1 else 0.25):
        values += cycles(n, season, rng)
    if rng.random() < 0.1:
        values[rng.integers(n) :] += rng.normal(scale=1.5)
    return values


def arima(n: int, season: int, rng: np.random.Generator) -> np.ndarray:
    """Return a process of random orders and weights, in most with a season.

    Of each pair of roots of the autoregression that are complex, a cycle is made. A
    season is one of weights, or of differences, which wander from a random pattern.
    """
    ar = np.real(np.poly(_roots(rng)))
    ma = np.poly(rng.uniform(-0.9, 0.9, int(rng.integers(3))))
    has_season = season > 1 and rng.random() < 0.8
    if has_season and rng.random() < 0.5:
        ar = np.convolve(ar, _seasonal(season, rng.uniform(0, 0.95)))
    if has_season and rng.random() < 0.7:
        ma = np.convolve(ma, _seasonal(season, rng.uniform(0, 0.9)))
    values = lfilter(ma, ar, rng.normal(size=n + BURN_IN))
    n_sums = rng.choice(3, p=[0.3, 0.55, 0.15])
    if has_season and rng.random() < 0.7:
        pattern = rng.normal(size=season) * values.std() * rng.uniform(0.5, 8)
        steps = np.concatenate([pattern - pattern.mean(), values[BURN_IN:]])
        values, n_sums = lfilter([1], _seasonal(season, 1), steps), min(n_sums, 1)
    values = values[-n:]
    for _ in range(n_sums):
        drift = rng.normal() * values.std() * rng.choice([0, 0.3, 1])
        values = np.cumsum(values + drift)
    return _scaled(values - values.mean(), rng.uniform(0.5, 2))


def _roots(rng: np.random.Generator) -> np.ndarray:
    """Return no root, one, or two, real or of a cycle."""
    kind = rng.random()
    if kind < 0.6:
        return rng.uniform(-0.95, 0.95, 1 if kind < 0.35 else 2)
    if kind < 0.85:
        angle = 2j * np.pi / rng.uniform(3, 16)
        root = rng.uniform(0.5, 0.99) * np.exp(angle)
        return np.array([root, root.conjugate()])
    return np.array([])


def _seasonal(season: int, weight: float) -> np.ndarray:
    """Return the polynomial 1 - weight * B ** season."""
    return np.concatenate([[1], np.zeros(season - 1), [-weight]])


def trend(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return nothing, a line, a random walk with drift, or a slope that wanders."""
    kind, steps = rng.random(), rng.normal(size=n)
    if kind < 0.3:
        return np.zeros(n)
    if kind < 0.55:
        return 3 * rng.normal() * np.arange(n) / n
    if kind < 0.8:
        walk = np.cumsum(steps + rng.normal(scale=0.5))
        return walk * rng.uniform(0.5, 2) / np.sqrt(n)
    slopes = lfilter([1], [1, -rng.uniform(0.8, 1)], steps)
    return _scaled(np.cumsum(slopes), rng.uniform(0.3, 2))


def seasons(n: int, season: int, rng: np.random.Generator) -> np.ndarray:
    """Return seasons of any shape or of a few waves, which grow, shrink or stay."""
    shape = rng.normal(size=season)
    if rng.random() < 0.5:
        waves = np.arange(1, season // 2 + 1)
        sizes = rng.normal(size=len(waves)) / waves ** rng.uniform(0.5, 2)
        phases = rng.uniform(0, 2 * np.pi, len(waves))
        angles = 2 * np.pi * np.outer(np.arange(season), waves) / season
        shape = (sizes * np.cos(angles + phases)).sum(axis=1)
    steps = np.arange(n)
    growth = np.exp(rng.normal(scale=0.5) * (steps / n - 0.5))
    pattern = _scaled(shape - shape.mean(), rng.uniform(0.2, 2))
    return growth * pattern[(steps + rng.integers(season)) % season]


def cycles(n: int, season: int, rng: np.random.Generator) -> np.ndarray:
    """Return a damped oscillation that noise drives, with a period of its own."""
    length = rng.uniform(4, 16) if season == 1 else rng.uniform(5, 48)
    damping = 1 - rng.uniform(0.002, 0.06)
    feedback = [1, -2 * damping * np.cos(2 * np.pi / length), damping**2]
    driven = lfilter([1], feedback, rng.normal(size=n + BURN_IN))[BURN_IN:]
    return _scaled(driven, rng.uniform(0.5, 2))


def noise(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise of one of four sizes, in some correlated from step to step."""
    values, share = rng.normal(size=n), 0.0
    if rng.random() < 0.4:
        share = rng.uniform(0.2, 0.9)
        values = lfilter([np.sqrt(1 - share**2)], [1, -share], values)
    return values * rng.choice([0.05, 0.15, 0.3, 0.6])


def piece(
    values: np.ndarray,
    season: int,
    context: int,
    horizon: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a past of a season or more, shorter than a context, and a horizon."""
    n = int(rng.integers(max(4, season), 5 * context // 6)) + horizon
    if len(values) <= n:
        return values
    start = rng.integers(len(values) - n)
    return values[start : start + n]


def _scaled(values: np.ndarray, size: float) -> np.ndarray:
    deviation = values.std()
    return values * size / deviation if deviation > 0 else values
