"""From a trained network and the most recent rows to forecasts."""

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sktime.datatypes import convert_to
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm.forecasting._checks import check_columns, check_long_enough
from sktime_llm.forecasting._horizon import cutoff_of, forecast_times
from sktime_llm.forecasting._recent import Earlier
from sktime_llm.forecasting._saving import device_of
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import (
    MTYPES,
    Key,
    pad_start,
    split_series,
    to_frame,
)
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.rollout import roll_forward
from sktime_llm.training.windows import last_before, shape_of


class RecentContexts(NamedTuple):
    """Scaled contexts, and what they are of.

    Attributes
    ----------
    values : Tensor of shape (window, context_length, channel)
        On the network's device.
    before : Tensor of shape (window, channel) or None
        What was observed last before each context; None if no value is missing.
    labels : pandas.MultiIndex
        Series, last time and variate, window by window.
    """

    values: torch.Tensor
    before: torch.Tensor | None
    labels: pd.MultiIndex


class PredictMixin:
    """Of fitted forecasters: they know a network, recent rows, and their scalings."""

    network_: ForecastNetwork
    context_length_: int
    batch_size: int | None
    precision: str
    _tail: pd.DataFrame
    _earlier: dict[Key, Earlier]
    _frequency: pd.offsets.BaseOffset | None
    _scalings: dict[Key, Scaling]
    _numbers: dict[Key, int]
    # methods of the base
    _largest_batch: Any
    _read: Any
    _make_scalings: Any

    def _predict(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        return self._forecast(fh)[0]

    def _forecast(
        self, fh: ForecastingHorizon
    ) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """Give means, and variances if the network knows them."""
        keys, contexts, befores, steps, times = [], [], [], [], []
        known: dict[Any, tuple[np.ndarray, pd.Index]] = {}
        length = self.context_length_
        for key, rows in split_series(self._tail):
            end = rows.index[-1]
            if end not in known:  # most panels have one last time, or few
                cutoff = cutoff_of(rows.index, self._frequency)
                known[end] = forecast_times(fh, cutoff, key)
            keys.append(key)
            steps.append(known[end][0])
            times.append(known[end][1])
            values, scaling = rows.to_numpy(dtype=np.float64), self._scalings[key]
            earlier = self._earlier[key]
            if np.isnan(values).any():
                earlier = Earlier.of(values, rows.index, length, earlier)
            contexts.append(pad_start(scaling.apply(values), length)[-length:])
            befores.append(scaling.apply(earlier.values))
        context, before = self._on_device(contexts, befores)
        forecasts = roll_forward(
            self.network_,
            context,
            max(int(series_steps.max()) for series_steps in steps),
            batch_size=int(self.batch_size or self._largest_batch(self._tail.shape[1])),
            precision=self.precision,
            series=torch.tensor(
                [self._numbers[key] for key in keys], device=context.device
            ),
            before=before,
        )
        scalings = [self._scalings[key] for key in keys]
        means = [
            scaling.undo(rows[series_steps - 1])
            for scaling, rows, series_steps in zip(
                scalings, _to_numpy(forecasts.mean), steps, strict=True
            )
        ]
        mean = to_frame(means, keys, times, self._tail)
        if forecasts.variance is None:
            return mean, None
        variances = [
            scaling.scale**2 * rows[series_steps - 1]
            for scaling, rows, series_steps in zip(
                scalings, _to_numpy(forecasts.variance), steps, strict=True
            )
        ]
        return mean, to_frame(variances, keys, times, self._tail)

    def _on_device(
        self, contexts: list[np.ndarray], befores: list[np.ndarray]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Stack scaled contexts, and if values are missing what was before them."""
        device = device_of(self.network_)
        stacked = np.stack(contexts).astype(np.float32)
        context = torch.from_numpy(stacked).to(device)
        if not np.isnan(stacked).any():
            return context, None
        before = np.stack(befores).astype(np.float32)
        return context, torch.from_numpy(before).to(device)

    def _recent_contexts(self, y: Any, stride: int) -> RecentContexts:
        """Give scaled contexts.

        Of `y` every `stride` steps back from the end of each series; of None the most
        recent one of each series that is known.

        Raises
        ------
        InputError
            If `y` has other columns than in fit, or a series shorter than a context.
        """
        length = self.context_length_
        frame = self._tail if y is None else convert_to(y, MTYPES)
        check_columns(frame, self._tail)
        series = self._read(frame)
        if y is not None:
            check_long_enough(series, length)
        new = {key: v for key, v in series.items() if key not in self._scalings}
        shape = shape_of(self.network_)
        scalings = self._make_scalings(new, shape, self._scalings) | self._scalings
        contexts, befores, labels = [], [], []
        for key, rows in split_series(frame):
            scaling, values = scalings[key], series[key]
            first = self._earlier[key].values if y is None else None
            before = last_before(values, first)
            scaled = pad_start(scaling.apply(values), length)
            last = 1 if y is None else len(scaled) - length + 1
            for back in range(0, last, stride):
                end = len(scaled) - back
                contexts.append(scaled[end - length : end])
                start = max(0, len(values) - back - length)
                befores.append(scaling.apply(before[start]))
                labels += [(key, rows.index[-1 - back], name) for name in frame.columns]
        index = pd.MultiIndex.from_tuples(labels, names=["series", "time", "variate"])
        if not isinstance(frame.index, pd.MultiIndex):
            index = index.droplevel("series")
        return RecentContexts(*self._on_device(contexts, befores), index)


class VarianceMixin:
    """Of forecasters whose network may know how sure it is."""

    _forecast: Any
    _get_columns: Any

    def _predict_var(
        self,
        fh: ForecastingHorizon,
        X: pd.DataFrame | None = None,
        cov: bool = False,
    ) -> pd.DataFrame:
        if cov:
            raise NotImplementedError(
                f"{type(self).__name__} knows no covariances between time steps; use "
                "cov=False for their variances."
            )
        return self._forecast(fh)[1]

    def _predict_quantiles(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]
    ) -> pd.DataFrame:
        mean, variance = self._forecast(fh)
        columns = self._get_columns(method="predict_quantiles", alpha=alpha)
        deviates = np.array([NormalDist().inv_cdf(p) for p in alpha])
        deviation = np.sqrt(variance.to_numpy())[:, :, None]
        values = mean.to_numpy()[:, :, None] + deviation * deviates
        return pd.DataFrame(
            values.reshape(len(mean), -1), index=mean.index, columns=columns
        )


def _to_numpy(values: torch.Tensor) -> np.ndarray:
    return values.cpu().numpy().astype(np.float64)
