"""Quantiles around a forecast, which never cross."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
_MIDDLE = LEVELS.index(0.5)
_FLOOR = 0.1
"""Scale of a constant window, as a share of the deviation of its series."""


class QuantileHead(nn.Module):
    """Forecast the distances of quantiles from a point forecast.

    The median is free; every further quantile is a positive step away from the one
    before, so none cross. Distances are relative to the scale of the window.
    """

    def __init__(self, n_features: int, prediction_length: int) -> None:
        super().__init__()
        self.project = nn.Linear(n_features, prediction_length * len(LEVELS))

    def forward(self, features: Tensor, forecast: Tensor, scale: Tensor) -> Tensor:
        """Return quantiles, (batch, time, channel, level).

        Features are (batch, channel, n_features), the forecast (batch, time, channel),
        and the scale (batch, 1, channel).
        """
        raw = self.project(features).unflatten(-1, (-1, len(LEVELS))).transpose(1, 2)
        raw = raw.to(scale.dtype)
        middle, steps = raw[..., _MIDDLE : _MIDDLE + 1], F.softplus(raw)
        lower = middle - steps[..., :_MIDDLE].flip(-1).cumsum(-1).flip(-1)
        upper = middle + steps[..., _MIDDLE + 1 :].cumsum(-1)
        distances = torch.cat([lower, middle, upper], dim=-1)
        unit = torch.sqrt(scale.square() + _FLOOR**2)
        return forecast.detach().unsqueeze(-1) + unit.unsqueeze(-1) * distances


def pinball_loss(quantiles: Tensor, target: Tensor) -> Tensor:
    """Twice the mean pinball loss over all `LEVELS` and observed values.

    It is no CRPS, of which it would be an approximation if levels were equally far from
    each other: these are close together in the tails, where losses are small. Source:
    R. Koenker, G. Bassett (1978), Regression quantiles, Econometrica 46. Quantiles are
    (batch, time, channel, level), the target (batch, time, channel) with NaN where it
    is missing.
    """
    observed = ~target.isnan()
    error = (target.nan_to_num().unsqueeze(-1) - quantiles) * observed.unsqueeze(-1)
    levels = torch.tensor(LEVELS, dtype=error.dtype, device=error.device)
    losses = torch.maximum(levels * error, (levels - 1) * error)
    return 2 * losses.sum() / (observed.sum() * len(LEVELS))
