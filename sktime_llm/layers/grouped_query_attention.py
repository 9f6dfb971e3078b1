"""Attention whose query heads share fewer key and value heads."""

import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm.errors import InputError


class GroupedQueryAttention(nn.Module):
    """Grouped-query attention (arXiv 2305.13245), to the sequence or to another.

    The query heads form `n_kv_heads` groups, and the heads of a group read the same
    keys and values. With ``n_kv_heads=n_heads`` this is multi-head attention, with 1 it
    is multi-query attention. No matrix of all pairs of tokens is kept.
    """

    def __init__(
        self, d_model: int, n_heads: int, n_kv_heads: int | None = None
    ) -> None:
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        _check_heads(d_model, n_heads, n_kv_heads)
        d_kv = d_model // n_heads * n_kv_heads
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_kv)
        self.value = nn.Linear(d_model, d_kv)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, tokens: Tensor, memory: Tensor | None = None) -> Tensor:
        """(batch, token, d_model) to the same; attends to (batch, key, d_model).

        By default the memory is the tokens themselves.
        """
        memory = tokens if memory is None else memory
        queries = self._group_queries(self.query(tokens))
        keys = self._split_heads(self.key(memory))
        values = self._split_heads(self.value(memory))
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        # undo _group_queries
        heads = mixed.unflatten(2, (self.n_heads // self.n_kv_heads, -1))
        return self.output(heads.permute(0, 3, 1, 2, 4).flatten(2))

    def _split_heads(self, rows: Tensor) -> Tensor:
        """(batch, key, d_kv) to (batch, kv_head, key, d_head)."""
        return rows.unflatten(2, (self.n_kv_heads, -1)).transpose(1, 2)

    def _group_queries(self, rows: Tensor) -> Tensor:
        """(batch, token, d_model) to (batch, kv_head, member * token, d_head).

        Heads of one group are one long sequence of queries. torch's `enable_gqa` does
        the same, but for float32 on CUDA only with the matrix of all pairs.
        """
        heads = rows.unflatten(
            2, (self.n_kv_heads, self.n_heads // self.n_kv_heads, -1)
        )
        return heads.permute(0, 2, 3, 1, 4).flatten(2, 3)


def _check_heads(d_model: int, n_heads: int, n_kv_heads: int) -> None:
    if n_heads < 1 or d_model % n_heads:
        raise InputError(
            f"n_heads={n_heads}, expected a divisor of d_model={d_model}: each head "
            "has an equal share of the width."
        )
    if n_kv_heads < 1 or n_heads % n_kv_heads:
        raise InputError(
            f"n_kv_heads={n_kv_heads}, expected a divisor of n_heads={n_heads}: each "
            "key and value head serves an equal number of query heads."
        )
