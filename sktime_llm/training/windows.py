"""Training windows as views of one tensor on the device."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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

    Parameters
    ----------
    values : Tensor of shape (time, channel)
        All series, end to end.
    starts : Tensor of int64 of shape (window,)
        Row at which each window begins; no window may span two series.
    shape : WindowShape
        Lengths of context and target.
    series : Tensor of int64 of shape (window,), optional
        Number of the series of each window; 0 for all by default.
    last_observed : Tensor of shape (time, channel), optional
        Last value observed before each row, NaN where there is none; needed only if
        values are missing.
    """

    def __init__(
        self,
        values: Tensor,
        starts: Tensor,
        shape: WindowShape,
        series: Tensor | None = None,
        last_observed: Tensor | None = None,
    ) -> None:
        self.shape = shape
        self.starts = starts
        self.last_observed = last_observed
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
        """Copy windows, by number, by one indexing operation.

        (batch,) to contexts and targets of shape (batch, time, channel).
        """
        windows = self._views[self.starts[indices]].transpose(1, 2)
        length = self.shape.context_length
        return windows[:, :length], windows[:, length:]

    def compute_features(self, network: ForecastNetwork) -> None:
        """Compute the network's features of every window once."""
        wanted = type(network).window_features
        if wanted is ForecastNetwork.window_features or not len(self):
            return
        with torch.no_grad():
            parts = [
                network.window_features(self.gather(indices)[0])
                for indices in torch.arange(len(self)).split(_FEATURES_AT_ONCE)
            ]
        self._features = {n: _join([part[n] for part in parts]) for n in parts[0]}

    def features(self, indices: Tensor) -> Features:
        """Return the features of some windows, with the numbers of their series."""
        known = {"series": self.series, **self._features}
        features = {name: values[indices] for name, values in known.items()}
        if self.last_observed is not None:
            features["last_observed"] = self.last_observed[self.starts[indices]]
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
    last_observed: Sequence[np.ndarray | None] | None = None,
) -> list[Windows]:
    """Put series, (time, channel), on the device once, and lay sets of windows on them.

    `starts` has the rows at which windows begin, by set and by series. `numbers` are
    those of the series, 0, 1, 2 and so on by default; `last_observed` has the values,
    (channel,), observed last before each series, by default unknown.
    """
    offsets = np.cumsum([0, *(len(values) for values in series[:-1])])
    rows = np.concatenate(series)
    values = torch.from_numpy(rows.astype(np.float32)).to(device)
    observed = None
    if np.isnan(rows).any():
        firsts = [None] * len(series) if last_observed is None else last_observed
        each = [
            last_observed_before(*both)[:-1]
            for both in zip(series, firsts, strict=True)
        ]
        observed = torch.from_numpy(np.concatenate(each).astype(np.float32)).to(device)
    names = range(len(series)) if numbers is None else numbers
    return [
        Windows(
            values,
            _int64(o + at for o, at in zip(offsets, each, strict=True)).to(device),
            shape,
            _int64(np.full(len(at), n) for n, at in zip(names, each, strict=True)).to(
                device
            ),
            observed,
        )
        for each in starts
    ]


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


def _int64(parts: Iterable[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(list(parts)).astype(np.int64))
