"""Dropout whose masks are drawn four at a time, because a CPU draws one by one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 2**16
_MIN_SIZE = 8192
"""Tensors with fewer values gain nothing: there are more calls, though cheaper ones."""


class BlockDropout(nn.Dropout):
    """Dropout like PyTorch's, which on a CPU draws 64 random bits for four values.

    There, in all but small tensors, the rate is rounded to a multiple of 2**-16, and
    values that are kept are scaled by the rounded one, so that their mean stays.
    Drawing a mask value by value is a large part of a step of a small network.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop values in training; elsewhere return them as they are."""
        n_dropped = round(self.p * _LEVELS)
        if (
            not self.training
            or self.inplace
            or not 0 < n_dropped < _LEVELS
            or input.device.type != "cpu"
            or input.numel() < _MIN_SIZE
            or torch.compiler.is_compiling()
        ):
            return F.dropout(input, self.p, self.training, self.inplace)
        words = torch.empty(-(-input.numel() // 4), dtype=torch.int64)
        bits = words.random_(-(2**63), None).view(torch.int16)[: input.numel()]
        kept = bits >= n_dropped - _LEVELS // 2
        scale = kept.to(input.dtype).mul_(_LEVELS / (_LEVELS - n_dropped))
        return input * scale.view(input.shape)


def drop_in_blocks(network: nn.Module) -> None:
    """Turn every `nn.Dropout` of a network into a `BlockDropout`, in place."""
    for module in network.modules():
        if type(module) is nn.Dropout:
            module.__class__ = BlockDropout
