"""From a trained network and the most recent rows to forecasts."""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm.errors import InputError
from sktime_llm.forecasting._checks import check_forecasts
from sktime_llm.forecasting._conformal import Calibration, window_scale
from sktime_llm.forecasting._covariates import check_none, covariates_ahead
from sktime_llm.forecasting._horizon import cutoff_of, forecast_times
from sktime_llm.forecasting._known import KnownSeries, last_finite
from sktime_llm.forecasting._panel import Key, Panel, in_stacks
from sktime_llm.forecasting._regular import of_series
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import pad_start, to_frame
from sktime_llm.forecasting.saving import device_of
from sktime_llm.layers.quantiles import LEVELS
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.rollout import Forecast, roll_forward
from sktime_llm.training.windows import (
    Windows,
    WindowShape,
    shape_of,
    stack_windows,
)


class Contexts(NamedTuple):
    """Scaled contexts, (window, time, channel), on the network's device.

    And the last value observed before each, (window, channel), if any are missing.
    """

    values: torch.Tensor
    last_observed: torch.Tensor | None


class SeriesForecasts(NamedTuple):
    """Forecasts of all known series, which become tables in the units of the data.

    There is an entry for each of the `times` of each of the series `keys`.
    """

    entries: "Entries"
    known: KnownSeries
    keys: list[Key]
    times: list[pd.Index]

    def point_forecasts(self) -> pd.DataFrame:
        """Return the point forecasts."""
        return self._to_table(self.entries.mean, Scaling.undo)

    def variances(self) -> pd.DataFrame | None:
        """Return the variances, if the network forecasts them."""
        variance = self.entries.variance
        if variance is None:
            return None
        return self._to_table(variance, lambda scaling, v: scaling.scale**2 * v)

    def conformal_quantiles(
        self, calibration: Calibration, levels: Sequence[float]
    ) -> list[pd.DataFrame]:
        """Return quantiles by the errors of a calibration, a table for each level."""
        mean, _, _, scale, ahead, _ = self.entries
        errors = calibration.quantiles(levels, int(ahead.max()))[ahead - 1]
        return [
            self._to_table(mean + scale * error, Scaling.undo)
            for error in np.moveaxis(errors, -1, 0)
        ]

    def gaussian_quantiles(self, levels: Sequence[float]) -> list[pd.DataFrame]:
        """Return quantiles by the network's own variances, a table for each level."""
        mean, variance = self.point_forecasts(), self.variances()
        assert variance is not None
        deviation = np.sqrt(variance)
        return [mean + deviation * NormalDist().inv_cdf(level) for level in levels]

    def network_quantiles(self, levels: Sequence[float]) -> list[pd.DataFrame]:
        """Return the network's own quantiles, a table for each level.

        Between the levels that it has, and beyond them, a quantile is a linear function
        of that of the normal distribution.
        """
        assert self.entries.quantiles is not None
        known, wanted = (
            np.array([NormalDist().inv_cdf(level) for level in each])
            for each in (LEVELS, levels)
        )
        left = np.clip(np.searchsorted(known, wanted) - 1, 0, len(known) - 2)
        share = (wanted - known[left]) / (known[left + 1] - known[left])
        found = self.entries.quantiles
        low, high = found[..., left], found[..., left + 1]
        return [
            self._to_table(values, Scaling.undo)
            for values in np.moveaxis(low + share * (high - low), -1, 0)
        ]

    def _to_table(
        self, values: np.ndarray, undo: Callable[[Scaling, np.ndarray], np.ndarray]
    ) -> pd.DataFrame:
        n_times = [len(each) for each in self.times]
        scaling = Scaling.joined([self.known.scalings[key] for key in self.keys])
        by_entry = Scaling(*(np.repeat(part, n_times, axis=0) for part in scaling))
        return to_frame(undo(by_entry, values), self.keys, self.times, self.known.rows)


def _to_numpy(values: torch.Tensor) -> np.ndarray:
    return values.cpu().numpy().astype(np.float64)


def forecast_series(
    network: ForecastNetwork,
    known: KnownSeries,
    fh: ForecastingHorizon,
    X: pd.DataFrame | None = None,
    *,
    batch_size: int,
    precision: str,
) -> SeriesForecasts:
    """Forecast all known series, given their covariates; the past one step ahead."""
    if known.covariates is None:
        check_none(X)
    steps, times = _horizons(known, fh)
    how: Any = {"batch_size": batch_size, "precision": precision}
    each = list({id(one): one for one in steps.values()}.values())
    parts = []
    if any((one < 1).any() for one in each):
        parts.append(_in_sample(network, known, steps, **how))
    if any((one > 0).any() for one in each):
        covariates = _covariates_ahead(network, known, X, steps)
        parts.append(_ahead(network, known, steps, covariates, **how))
    joined = _join(parts)
    order = np.argsort(joined.series, kind="stable")
    return SeriesForecasts(joined.pick(order), known, list(steps), times)


class Entries(NamedTuple):
    """Scaled forecasts, (entry, channel), in the order of their steps.

    With quantiles of `LEVELS`, (entry, channel, level), the scale of the window, how
    many steps ahead each was forecast, and the position of its series, both (entry,).
    """

    mean: np.ndarray
    variance: np.ndarray | None
    quantiles: np.ndarray | None
    window_scale: np.ndarray
    ahead: np.ndarray
    series: np.ndarray

    @classmethod
    def of(
        cls,
        forecast: Forecast,
        context: torch.Tensor,
        ahead: np.ndarray,
        series: np.ndarray,
        which: np.ndarray,
    ) -> "Entries":
        """Pick steps ahead of the windows `which`, (entry,), from their forecasts."""
        variance, quantiles = (
            None if each is None else _to_numpy(each)[which, ahead - 1]
            for each in forecast[1:]
        )
        scale = window_scale(_to_numpy(context))[which]
        mean = _to_numpy(forecast.mean)[which, ahead - 1]
        return cls(mean, variance, quantiles, scale, ahead, series)

    def pick(self, which: np.ndarray) -> "Entries":
        """Return some entries, in their order."""
        picked: list[Any] = [None if each is None else each[which] for each in self]
        return Entries(*picked)


def _join(parts: Sequence[Entries]) -> Entries:
    joined: list[Any] = [
        None if each[0] is None else np.concatenate(each)
        for each in zip(*parts, strict=True)
    ]
    return Entries(*joined)


def _ahead(
    network: ForecastNetwork,
    known: KnownSeries,
    steps: dict[Key, np.ndarray],
    covariates: torch.Tensor | None,
    *,
    batch_size: int,
    precision: str,
) -> Entries:
    """Forecast the steps after the end of each series."""
    later = [each[each > 0] for each in steps.values()]
    ahead = np.concatenate(later)
    context = latest_contexts(network, known)
    numbers = [known.numbers[key] for key in steps]
    forecasts = roll_forward(
        network,
        context.values,
        int(ahead.max()),
        batch_size=batch_size,
        precision=precision,
        series=torch.tensor(numbers, device=context.values.device),
        last_observed=context.last_observed,
        covariates=covariates,
    )
    check_forecasts(forecasts.mean, context.values, network.prediction_length)
    series = np.repeat(np.arange(len(later)), [len(each) for each in later])
    return Entries.of(forecasts, context.values, ahead, series, series)


def _in_sample(
    network: ForecastNetwork,
    known: KnownSeries,
    steps: dict[Key, np.ndarray],
    *,
    batch_size: int,
    precision: str,
) -> Entries:
    """Forecast rows of the past, each from those before it.

    The first row is taken to have followed others like itself, as where short series
    are padded.
    """
    windows, series, covariates = _windows_before(network, known, steps)
    parts = []
    indices = torch.arange(len(windows), device=windows.starts.device)
    for at in indices.split(batch_size):
        context, _ = windows.gather(at)
        features = windows.features(at)
        if covariates is not None:
            features["covariates"] = torch.cat(covariates.gather(at), dim=1)
        forecast = roll_forward(
            network,
            context,
            1,
            batch_size=batch_size,
            precision=precision,
            series=features["series"],
            last_observed=features.get("last_observed"),
            covariates=features.get("covariates"),
        )
        check_forecasts(forecast.mean, context, network.prediction_length)
        which = np.arange(len(at))
        of_at, ahead = series[at.cpu().numpy()], np.ones_like(which)
        parts.append(Entries.of(forecast, context, ahead, of_at, which))
    return _join(parts)


def _windows_before(
    network: ForecastNetwork, known: KnownSeries, steps: dict[Key, np.ndarray]
) -> tuple[Windows, np.ndarray, Windows | None]:
    """Return the windows whose one target is a row of the past, and their series.

    And windows of their covariates, as long as those that the network is trained on.
    """
    if known.past is None:
        raise InputError(
            "fh asks for steps in the past, of which this forecaster was saved without "
            "its rows; expected steps after the last row, from 1 on. Save it with "
            "keep_past=True, or fit again."
        )
    shape = WindowShape(network.context_length, 1)
    values, starts, numbers = [], [], []
    panel = Panel.of(known.past)
    for i, (key, rows) in enumerate(zip(panel.keys, panel.arrays(), strict=True)):
        earlier = steps[key][steps[key] < 1]
        at = len(rows) - 1 + earlier
        if (at < 0).any():
            raise InputError(
                f"fh asks for step {earlier.min()} of y{of_series(key)}, which has "
                f"{len(rows)} rows; expected steps from {1 - len(rows)} on. Its first "
                f"time is {panel.index_of(i)[0]}."
            )
        scaled = known.scalings[key].apply(rows)
        padded = pad_start(scaled, len(rows) + shape.context_length)
        values.append(padded)
        starts.append(at)
        of_rows = known.row_numbers[key]
        row = np.arange(len(padded) + 1) - shape.context_length
        numbers.append(of_rows[np.clip(row, 0, len(of_rows) - 1)])
    device = device_of(network)
    (windows,) = stack_windows(values, [starts], shape, device, numbers)
    series = np.repeat(np.arange(len(starts)), [len(each) for each in starts])
    if known.covariates is None:
        return windows, series, None
    shape = shape_of(network)
    known_rows = [
        np.pad(
            np.pad(rows, ((shape.context_length, 0), (0, 0)), mode="edge"),
            ((0, shape.prediction_length), (0, 0)),
            constant_values=np.nan,
        )
        for rows in known.covariates.scaled().values()
    ]
    (covariates,) = stack_windows(known_rows, [starts], shape, device)
    return windows, series, covariates


def _covariates_ahead(
    network: ForecastNetwork,
    known: KnownSeries,
    X: pd.DataFrame | None,
    steps: dict[Key, np.ndarray],
) -> torch.Tensor | None:
    """Return covariates from the contexts to the end of the network's last forecast."""
    if known.covariates is None:
        return None
    length, trained = network.context_length, network.prediction_length
    needed = {key: max(0, int(each.max())) for key, each in steps.items()}
    n_ahead = -(-max(needed.values()) // trained) * trained
    ahead = ForecastingHorizon(np.arange(1, n_ahead + 1))
    _, times = _horizons(known, ahead)
    future = covariates_ahead(
        known.covariates, X, known.rows, dict(zip(steps, times, strict=True)), needed
    )
    past = known.covariates.scaled()
    rows = [
        np.concatenate([pad_start(past[key], length)[-length:], future[key]])
        for key in steps
    ]
    values = torch.from_numpy(np.stack(rows).astype(np.float32))
    return values.to(device_of(network))


def _horizons(
    known: KnownSeries, fh: ForecastingHorizon
) -> tuple[dict[Key, np.ndarray], list[pd.Index]]:
    """Return the steps from each series' own end on, and their times."""
    panel = Panel.of(known.rows)
    # most panels have one last time, or few
    _, first, which = np.unique(
        panel.last_codes, return_index=True, return_inverse=True
    )
    cutoffs = [cutoff_of(panel.index_of(i), known.frequency) for i in first.tolist()]
    found = [forecast_times(fh, cutoff) for cutoff in cutoffs]
    each = [found[i] for i in which.tolist()]
    steps = {key: own for key, (own, _) in zip(panel.keys, each, strict=True)}
    return steps, [times for _, times in each]


def latest_contexts(network: ForecastNetwork, known: KnownSeries) -> Contexts:
    """Return the most recent context of every series."""
    length, panel = network.context_length, Panel.of(known.rows)
    scaling = Scaling.joined([known.scalings[key] for key in panel.keys])
    last = np.stack([known.last_observed[key].values for key in panel.keys])
    contexts = np.empty((len(panel), last.shape[1], length)).transpose(0, 2, 1)
    for numbers, stack in in_stacks(panel.arrays()):
        of_stack = Scaling(*(part[numbers, None] for part in scaling))
        values = of_stack.apply(stack)[:, -length:]
        n_missing = length - values.shape[1]
        contexts[numbers, n_missing:] = values
        contexts[numbers, :n_missing] = values[:, :1]
        head = stack[:, : max(0, stack.shape[1] - length)]
        if head.shape[1]:
            rows, latest = last_finite(head)
            last[numbers] = np.where(rows >= 0, latest, last[numbers])
    return on_device(network, contexts, scaling.apply(last))


def on_device(
    network: ForecastNetwork,
    contexts: np.ndarray,
    observed: np.ndarray,
) -> Contexts:
    """Return scaled contexts, and the values before them if any are missing."""
    device = device_of(network)
    values, before = (
        torch.from_numpy(parts.astype(np.float32)).to(device)
        for parts in (contexts, observed)
    )
    return Contexts(values, before if values.isnan().any() else None)
