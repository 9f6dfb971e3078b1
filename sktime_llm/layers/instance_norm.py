"""Scaling of every window by its own mean and standard deviation."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Normalized(NamedTuple):
    """A normalized (batch, time, channel), and what undoes it, (batch, 1, channel)."""

    values: Tensor
    loc: Tensor
    scale: Tensor


class InstanceNorm(nn.Module):
    """Normalize each window and variate over time; nothing is learned or stored.

    Known as RevIN (Kim et al., ICLR 2022) without the affine part. `eps` is added to
    the biased variance, so that constant windows stay finite.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, context: Tensor) -> Normalized:
        """Normalize (batch, time, channel) over time."""
        variance, loc = torch.var_mean(context, dim=1, correction=0, keepdim=True)
        scale = torch.sqrt(variance + self.eps)
        return Normalized((context - loc) / scale, loc, scale)
