"""Standardization of series by the statistics of their training part."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sktime_llm.forecasting._panel import in_stacks

_ROUNDING = 1e-12  # of a mean, relative to it


class Scaling(NamedTuple):
    """Location and scale of one series, each (channel,), in the data's units.

    `known` says which channels vary. The scale of the others is their level, or 1 if
    that is 0, over the number of values: the longer one stands still, the less it is
    expected to move. `filled` makes it a share of the level that others vary by.
    """

    loc: np.ndarray
    scale: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Scaling":
        """Return mean and biased standard deviation over time, of (..., time, channel).

        A deviation that is only rounding of the mean is zero. Missing values do not
        count; without any value the mean is 0.
        """
        observed = np.isfinite(values)
        n = np.maximum(observed.sum(axis=-2), 1)
        loc = np.where(observed, values, 0.0).sum(axis=-2) / n
        square = np.where(observed, values - loc[..., None, :], 0.0) ** 2
        deviation = np.sqrt(square.sum(axis=-2) / n)
        level = np.abs(loc)
        known = deviation > _ROUNDING * level
        still = np.where(level > 0, level, 1.0) / n
        return cls(loc, np.where(known, deviation, still), known)

    @classmethod
    def of_each(
        cls, series: Sequence[np.ndarray], n_train: Sequence[int] | None = None
    ) -> list["Scaling"]:
        """Return `of` each series, many at once.

        Only the first `n_train` rows of each count, and all rows for a channel that
        does not vary in these.
        """
        ends = list(map(len, series)) if n_train is None else n_train
        heads = [values[:end] for values, end in zip(series, ends, strict=True)]
        scalings: list[Any] = [None] * len(series)
        for numbers, stack in in_stacks(heads):
            parts = cls.of(stack)
            is_whole = np.atleast_1d(parts.known.all(axis=1))
            for at, i in enumerate(numbers.tolist()):
                one = cls(*(part[at] for part in parts))
                is_done = is_whole[at] or len(heads[i]) == len(series[i])
                scalings[i] = one if is_done else one.completed(series[i])
        return scalings

    @classmethod
    def joined(cls, scalings: Sequence["Scaling"]) -> "Scaling":
        """Return scalings of series as one of a stack, each (series, channel)."""
        return cls(*map(np.stack, zip(*scalings, strict=True)))

    def completed(self, values: np.ndarray) -> "Scaling":
        """Take what is not known from further values, (time, channel)."""
        keep = self.known | ~np.isfinite(values).any(axis=0)
        if keep.all():
            return self
        its = Scaling.of(values)
        return Scaling(
            np.where(keep, self.loc, its.loc),
            np.where(keep | ~its.known, self.scale, its.scale),
            np.where(keep, self.known, its.known),
        )

    def filled(self, typical: "Typical", before: "Typical | None" = None) -> "Scaling":
        """Scale what stands still by what others typically do, or did before."""
        relative, absolute = typical
        if before is not None:
            relative, absolute = relative / before.relative, absolute / before.absolute
        factor = np.where(self.loc == 0, absolute, relative)
        return self._replace(scale=np.where(self.known, 1.0, factor) * self.scale)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Standardize (time, channel)."""
        return (values - self.loc) / self.scale

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Bring (time, channel) back to the data's units."""
        return values * self.scale + self.loc

    def rescaled(self, scale: float, *, keep_level: bool) -> "Scaling":
        """Return a scaling by a given number, that moves the level to 0 or keeps it."""
        return Scaling(
            np.zeros_like(self.loc) if keep_level else self.loc,
            np.full_like(self.scale, scale),
            np.ones_like(self.known),
        )


def common_scale(each: Iterable[Scaling]) -> float:
    """Return the root mean square of all standard deviations that are known."""
    squares = np.concatenate([one.scale[one.known] ** 2 for one in each])
    return float(np.sqrt(squares.mean())) if len(squares) else 1.0


class Typical(NamedTuple):
    """Medians of the deviations of channels: relative to their level, and as they are.

    The first is at most 1. Where no channel varies, both are 1.
    """

    relative: float
    absolute: float

    @classmethod
    def of(cls, each: Iterable[Scaling]) -> "Typical":
        """Return the medians of all channels that vary."""
        pairs = [(one.scale[one.known], np.abs(one.loc[one.known])) for one in each]
        if not pairs or not sum(len(scale) for scale, _ in pairs):
            return cls(1.0, 1.0)
        scale, level = map(np.concatenate, zip(*pairs, strict=True))
        shares = scale / np.maximum(level, scale)
        return cls(float(np.median(shares)), float(np.median(scale)))
