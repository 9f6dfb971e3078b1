"""Forecasts of any length from a trained network."""

from typing import NamedTuple

import torch
from torch import Tensor

from sktime_llm._devices import autocast, explaining_memory
from sktime_llm._threads import mean_flops, threads_for
from sktime_llm.networks._interface import Features, ForecastNetwork


class Forecast(NamedTuple):
    """Forecasts, (series, n_steps, channel), and what else the network forecasts.

    That may be variances of the same shape, and quantiles with a last dimension more.
    """

    mean: Tensor
    variance: Tensor | None
    quantiles: Tensor | None


def roll_forward(
    network: ForecastNetwork,
    context: Tensor,
    n_steps: int,
    *,
    batch_size: int,
    precision: str = "auto",
    series: Tensor | None = None,
    last_observed: Tensor | None = None,
    covariates: Tensor | None = None,
) -> Forecast:
    """Forecast, feeding forecasts back where more steps are wanted than trained.

    As what is fed back is uncertain itself, the variance of the last step before is
    added to the variances of further steps; so are squared distances of quantiles. The
    network is in evaluation mode; `context` is (series, context_length, channel).
    `series` and `last_observed` are features of the network's `forward`. `covariates`,
    (series, time, covariate), go from the context to the end of the last of the
    network's forecasts.
    """
    given = {
        "series": series,
        "last_observed": last_observed,
        "covariates": covariates,
    }
    features = {name: values for name, values in given.items() if values is not None}

    def take(at: slice) -> tuple[Tensor, Features]:
        return context[at], {name: values[at] for name, values in features.items()}

    first, of_first = take(slice(1))
    flops = flops_of(network, first, _moved(network, of_first, 0))
    with (
        threads_for(min(batch_size, len(context)) * flops),
        explaining_memory(min(batch_size, len(context)), context.shape[1]),
        torch.inference_mode(),
        autocast(precision, context.device),
    ):
        parts = [
            _roll(network, *take(slice(start, start + batch_size)), n_steps)
            for start in range(0, len(context), batch_size)
        ]
    return Forecast(
        torch.cat([part.mean for part in parts]),
        _cat([part.variance for part in parts]),
        _cat([part.quantiles for part in parts]),
    )


def _cat(parts: list[Tensor | None]) -> Tensor | None:
    some = [part for part in parts if part is not None]
    return torch.cat(some) if some else None


def flops_of(network: ForecastNetwork, context: Tensor, features: Features) -> float:
    """Return the mean FLOPs of a matrix product for one window, counted once.

    Return 0 where there is only one thread, and so nothing to choose by them.
    """
    if torch.get_num_threads() == 1:
        return 0.0
    if network.flops is None:
        was_training = network.training
        network.eval()
        with threads_for(0.0):
            network.flops = mean_flops(lambda: network(context, features=features))
        network.train(was_training)
    return network.flops


def _roll(
    network: ForecastNetwork, context: Tensor, features: Features, n_steps: int
) -> Forecast:
    length, known = context.shape[1], context
    variances: list[Tensor] = []
    distances: list[Tensor] = []  # of quantiles, signed squares
    while known.shape[1] < length + n_steps:
        now = _moved(network, features, known.shape[1] - length)
        output = network(known[:, -length:], features=now)
        if "last_observed" in features:  # move on by the steps that leave the window
            first = known.shape[1] - length
            leaving = known[:, first : first + output.forecast.shape[1]]
            for step in leaving.unbind(dim=1):
                latest = step.where(~step.isnan(), features["last_observed"])
                features["last_observed"] = latest
        known = torch.cat([known, output.forecast.float()], dim=1)
        if output.variance is not None:
            earlier = variances[-1][:, -1:] if variances else 0.0
            variances.append(output.variance.float() + earlier)
        if output.quantiles is not None:
            distance = (output.quantiles - output.forecast.unsqueeze(-1)).float()
            earlier = distances[-1][:, -1:] if distances else 0.0
            distances.append(distance * distance.abs() + earlier)
    mean = known[:, length : length + n_steps]
    variance = torch.cat(variances, dim=1)[:, :n_steps] if variances else None
    quantiles = None
    if distances:
        squares = torch.cat(distances, dim=1)[:, :n_steps]
        quantiles = mean.unsqueeze(-1) + squares.sign() * squares.abs().sqrt()
    return Forecast(mean, variance, quantiles)


def _moved(network: ForecastNetwork, features: Features, n_steps: int) -> Features:
    """Return the features with the covariates of a window some steps later."""
    if "covariates" not in features:
        return features
    end = n_steps + network.context_length + network.prediction_length
    return {**features, "covariates": features["covariates"][:, n_steps:end]}
