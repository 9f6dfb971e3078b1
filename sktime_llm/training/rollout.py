"""Forecasts of any length from a trained network."""

from typing import NamedTuple

import torch
from torch import Tensor

from sktime_llm._devices import autocast
from sktime_llm.networks._interface import ForecastNetwork


class Forecast(NamedTuple):
    """Forecasts of a batch of series.

    Attributes
    ----------
    mean : Tensor of shape (series, n_steps, channel)
        float32.
    variance : Tensor of the same shape, optional
        From a network that knows how sure it is.
    """

    mean: Tensor
    variance: Tensor | None


def roll_forward(
    network: ForecastNetwork,
    context: Tensor,
    n_steps: int,
    *,
    batch_size: int,
    precision: str = "auto",
    series: Tensor | None = None,
    before: Tensor | None = None,
) -> Forecast:
    """Forecast, feeding forecasts back where more steps are wanted than trained.

    What is fed back is uncertain itself: to the variance of further steps that of the
    last step before them is added.

    Parameters
    ----------
    network : ForecastNetwork
        In evaluation mode.
    context : Tensor of shape (series, context_length, channel)
        The most recent past, on the network's device.
    n_steps : int
        Time steps to forecast.
    batch_size : int
        Series computed at once.
    precision : {"auto", "float32", "bfloat16"}
        See `sktime_llm._devices.autocast`.
    series : Tensor of int64 of shape (series,), optional
        Numbers of the series, as in training; by default all are 0.
    before : Tensor of shape (series, channel), optional
        What was observed last before each context, NaN where nothing is known; it
        matters if values are missing.

    Returns
    -------
    Forecast
    """
    if series is None:
        series = torch.zeros(len(context), dtype=torch.int64, device=context.device)
    with torch.inference_mode(), autocast(precision, context.device):
        parts = [
            _roll(network, context[at], series[at], _part(before, at), n_steps)
            for start in range(0, len(context), batch_size)
            for at in [slice(start, start + batch_size)]
        ]
    variances = [part.variance for part in parts if part.variance is not None]
    return Forecast(
        torch.cat([part.mean for part in parts]),
        torch.cat(variances) if variances else None,
    )


def _roll(
    network: ForecastNetwork,
    context: Tensor,
    series: Tensor,
    before: Tensor | None,
    n_steps: int,
) -> Forecast:
    length, known = context.shape[1], context
    features = {"series": series}
    variances: list[Tensor] = []
    while known.shape[1] < length + n_steps:
        if before is not None:
            features["last_observed"] = before
        output = network(known[:, -length:], features=features)
        if before is not None:  # of the steps that leave the window
            first = known.shape[1] - length
            before = _last_of(known[:, first:][:, : output.forecast.shape[1]], before)
        known = torch.cat([known, output.forecast.float()], dim=1)
        if output.variance is not None:
            earlier = variances[-1][:, -1:] if variances else 0.0
            variances.append(output.variance.float() + earlier)
    variance = torch.cat(variances, dim=1)[:, :n_steps] if variances else None
    return Forecast(known[:, length : length + n_steps], variance)


def _part(before: Tensor | None, at: slice) -> Tensor | None:
    return None if before is None else before[at]


def _last_of(known: Tensor, before: Tensor) -> Tensor:
    """Last value that is not NaN over (series, time, channel), else `before`."""
    for step in known.unbind(dim=1):
        before = step.where(~step.isnan(), before)
    return before
