"""Scaling of every window around the last value of each of its variates."""

import torch
from torch import Tensor, nn

from sktime_llm.layers.instance_norm import Normalized


class LastValueNorm(nn.Module):
    """Take each variate relative to its last value, in a scale that variates share.

    The scale is the root mean square, over all observed values of the window, of the
    differences to the last values. So a variate that is constant in a window is not
    blown up, and a forecast of zero is the naive forecast.

    `eps` is added to the mean square, so that constant windows stay finite.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, context: Tensor, observed_mask: Tensor) -> Normalized:
        """Normalize windows of (batch, time, channel), in which gaps are filled.

        Values that were not observed do not count for the scale.
        """
        loc = context[:, -1:]
        difference = context - loc
        square = (
            difference.square().where(observed_mask, 0.0).sum(dim=(1, 2), keepdim=True)
        )
        square = square / observed_mask.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        scale = torch.sqrt(square + self.eps).expand_as(loc)
        return Normalized(difference / scale, loc, scale)
