"""Gaps in series: filled for a network, and flagged."""

from typing import NamedTuple

import torch
from torch import Tensor


class Filled(NamedTuple):
    """Finite windows of (batch, time, channel), and True where they were observed."""

    values: Tensor
    observed_mask: Tensor


def fill_gaps(context: Tensor, last_observed: Tensor | None = None) -> Filled:
    """Fill every gap, NaN in (batch, time, channel), with the last value before it.

    A gap at the start of a window takes the last value observed before the window,
    (batch, channel); where that is NaN or not given, the first value after the gap.
    A series without any value becomes zero.
    """
    observed = ~context.isnan()
    # asking a GPU would have to wait for it
    if context.device.type == "cpu" and observed.all():
        return Filled(context, observed)
    steps = torch.arange(context.shape[1], device=context.device)[:, None]
    latest = torch.where(observed, steps, -1).cummax(dim=1).values
    first = torch.where(observed, steps, context.shape[1] - 1).amin(1, keepdim=True)
    values = context.nan_to_num().gather(1, torch.where(latest < 0, first, latest))
    if last_observed is not None:
        leading = (latest < 0) & ~last_observed.isnan()[:, None]
        values = values.where(~leading, last_observed[:, None].nan_to_num())
    return Filled(values, observed)
