"""Distances between a forecast and what it should be."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]


def smape(forecast: Tensor, target: Tensor) -> Tensor:
    """Symmetric mean absolute percentage error, in percent, 0 to 200.

    Where forecast and target are both zero the error is zero.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.layers.losses import smape
    >>> smape(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(100.)
    """
    size = forecast.abs() + target.abs()
    relative = (forecast - target).abs() / size.where(size > 0, 1.0)
    return 200 * relative.mean()


def mase(
    forecast: Tensor, target: Tensor, context: Tensor, seasonal_period: int = 1
) -> Tensor:
    """Mean absolute scaled error against the seasonal naive forecast of the context.

    Parameters
    ----------
    forecast, target : Tensor of shape (batch, prediction_length, n_channels)
        What is compared.
    context : Tensor of shape (batch, context_length, n_channels)
        Scales each window and variate by its mean absolute seasonal difference; those
        whose context never changes add nothing to the mean.
    seasonal_period : int, default=1
        Lag of the difference, in time steps.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.layers.losses import mase
    >>> context = torch.tensor([[[1.0], [3.0]]])
    >>> mase(torch.tensor([[[1.0]]]), torch.tensor([[[5.0]]]), context)
    tensor(2.)
    """
    steps = context[:, seasonal_period:] - context[:, :-seasonal_period]
    scale = steps.abs().mean(dim=1, keepdim=True)
    error = (forecast - target).abs() / scale.where(scale > 0, 1.0)
    return (error * (scale > 0)).mean()


DISTANCES: dict[str, Distance] = {
    "mae": F.l1_loss,
    "mse": F.mse_loss,
    "smooth_l1": F.smooth_l1_loss,
    "smape": smape,
}
