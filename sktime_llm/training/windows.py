"""Training windows as views of one tensor on the device."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sktime_llm.errors import SeriesTooShortError
from sktime_llm.networks._interface import Features, ForecastNetwork

_DESCRIBED_AT_ONCE = 256


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
    """Give the windows that a network takes."""
    return WindowShape(network.context_length, network.prediction_length)


class Windows:
    """Windows over one or more series, gathered in batches without copying the data.

    Parameters
    ----------
    values : Tensor of shape (time, channel)
        All series, end to end.
    starts : Tensor of int64 of shape (window,)
        Rows at which windows begin; no window may reach from one series into the next.
    shape : WindowShape
        Lengths of context and target.
    series : Tensor of int64 of shape (window,), optional
        Number of the series that each window is from; by default all are from 0.
    before : Tensor of shape (time, channel), optional
        The last value observed before each row, NaN where there is none; wanted if
        values are missing.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.training.windows import Windows, WindowShape
    >>> windows = Windows(torch.arange(5.0)[:, None], torch.tensor([0, 2]),
    ...                   WindowShape(2, 1))
    >>> context, target = windows.gather(torch.tensor([1]))
    >>> context.flatten().tolist(), target.flatten().tolist()
    ([2.0, 3.0], [4.0])
    """

    def __init__(
        self,
        values: Tensor,
        starts: Tensor,
        shape: WindowShape,
        series: Tensor | None = None,
        before: Tensor | None = None,
    ) -> None:
        self.shape = shape
        self.starts = starts
        self.before = before
        self.series = torch.zeros_like(starts) if series is None else series
        self._views = values.unfold(0, shape.total, 1)
        self._features: Features = {}

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def n_channels(self) -> int:
        """Variates of a window."""
        return self._views.shape[1]

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Copy some windows out, by one indexing operation.

        Parameters
        ----------
        indices : Tensor of int64 of shape (batch,)
            Which windows.

        Returns
        -------
        context : Tensor of shape (batch, context_length, channel)
        target : Tensor of shape (batch, prediction_length, channel)
        """
        windows = self._views[self.starts[indices]].transpose(1, 2)
        length = self.shape.context_length
        return windows[:, :length], windows[:, length:]

    def describe(self, network: ForecastNetwork) -> None:
        """Compute the features that a network wants of every window, once."""
        wanted = type(network).window_features
        if wanted is ForecastNetwork.window_features or not len(self):
            return
        with torch.no_grad():
            parts = [
                network.window_features(self.gather(indices)[0])
                for indices in torch.arange(len(self)).split(_DESCRIBED_AT_ONCE)
            ]
        self._features = {n: _join([part[n] for part in parts]) for n in parts[0]}

    def features(self, indices: Tensor) -> Features:
        """Give the series of some windows, and what `describe` computed for them.

        And, if values are missing, what was observed last before each window.
        """
        known = {"series": self.series, **self._features}
        features = {name: values[indices] for name, values in known.items()}
        if self.before is not None:
            features["last_observed"] = self.before[self.starts[indices]]
        return features


def _join(parts: list[Tensor]) -> Tensor:
    """Join batches whose last dimension may differ, padded by -1."""
    width = max(part.shape[-1] for part in parts)
    return torch.cat(
        [F.pad(part, (0, width - part.shape[-1]), value=-1) for part in parts]
    )


def stack_windows(
    series: Sequence[np.ndarray],
    starts: Sequence[Sequence[np.ndarray]],
    shape: WindowShape,
    device: torch.device,
    numbers: Sequence[int] | None = None,
    before: Sequence[np.ndarray | None] | None = None,
) -> list[Windows]:
    """Put several series on the device once, and lay windows over them.

    Parameters
    ----------
    series : sequence of arrays of shape (time, channel)
        Series of any lengths, with the same channels.
    starts : sequence of sequence of array of int
        Per set of windows and series, the rows at which windows begin.
    shape : WindowShape
        Lengths of a window.
    device : torch.device
        Where the one copy of the data is put, as float32.
    numbers : sequence of int, optional
        Number of each series; by default 0, 1, 2 and so on.
    before : sequence of array of shape (channel,) or None, optional
        The last value observed before each series begins; by default it is not known.

    Returns
    -------
    list of Windows
        One per set; all are views of the same tensor.
    """
    offsets = np.cumsum([0, *(len(values) for values in series[:-1])])
    rows = np.concatenate(series)
    values = torch.from_numpy(rows.astype(np.float32)).to(device)
    rows_before = None
    if np.isnan(rows).any():
        firsts = [None] * len(series) if before is None else before
        each = [last_before(*both)[:-1] for both in zip(series, firsts, strict=True)]
        rows_before = torch.from_numpy(np.concatenate(each).astype(np.float32))
        rows_before = rows_before.to(device)
    names = range(len(series)) if numbers is None else numbers
    return [
        Windows(
            values,
            _int64(o + at for o, at in zip(offsets, per_series, strict=True)).to(
                device
            ),
            shape,
            _int64(
                np.full(len(at), n) for n, at in zip(names, per_series, strict=True)
            ).to(device),
            rows_before,
        )
        for per_series in starts
    ]


def last_before(values: np.ndarray, first: np.ndarray | None = None) -> np.ndarray:
    """Give the last value observed before each row, and before the row to come.

    Parameters
    ----------
    values : array of shape (time, channel)
        NaN where a value is missing.
    first : array of shape (channel,), optional
        What was observed last before the first row; by default NaN, not known.

    Returns
    -------
    array of shape (time + 1, channel)

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_llm.training.windows import last_before
    >>> last_before(np.array([[1.0], [np.nan], [3.0]])).ravel().tolist()
    [nan, 1.0, 1.0, 3.0]
    """
    start = np.full(values.shape[1], np.nan) if first is None else first
    rows = np.concatenate([start[None], values])
    there = np.isfinite(rows)
    there[0] = True
    latest = np.where(there, np.arange(len(rows))[:, None], 0)
    return np.take_along_axis(rows, np.maximum.accumulate(latest), axis=0)


def _int64(parts: Iterable[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(list(parts)).astype(np.int64))


def split_windows(
    series: Sequence[np.ndarray],
    shape: WindowShape,
    validation_fraction: float,
    device: torch.device,
    numbers: Sequence[int] | None = None,
) -> tuple[Windows, Windows]:
    """Split every series in time, then make windows of both parts.

    The last part of each series is for validation: only windows whose whole target is
    in it; their contexts may reach back into the first part. Training windows lie in
    the first part altogether. A series too short for both only trains.

    Parameters
    ----------
    series : sequence of arrays of shape (time, channel)
        Series of any lengths, with the same channels.
    shape : WindowShape
        Lengths of a window.
    validation_fraction : float
        Share of each series, from its end; 0 for no validation.
    device : torch.device
        Where the one copy of the data is put, as float32.
    numbers : sequence of int, optional
        Number of each series; by default 0, 1, 2 and so on.

    Returns
    -------
    training, validation : Windows
        `validation` may be empty.

    Raises
    ------
    SeriesTooShortError
        If there is not one training window.
    """
    sets = _split_starts(series, shape, validation_fraction)
    if not any(map(len, sets[0])):
        longest = max(len(values) for values in series)
        target = " and a value in its target" if longest >= shape.total else ""
        raise SeriesTooShortError(
            f"the longest series has {longest} rows; one window needs "
            f"{shape.total}{target}: context_length={shape.context_length} and "
            f"prediction_length={shape.prediction_length}."
        )
    training, validation = stack_windows(series, sets, shape, device, numbers)
    return training, validation


def has_both_parts(
    series: Sequence[np.ndarray], shape: WindowShape, validation_fraction: float
) -> bool:
    """Whether there are windows to train on, and others to validate on.

    Parameters
    ----------
    series, shape, validation_fraction
        As for `split_windows`.
    """
    sets = _split_starts(series, shape, validation_fraction)
    return all(any(map(len, starts)) for starts in sets)


def _split_starts(
    series: Sequence[np.ndarray], shape: WindowShape, validation_fraction: float
) -> list[list[np.ndarray]]:
    """Rows at which windows of training and of validation begin, by series."""
    training, validation = [], []
    for values in series:
        boundary = train_rows(len(values), shape, validation_fraction)
        starts = np.arange(max(0, boundary - shape.total + 1))
        training.append(with_target(values, starts, shape))
        first = boundary - shape.context_length
        starts = np.arange(first, len(values) - shape.total + 1)
        validation.append(with_target(values, starts, shape))
    return [training, validation]


def with_target(
    values: np.ndarray, starts: np.ndarray, shape: WindowShape
) -> np.ndarray:
    """Leave out the windows whose targets are altogether missing.

    Parameters
    ----------
    values : array of shape (time, channel)
        One series, NaN where a value is missing.
    starts : array of int of shape (window,)
        Rows at which windows begin.
    shape : WindowShape
        Lengths of a window.
    """
    observed = np.isfinite(values).any(axis=1)
    count = np.concatenate([[0], observed.cumsum()])
    ends = starts + shape.total
    return starts[count[ends] > count[starts + shape.context_length]]


def train_rows(n_rows: int, shape: WindowShape, validation_fraction: float) -> int:
    """Count the rows of a series that are for training; all if it is too short."""
    if validation_fraction == 0:
        return n_rows
    n_validation = max(shape.prediction_length, round(validation_fraction * n_rows))
    enough = n_rows - n_validation >= shape.total
    return n_rows - n_validation if enough else n_rows
