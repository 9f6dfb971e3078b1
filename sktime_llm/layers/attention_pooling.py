"""One vector for a sequence of token states."""

import math

import torch
from torch import Tensor, nn

from sktime_llm.errors import InputError


class AttentionPooling(nn.Module):
    """Mean of token states, weighted by the softmax of their scores.

    The score of a token is its product with a learned query, divided by the square root
    of the width. The query starts at zero, so that untrained pooling is the plain mean.

    Parameters
    ----------
    d_model : int
        Width of the token states.

    Examples
    --------
    The mean of the first two tokens; the third is padding:

    >>> import torch
    >>> from sktime_llm.layers.attention_pooling import AttentionPooling
    >>> states = torch.tensor([[[1.0], [3.0], [50.0]]])
    >>> pooled = AttentionPooling(d_model=1)(states, torch.tensor([[1, 1, 0]]))
    >>> pooled.tolist()
    [[2.0]]
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(d_model))

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool each sequence.

        Parameters
        ----------
        states : Tensor of shape (batch, token, d_model)
            Token states; those of padding may be any finite number.
        mask : bool or integer Tensor of shape (batch, token), optional
            Not 0 where there is a token, 0 where there is padding.

        Returns
        -------
        Tensor of shape (batch, d_model)

        Raises
        ------
        InputError
            If a sequence has no token.
        """
        weights = self.weights(states, mask)
        return torch.einsum("bt,btd->bd", weights, states)

    def weights(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Weight of each token, of shape (batch, token); sums to 1 over the tokens.

        See `forward` for the parameters and errors.
        """
        scores = states @ self.query / math.sqrt(states.shape[-1])
        if mask is not None:
            is_token = mask != 0
            _check_has_token(is_token)
            scores = scores.masked_fill(~is_token, -torch.inf)
        return scores.softmax(dim=1)


def _check_has_token(is_token: Tensor) -> None:
    empty = (~is_token.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise InputError(
            f"no token in sequence {', '.join(map(str, empty[:5]))} of a batch of "
            f"{len(is_token)}, expected one or more in each: give it a text that is "
            "not empty."
        )
