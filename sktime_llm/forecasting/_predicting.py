"""From a trained network and the most recent rows to forecasts."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm.forecasting._checks import check_forecasts
from sktime_llm.forecasting._conformal import Calibration, window_scale
from sktime_llm.forecasting._horizon import cutoff_of, forecast_times
from sktime_llm.forecasting._known import KnownSeries, LastObserved
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import (
    Key,
    pad_start,
    split_series,
    to_frame,
)
from sktime_llm.forecasting.saving import device_of
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.rollout import Forecast, roll_forward


class Contexts(NamedTuple):
    """Scaled contexts, (window, time, channel), on the network's device.

    And the last value observed before each, (window, channel), if any are missing.
    """

    values: torch.Tensor
    last_observed: torch.Tensor | None


class SeriesForecasts(NamedTuple):
    """Forecasts of all known series, which become tables in the units of the data.

    `scaled` are the network's, of every step up to the last one that is asked for, from
    `contexts`, (series, time, channel). `steps`, from 1 on, are asked for; `times` are
    theirs.
    """

    scaled: Forecast
    contexts: torch.Tensor
    known: KnownSeries
    steps: dict[Key, np.ndarray]
    times: list[pd.Index]

    def mean(self) -> pd.DataFrame:
        """Return the point forecasts."""
        return self._to_table(_to_numpy(self.scaled.mean), Scaling.undo)

    def variance(self) -> pd.DataFrame | None:
        """Return the variances, if the network forecasts them."""
        if self.scaled.variance is None:
            return None
        values = _to_numpy(self.scaled.variance)
        return self._to_table(values, lambda scaling, v: scaling.scale**2 * v)

    def quantiles(
        self, calibration: Calibration, levels: Sequence[float]
    ) -> list[pd.DataFrame]:
        """Return conformal quantiles, a table for each level."""
        mean = _to_numpy(self.scaled.mean)
        scale = window_scale(_to_numpy(self.contexts))
        errors = calibration.quantiles(levels, mean.shape[1])
        return [
            self._to_table(mean + scale[:, None] * error, Scaling.undo)
            for error in np.moveaxis(errors, -1, 0)
        ]

    def _to_table(
        self, values: np.ndarray, undo: Callable[[Scaling, np.ndarray], np.ndarray]
    ) -> pd.DataFrame:
        parts = [
            undo(self.known.scalings[key], one[series_steps - 1])
            for one, (key, series_steps) in zip(values, self.steps.items(), strict=True)
        ]
        return to_frame(parts, list(self.steps), self.times, self.known.rows)


def _to_numpy(values: torch.Tensor) -> np.ndarray:
    return values.cpu().numpy().astype(np.float64)


def forecast_series(
    network: ForecastNetwork,
    known: KnownSeries,
    fh: ForecastingHorizon,
    *,
    batch_size: int,
    precision: str,
) -> SeriesForecasts:
    """Forecast all known series."""
    steps, times = _horizons(known, fh)
    n_steps = max(int(each.max()) for each in steps.values())
    context = latest_contexts(network, known)
    numbers = [known.numbers[key] for key in steps]
    forecasts = roll_forward(
        network,
        context.values,
        n_steps,
        batch_size=batch_size,
        precision=precision,
        series=torch.tensor(numbers, device=context.values.device),
        last_observed=context.last_observed,
    )
    check_forecasts(forecasts.mean, context.values, network.prediction_length)
    return SeriesForecasts(forecasts, context.values, known, steps, times)


def _horizons(
    known: KnownSeries, fh: ForecastingHorizon
) -> tuple[dict[Key, np.ndarray], list[pd.Index]]:
    """Return the steps after each series' own end, and their times."""
    by_end: dict[Any, tuple[np.ndarray, pd.Index]] = {}
    steps, times = {}, []
    for key, rows in split_series(known.rows):
        end = rows.index[-1]
        if end not in by_end:  # most panels have one last time, or few
            cutoff = cutoff_of(rows.index, known.frequency)
            by_end[end] = forecast_times(fh, cutoff, key)
        steps[key] = by_end[end][0]
        times.append(by_end[end][1])
    return steps, times


def latest_contexts(network: ForecastNetwork, known: KnownSeries) -> Contexts:
    """Return the most recent context of every series."""
    length = network.context_length
    contexts, observed = [], []
    for key, rows in split_series(known.rows):
        values, scaling = rows.to_numpy(dtype=np.float64), known.scalings[key]
        last = known.last_observed[key]
        if np.isnan(values).any():
            last = LastObserved.of(values, rows.index, length, last)
        contexts.append(pad_start(scaling.apply(values), length)[-length:])
        observed.append(scaling.apply(last.values))
    return on_device(network, contexts, observed)


def on_device(
    network: ForecastNetwork, contexts: list[np.ndarray], observed: list[np.ndarray]
) -> Contexts:
    """Stack scaled contexts, and the values before them if any are missing."""
    device = device_of(network)
    values, before = (
        torch.from_numpy(np.stack(parts).astype(np.float32)).to(device)
        for parts in (contexts, observed)
    )
    return Contexts(values, before if values.isnan().any() else None)
