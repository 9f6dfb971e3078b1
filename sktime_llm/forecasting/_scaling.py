"""Standardisation of series by the statistics of their training part."""

from typing import NamedTuple

import numpy as np


class Scaling(NamedTuple):
    """Location and scale of one series, each of shape (channel,)."""

    loc: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Scaling":
        """Mean and biased standard deviation over time; scale 1 where it is zero.

        A deviation that is only rounding of the mean is zero. Missing values do not
        count; without any value the mean is 0.
        """
        there = np.isfinite(values)
        n = np.maximum(there.sum(axis=0), 1)
        loc = np.where(there, values, 0.0).sum(axis=0) / n
        square = np.where(there, values - loc, 0.0) ** 2
        deviation = np.sqrt(square.sum(axis=0) / n)
        return cls(loc, np.where(deviation > 1e-9 * np.abs(loc), deviation, 1.0))

    @classmethod
    def identity(cls, n_channels: int) -> "Scaling":
        """Give the scaling that changes nothing."""
        return cls(np.zeros(n_channels), np.ones(n_channels))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Standardise (time, channel)."""
        return (values - self.loc) / self.scale

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Bring (time, channel) back to the data's units."""
        return values * self.scale + self.loc
