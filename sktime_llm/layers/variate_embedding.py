"""Variates as tokens."""

from torch import Tensor, nn


class VariateEmbedding(nn.Module):
    """Turn each variate of a window into one token, and let the tokens attend.

    A linear map takes the time steps of a variate to the model's width; one post-norm
    Transformer encoder layer then mixes the variates.
    """

    def __init__(
        self, context_length: int, d_model: int, n_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(context_length, d_model)
        self.encoder = nn.TransformerEncoderLayer(
            d_model, n_heads, d_ff, dropout, activation="relu", batch_first=True
        )

    def forward(self, context: Tensor) -> Tensor:
        """(batch, time, channel) to (batch, channel, d_model)."""
        return self.encoder(self.embed(context.transpose(1, 2)))
