"""Scaling of every window around the last value of each of its variates."""

import torch
from torch import Tensor, nn

from sktime_llm.layers.instance_norm import Normalized


class LastValueNorm(nn.Module):
    """Take each variate relative to its last value, in a scale that variates share.

    The scale is the root mean square, over what was observed in time and variates, of
    the differences to the last values. So a variate that happens to stand still in a
    window is not blown up, and a forecast of zero is the naive forecast.

    Parameters
    ----------
    eps : float, default=1e-5
        Added to the mean square, so that constant windows stay finite.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.layers.last_value_norm import LastValueNorm
    >>> window = torch.tensor([[[1.0, 5.0], [3.0, 5.0]]])
    >>> there = torch.ones_like(window, dtype=torch.bool)
    >>> LastValueNorm()(window, there).loc
    tensor([[[3., 5.]]])
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, context: Tensor, there: Tensor) -> Normalized:
        """Normalize (batch, time, channel).

        Parameters
        ----------
        context : Tensor of shape (batch, time, channel)
            Windows whose gaps are filled with the last value before them.
        there : bool Tensor of the same shape
            Which values were observed; the others do not count.

        Returns
        -------
        Normalized
            ``values`` of the shape of `context`; ``loc`` and ``scale`` of shape
            (batch, 1, channel).
        """
        loc = context[:, -1:]
        difference = context - loc
        square = difference.square().where(there, 0.0).sum(dim=(1, 2), keepdim=True)
        square = square / there.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        scale = torch.sqrt(square + self.eps).expand_as(loc)
        return Normalized(difference / scale, loc, scale)
