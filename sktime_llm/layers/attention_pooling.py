"""One vector for a sequence of token states."""

import math

import torch
from torch import Tensor, nn


class AttentionPooling(nn.Module):
    """Mean of token states, weighted by the softmax of their scores.

    The score of a token is its product with a learned query, divided by the square root
    of the width. The query starts at zero, so that untrained pooling is the plain mean.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(d_model))

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, token, d_model) to (batch, d_model); the mask is not 0 at tokens.

        Each sequence needs a token: without one, its mean is NaN.
        """
        return torch.einsum("bt,btd->bd", self.weights(states, mask), states)

    def weights(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Weight of each token, of shape (batch, token); sums to 1 over the tokens."""
        scores = states @ self.query / math.sqrt(states.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -torch.inf)
        return scores.softmax(dim=1)
