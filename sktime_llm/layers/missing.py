"""Gaps in series: filled for a network, and flagged."""

from typing import NamedTuple

import torch
from torch import Tensor


class Filled(NamedTuple):
    """Windows without gaps, and where the gaps were.

    Attributes
    ----------
    values : Tensor of shape (batch, time, channel)
        Finite.
    there : bool Tensor of the same shape
        True where a value was observed.
    """

    values: Tensor
    there: Tensor


def fill_gaps(context: Tensor, before: Tensor | None = None) -> Filled:
    """Fill every gap with the last value before it.

    A gap at the start of a window takes the last value before the window; where that is
    not known, the first value after the gap. Without any value a series is zero.

    Parameters
    ----------
    context : Tensor of shape (batch, time, channel)
        NaN where a value is missing.
    before : Tensor of shape (batch, channel), optional
        The last value before each window; NaN where there is none.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.layers.missing import fill_gaps
    >>> nan = float("nan")
    >>> fill_gaps(torch.tensor([[[nan], [2.0], [nan]]])).values.flatten()
    tensor([2., 2., 2.])
    """
    there = ~context.isnan()
    # asking a GPU would have to wait for it
    if context.device.type == "cpu" and there.all():
        return Filled(context, there)
    steps = torch.arange(context.shape[1], device=context.device)[:, None]
    latest = torch.where(there, steps, -1).cummax(dim=1).values
    first = torch.where(there, steps, context.shape[1] - 1).amin(dim=1, keepdim=True)
    values = context.nan_to_num().gather(1, torch.where(latest < 0, first, latest))
    if before is not None:
        leading = (latest < 0) & ~before.isnan()[:, None]
        values = values.where(~leading, before[:, None].nan_to_num())
    return Filled(values, there)
