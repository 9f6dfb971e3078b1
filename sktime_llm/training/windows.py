"""Training windows as views of one tensor on the device, and their split in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sktime_llm.errors import SeriesTooShortError
from sktime_llm.networks._interface import Features, ForecastNetwork

_FEATURES_AT_ONCE = 256


@dataclass(frozen=True)
class WindowShape:
    """Lengths of a window, in time steps."""

    context_length: int
    prediction_length: int

    @property
    def total(self) -> int:
        """Steps of context and target together."""
        return self.context_length + self.prediction_length


def shape_of(network: ForecastNetwork) -> WindowShape:
    """Return the shape of the windows that a network takes."""
    return WindowShape(network.context_length, network.prediction_length)


class Windows:
    """Windows over one or more series, gathered in batches without copying the data.

    `values`, (time, channel), are all series, end to end. `starts` and `series`,
    (window,), have the first row and the number of the series of each window.
    `last_observed`, (time, channel), has the last value observed before each row, NaN
    if there is none; it is needed if values are missing. `covariates`, (time,
    covariate), have the same rows as `values`.
    """

    def __init__(
        self,
        values: Tensor,
        starts: Tensor,
        shape: WindowShape,
        series: Tensor | None = None,
        last_observed: Tensor | None = None,
        covariates: Tensor | None = None,
    ) -> None:
        self.shape = shape
        self.starts = starts
        self.last_observed = last_observed
        self.series = torch.zeros_like(starts) if series is None else series
        self._views = values.unfold(0, shape.total, 1)
        self._covariates = covariates
        self._features: Features = {}

    def __len__(self) -> int:
        return len(self.starts)

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Copy windows, (batch,), to contexts and targets, (batch, time, channel)."""
        windows = self._views[self.starts[indices]].transpose(1, 2)
        length = self.shape.context_length
        return windows[:, :length], windows[:, length:]

    def n_observed(self, indices: Tensor) -> Tensor:
        """Count the values of targets that are not missing, (batch,)."""
        targets = self._views[:, :, self.shape.context_length :]
        return targets[self.starts[indices]].isfinite().sum(dim=(1, 2))

    def compute_features(self, network: ForecastNetwork) -> None:
        """Compute the network's features of every window once."""
        wanted = type(network).window_features
        if wanted is ForecastNetwork.window_features or not len(self):
            return
        with torch.no_grad():
            parts = [
                network.window_features(self.gather(indices)[0], self._before(indices))
                for indices in torch.arange(len(self)).split(_FEATURES_AT_ONCE)
            ]
        self._features = {n: _join([part[n] for part in parts]) for n in parts[0]}

    def features(self, indices: Tensor) -> Features:
        """Return the features of some windows, with the numbers of their series.

        And with their covariates, (batch, time, covariate), of context and target.
        """
        known = {"series": self.series, **self._features}
        features = {name: values[indices] for name, values in known.items()}
        before = self._before(indices)
        if before is not None:
            features["last_observed"] = before
        if self._covariates is not None:
            views = self._covariates.unfold(0, self.shape.total, 1)
            features["covariates"] = views[self.starts[indices]].transpose(1, 2)
        return features

    def _before(self, indices: Tensor) -> Tensor | None:
        if self.last_observed is None:
            return None
        return self.last_observed[self.starts[indices]]


def _join(parts: list[Tensor]) -> Tensor:
    """Join batches whose last dimension may differ, padded by -1."""
    width = max(part.shape[-1] for part in parts)
    padded = [F.pad(part, (0, width - part.shape[-1]), value=-1) for part in parts]
    return torch.cat(padded)


def stack_windows(
    series: Sequence[np.ndarray],
    starts: Sequence[Sequence[np.ndarray]],
    shape: WindowShape,
    device: torch.device,
    numbers: Sequence[int | np.ndarray] | None = None,
    last_observed: Sequence[np.ndarray | None] | None = None,
    covariates: Sequence[np.ndarray] | None = None,
) -> list[Windows]:
    """Put series, (time, channel), on the device once, and lay sets of windows on them.

    `starts` has the rows at which windows begin, by set and by series. `numbers` are
    those of the series, by default 0, 1, 2 and so on, or (time + 1,) where a series has
    another number from some row on: the one of the row after the context counts.
    `last_observed` has the last values before each series, (channel,), by default
    unknown; `covariates`, (time, covariate), those of each series.
    """

    def joined(parts: Sequence[np.ndarray], dtype: Any) -> Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(dtype)).to(device)

    values, observed = joined(series, np.float32), None
    if values.isnan().any():
        firsts = [None] * len(series) if last_observed is None else last_observed
        pairs = zip(series, firsts, strict=True)
        before = [last_observed_before(*pair)[:-1] for pair in pairs]
        observed = joined(before, np.float32)
    known = None if covariates is None else joined(covariates, np.float32)
    numbers = range(len(series)) if numbers is None else numbers
    offsets = np.cumsum([0, *map(len, series[:-1])])
    sets = []
    for each in starts:
        rows = [offset + at for offset, at in zip(offsets, each, strict=True)]
        ends = [at + shape.context_length for at in each]
        owners = [
            n[end] if isinstance(n, np.ndarray) else np.full(len(end), n)
            for n, end in zip(numbers, ends, strict=True)
        ]
        at, owner = joined(rows, np.int64), joined(owners, np.int64)
        sets.append(Windows(values, at, shape, owner, observed, known))
    return sets


def last_observed_before(
    values: np.ndarray, first: np.ndarray | None = None
) -> np.ndarray:
    """Return the last value observed before each row, and before the row to come.

    (time, channel), with NaN, to (time + 1, channel); `first` was observed before.
    """
    start = np.full(values.shape[1], np.nan) if first is None else first
    rows = np.concatenate([start[None], values])
    observed = np.isfinite(rows)
    observed[0] = True
    latest = np.where(observed, np.arange(len(rows))[:, None], 0)
    return np.take_along_axis(rows, np.maximum.accumulate(latest), axis=0)


@dataclass(frozen=True)
class Split:
    """Rows at which the windows of several series begin, by series.

    Training windows lie in the first `n_training_rows` of a series, the targets of
    validation windows in the rest. A series too short for both only trains. Windows
    whose targets are altogether missing are left out.
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
            starts = np.arange(len(values) - shape.total + 1)
            starts = with_target(values, starts, shape)
            training.append(starts[starts + shape.total <= end])
            validation.append(starts[starts + shape.context_length >= end])
            ends.append(end)
        return cls(shape, training, validation, ends)

    def windows(
        self,
        series: Sequence[np.ndarray],
        device: torch.device,
        numbers: Sequence[int | np.ndarray] | None = None,
        covariates: Sequence[np.ndarray] | None = None,
        max_validation: int | None = None,
    ) -> list[Windows]:
        """Return the windows for training, at least one, and for validation."""
        if not any(map(len, self.training)):
            shape, longest = self.shape, max(len(values) for values in series)
            target = " and a value in its target" if longest >= shape.total else ""
            raise SeriesTooShortError(
                f"the longest series has {longest} rows; one window needs "
                f"{shape.total}{target}: context_length={shape.context_length} and "
                f"prediction_length={shape.prediction_length}."
            )
        sets = [self.training, evenly_spread(self.validation, max_validation)]
        return stack_windows(
            series, sets, self.shape, device, numbers, covariates=covariates
        )


def evenly_spread(starts: list[np.ndarray], n: int | None) -> list[np.ndarray]:
    """Keep at most `n` of the windows of all series together, evenly spread."""
    lengths = [len(each) for each in starts]
    total = sum(lengths)
    if n is None or n >= total:
        return starts
    kept = np.zeros(total, dtype=bool)
    kept[np.arange(n) * total // n] = True
    parts = np.split(kept, np.cumsum(lengths)[:-1])
    return [each[part] for each, part in zip(starts, parts, strict=True)]


def with_target(
    values: np.ndarray, starts: np.ndarray, shape: WindowShape
) -> np.ndarray:
    """Return the starts of the windows, in one series, with a value in the target."""
    observed = np.isfinite(values).any(axis=1)
    if observed.all():
        return starts
    count = np.concatenate([[0], observed.cumsum()])
    ends = starts + shape.total
    return starts[count[ends] > count[starts + shape.context_length]]


def n_training_rows(n_rows: int, shape: WindowShape, validation_fraction: float) -> int:
    """Return how many rows of a series are for training; all if it is too short."""
    if validation_fraction == 0:
        return n_rows
    n_validation = max(shape.prediction_length, round(validation_fraction * n_rows))
    n_training = n_rows - n_validation
    return n_training if n_training >= shape.total else n_rows
