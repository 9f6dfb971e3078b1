"""Forecasts of any length from a trained network."""

import torch
from torch import Tensor

from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.devices import autocast


def roll_forward(
    network: ForecastNetwork,
    context: Tensor,
    n_steps: int,
    *,
    batch_size: int,
    precision: str = "auto",
) -> Tensor:
    """Forecast, feeding forecasts back where more steps are wanted than trained.

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
        See `sktime_llm.training.devices.autocast`.

    Returns
    -------
    Tensor of shape (series, n_steps, channel)
        float32.
    """
    with torch.inference_mode(), autocast(precision, context.device):
        return torch.cat(
            [_roll(network, part, n_steps) for part in context.split(batch_size)]
        )


def _roll(network: ForecastNetwork, context: Tensor, n_steps: int) -> Tensor:
    length, known = context.shape[1], context
    while known.shape[1] < length + n_steps:
        forecast = network(known[:, -length:]).forecast.float()
        known = torch.cat([known, forecast], dim=1)
    return known[:, length : length + n_steps]
