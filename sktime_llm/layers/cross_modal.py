"""Attention from the tokens of a series to a constant table of embeddings."""

import torch.nn.functional as F
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Multi-head attention whose keys and values come from a table all samples share.

    As the table does not depend on the sample, its keys and values are projected once
    per call, and all queries of the batch attend to them as one long sequence, without
    a copy of the table per sample.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, tokens: Tensor, table: Tensor) -> Tensor:
        """(batch, token, d_model) and a table of (entry, d_model) to the former."""
        queries = self._split_heads(self.query(tokens).flatten(0, 1))
        keys = self._split_heads(self.key(table))
        values = self._split_heads(self.value(table))
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        mixed = mixed.squeeze(0).transpose(0, 1).reshape(tokens.shape)
        return self.output(mixed)

    def _split_heads(self, rows: Tensor) -> Tensor:
        """(row, d_model) to (1, head, row, d_head)."""
        return rows.unflatten(1, (self.n_heads, -1)).transpose(0, 1).unsqueeze(0)
