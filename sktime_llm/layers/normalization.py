"""Scaling of windows, each by itself, and filling of their gaps."""

from typing import NamedTuple

import torch
from torch import Tensor

_EPS = 1e-5
"""Added to the variance, so that constant windows stay finite."""


class Normalized(NamedTuple):
    """A normalized (batch, time, channel), and what undoes it, (batch, 1, channel)."""

    values: Tensor
    loc: Tensor
    scale: Tensor


def instance_norm(
    context: Tensor,
    observed_mask: Tensor | None = None,
    *,
    subtract_last: bool = False,
) -> Normalized:
    """RevIN (Kim et al., ICLR 2022) of (batch, time, channel), without affine part.

    With a mask, mean and variance are those of the observed values; the others are
    filled. Where nothing is observed, they are those of what was filled. With
    `subtract_last` the last value takes the place of the mean, but the variance is
    still about the mean.
    """
    if observed_mask is None:
        variance, loc = torch.var_mean(context, dim=1, correction=0, keepdim=True)
    else:
        counts = observed_mask | ~observed_mask.any(dim=1, keepdim=True)
        n = counts.sum(dim=1, keepdim=True)
        first = context[:, :1]  # so that a constant window has no rounding error
        steps = (context - first).where(counts, 0.0)
        loc = first + steps.sum(dim=1, keepdim=True) / n
        squares = (context - loc).square().where(counts, 0.0)
        variance = squares.sum(dim=1, keepdim=True) / n
    scale = torch.sqrt(variance + _EPS)
    if subtract_last:
        loc = context[:, -1:]
    return Normalized((context - loc) / scale, loc, scale)


def last_value_norm(context: Tensor, observed_mask: Tensor) -> Normalized:
    """Take each variate relative to its last value, in a scale that variates share.

    The scale is the root mean square of the differences to the last values, over all
    observed values of the window, (batch, time, channel). So a variate that is constant
    in a window is not blown up. Gaps in the context are filled.
    """
    loc = context[:, -1:]
    difference = context - loc
    squares = difference.square().where(observed_mask, 0.0)
    n_observed = observed_mask.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    mean = squares.sum(dim=(1, 2), keepdim=True) / n_observed
    scale = torch.sqrt(mean + _EPS).expand_as(loc)
    return Normalized(difference / scale, loc, scale)


def fill_gaps(
    context: Tensor, last_observed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Fill every gap, NaN in (batch, time, channel), with the last value before it.

    A gap at the start of a window takes the last value observed before the window,
    (batch, channel); where that is NaN or not given, the first value after the gap.
    A series without any value becomes zero. Also return the mask of observed values.
    """
    observed = ~context.isnan()
    # asking a GPU would have to wait for it
    if context.device.type == "cpu" and observed.all():
        return context, observed
    steps = torch.arange(context.shape[1], device=context.device)[:, None]
    latest = torch.where(observed, steps, -1).cummax(dim=1).values
    first = torch.where(observed, steps, context.shape[1] - 1).amin(1, keepdim=True)
    values = context.nan_to_num().gather(1, torch.where(latest < 0, first, latest))
    if last_observed is not None:
        leading = (latest < 0) & ~last_observed.isnan()[:, None]
        values = values.where(~leading, last_observed[:, None].nan_to_num())
    return values, observed
