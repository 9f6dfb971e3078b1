"""Where the training part of a series ends, and where its windows begin."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sktime_llm.errors import SeriesTooShortError
from sktime_llm.training.windows import Windows, WindowShape, stack_windows


@dataclass(frozen=True)
class Split:
    """Rows at which the windows of several series begin, by series.

    The last part of each series is for validation: only windows whose whole target lies
    in it count; their contexts may reach back into the first part. Training windows lie
    in the first part altogether. A series too short for both only trains.

    Attributes
    ----------
    shape : WindowShape
        Lengths of a window.
    training, validation : list of array of int
        Windows whose targets are altogether missing are left out.
    n_training_rows : list of int
        Rows of each series that are for training.
    """

    shape: WindowShape
    training: list[np.ndarray]
    validation: list[np.ndarray]
    n_training_rows: list[int]

    @property
    def has_both(self) -> bool:
        """Whether there are windows to train on and others to validate on."""
        return all(any(map(len, each)) for each in (self.training, self.validation))

    @classmethod
    def of(
        cls,
        series: Sequence[np.ndarray],
        shape: WindowShape,
        validation_fraction: float,
    ) -> "Split":
        """Split series of shape (time, channel); a fraction of 0 does not validate."""
        training, validation, ends = [], [], []
        for values in series:
            end = n_training_rows(len(values), shape, validation_fraction)
            starts = np.arange(max(0, end - shape.total + 1))
            training.append(with_target(values, starts, shape))
            starts = np.arange(
                end - shape.context_length, len(values) - shape.total + 1
            )
            validation.append(with_target(values, starts, shape))
            ends.append(end)
        return cls(shape, training, validation, ends)

    def windows(
        self, series: Sequence[np.ndarray], device: torch.device
    ) -> tuple[Windows, Windows]:
        """Return the windows for training and validation, the latter may be none.

        Raises
        ------
        SeriesTooShortError
            If there is not one training window.
        """
        if not any(map(len, self.training)):
            shape, longest = self.shape, max(len(values) for values in series)
            target = " and a value in its target" if longest >= shape.total else ""
            raise SeriesTooShortError(
                f"the longest series has {longest} rows; one window needs "
                f"{shape.total}{target}: context_length={shape.context_length} and "
                f"prediction_length={shape.prediction_length}."
            )
        sets = [self.training, self.validation]
        training, validation = stack_windows(series, sets, self.shape, device)
        return training, validation


def split_windows(
    series: Sequence[np.ndarray],
    shape: WindowShape,
    validation_fraction: float,
    device: torch.device,
) -> tuple[Windows, Windows]:
    """Split every series in time, then make the windows of both parts."""
    return Split.of(series, shape, validation_fraction).windows(series, device)


def with_target(
    values: np.ndarray, starts: np.ndarray, shape: WindowShape
) -> np.ndarray:
    """Leave out the starts of windows whose targets are altogether missing.

    Takes one series of shape (time, channel), NaN where a value is missing.
    """
    observed = np.isfinite(values).any(axis=1)
    count = np.concatenate([[0], observed.cumsum()])
    ends = starts + shape.total
    return starts[count[ends] > count[starts + shape.context_length]]


def n_training_rows(n_rows: int, shape: WindowShape, validation_fraction: float) -> int:
    """Return how many rows of a series are for training; all if it is too short."""
    if validation_fraction == 0:
        return n_rows
    n_validation = max(shape.prediction_length, round(validation_fraction * n_rows))
    enough = n_rows - n_validation >= shape.total
    return n_rows - n_validation if enough else n_rows
