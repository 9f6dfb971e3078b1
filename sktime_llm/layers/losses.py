"""Distances between a forecast and its target."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def smape(forecast: Tensor, target: Tensor) -> Tensor:
    """Symmetric mean absolute percentage error, 0 to 200; 0 where both are zero."""
    size = forecast.abs() + target.abs()
    relative = (forecast - target).abs() / size.where(size > 0, 1.0)
    return 200 * relative.mean()


def mase(
    forecast: Tensor, target: Tensor, context: Tensor, seasonal_period: int
) -> Tensor:
    """Mean absolute scaled error against the seasonal naive forecast of the context.

    All are (batch, time, channel). Each window and variate is scaled by the mean
    absolute seasonal difference of its context; those whose context never changes add
    nothing to the mean.
    """
    steps = context[:, seasonal_period:] - context[:, :-seasonal_period]
    scale = steps.abs().mean(dim=1, keepdim=True)
    error = (forecast - target).abs() / scale.where(scale > 0, 1.0)
    return (error * (scale > 0)).mean()


def where_observed(forecast: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return forecasts and targets, (value,), where the target is not NaN."""
    observed = ~target.isnan()
    return forecast[observed], target[observed]


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mae": F.l1_loss,
    "mse": F.mse_loss,
    "smooth_l1": F.smooth_l1_loss,
    "smape": smape,
}
