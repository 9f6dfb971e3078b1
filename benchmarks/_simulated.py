"""Series to pretrain on: simulated ones, and short pieces of longer ones."""

import numpy as np
from scipy.signal import lfilter

# the fewest and the most values of a series; as in the competitions, by the season
LENGTHS = {1: (30, 80), 4: (40, 120), 12: (60, 160)}
BURN_IN = 200
PIECES = {"yearly": 6, "quarterly": 1, "monthly": 6}  # of each series


def simulate(season: int, rng: np.random.Generator) -> np.ndarray:
    """Return a series: a trend, a season, a cycle, a break, each in some, and noise.

    Half of them are exponentials of such sums, which makes them positive and skewed.
    """
    n = int(rng.integers(*LENGTHS[season]))
    values = trend(n, rng) + noise(n, rng)
    if season > 1 and rng.random() < 0.8:
        values += seasons(n, season, rng)
    if rng.random() < (0.5 if season == 1 else 0.25):
        values += cycles(n, season, rng)
    if rng.random() < 0.1:
        values[rng.integers(n) :] += rng.normal(scale=1.5)
    if rng.random() < 0.5:
        values = np.exp(values * rng.uniform(0.1, 0.9))
    return values


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
