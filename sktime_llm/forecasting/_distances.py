"""Distances of two samples in many dimensions, and what chance makes of them."""

from collections.abc import Callable

import numpy as np
from scipy.stats import wasserstein_distance

Distance = Callable[[np.ndarray, np.ndarray], float]
_N_DIRECTIONS, _N_PERMUTATIONS = 64, 20
_FLOOR = 1e-12  # of a variance


def sliced_wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """Mean 1-Wasserstein distance of (sample, feature) projected on 64 directions.

    The directions are random, the same ones for samples of the same width.
    """
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(first.shape[1], _N_DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    pairs = zip((first @ directions).T, (second @ directions).T, strict=True)
    return float(np.mean([wasserstein_distance(a, b) for a, b in pairs]))


def gaussian_kl(first: np.ndarray, second: np.ndarray) -> float:
    """Kullback-Leibler divergence of the first from the second, mean over features.

    Each feature of (sample, feature) is taken for a Gaussian of its own: samples are
    too few for covariances. A constant one has a deviation of a millionth.
    """
    shift = first.mean(axis=0) - second.mean(axis=0)
    variance, other = (each.var(axis=0) + _FLOOR for each in (first, second))
    each = np.log(other / variance) / 2 + (variance + shift**2) / (2 * other) - 0.5
    return float(each.mean())


def by_chance(distance: Distance, first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance of two samples of these sizes if both are of one distribution.

    That is, if it does not matter which rows are in which: over 20 random permutations.
    """
    rng = np.random.default_rng(0)
    rows = np.concatenate([first, second])
    found = []
    for _ in range(_N_PERMUTATIONS):
        mixed = rng.permutation(rows)
        found.append(distance(mixed[: len(first)], mixed[len(first) :]))
    return float(np.mean(found))
