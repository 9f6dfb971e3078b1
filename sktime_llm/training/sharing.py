"""How several processes share a batch, so that together they train as one."""

from typing import NamedTuple

from torch import Tensor

from sktime_llm.training.windows import Windows

_OVER_VALUES = ("task", "pinball")
"""Losses that are means over observed values; "loss" has each with a weight of 1."""


class Share(NamedTuple):
    """How much the losses of a part count beside those of the other processes' parts.

    Gradients are averaged over processes. `of_windows`, the number of windows relative
    to the mean over processes, makes that a mean over the windows of the batch. Where
    values are missing, `per_window`, (), is the mean number of values that a target
    has, relative to that in the batch.
    """

    of_windows: float
    per_window: Tensor | None = None

    def weighed(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Let what is a mean over observed values count by their number, too."""
        if self.per_window is None:
            return losses
        weighed = dict(losses)
        for name in losses.keys() & set(_OVER_VALUES):
            weighed[name] = losses[name] * self.per_window
            weighed["loss"] = weighed["loss"] + (weighed[name] - losses[name])
        return weighed


def part_of(
    batch: Tensor, windows: Windows, rank: int, world: int
) -> tuple[Tensor, Share]:
    """Return one process's part of a batch of windows, and its share.

    A process without a part computes one window that does not count.
    """
    part = batch[rank::world]
    share = len(part) * world / len(batch)
    if not len(part):
        return batch[:1], Share(share)
    if world == 1 or windows.last_observed is None:
        return part, Share(share)
    observed = windows.n_observed(batch).float()
    return part, Share(share, observed[rank::world].mean() / observed.mean())
