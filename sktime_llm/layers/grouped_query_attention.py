"""Attention whose query heads share fewer key and value heads."""

import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm.errors import InputError


class GroupedQueryAttention(nn.Module):
    """Grouped-query attention [1]_, of a sequence to itself or to another.

    The query heads form `n_kv_heads` groups, and the heads of a group read the same
    keys and values. With ``n_kv_heads=n_heads`` this is multi-head attention, with 1 it
    is multi-query attention. No matrix of all pairs of tokens is kept, unless there is
    dropout.

    Parameters
    ----------
    d_model : int
        Width of all tokens.
    n_heads : int
        Number of query heads; must divide `d_model`.
    n_kv_heads : int, optional
        Number of key and value heads; must divide `n_heads`. By default `n_heads`.
    dropout : float, default=0.0
        Dropout rate of the attention weights in training. Above 0, torch keeps all of
        them on a CPU: memory quadratic in the number of tokens.

    Raises
    ------
    InputError
        If the widths or heads do not divide each other.

    References
    ----------
    .. [1] J. Ainslie et al. (2023). GQA: Training Generalized Multi-Query Transformer
       Models from Multi-Head Checkpoints. EMNLP. arXiv 2305.13245.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.layers.grouped_query_attention import GroupedQueryAttention
    >>> attention = GroupedQueryAttention(d_model=16, n_heads=4, n_kv_heads=2)
    >>> attention(torch.randn(3, 5, 16)).shape
    torch.Size([3, 5, 16])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        _check_heads(d_model, n_heads, n_kv_heads)
        d_kv = d_model // n_heads * n_kv_heads
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads
        self.dropout = dropout
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_kv)
        self.value = nn.Linear(d_model, d_kv)
        self.output = nn.Linear(d_model, d_model)

    def forward(
        self, tokens: Tensor, memory: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Attend from each token to all of the memory.

        Parameters
        ----------
        tokens : Tensor of shape (batch, token, d_model)
            The queries.
        memory : Tensor of shape (batch, key, d_model), optional
            What is attended to; by default the tokens themselves.
        mask : bool Tensor of shape (batch, key), optional
            True where the memory may be attended to. Where it is nowhere True for a
            sample, the heads give zeros, and the output is the bias alone.

        Returns
        -------
        Tensor of shape (batch, token, d_model)
        """
        memory = tokens if memory is None else memory
        queries = self._group_queries(self.query(tokens))
        keys = self._split_heads(self.key(memory))
        values = self._split_heads(self.value(memory))
        dropout = self.dropout if self.training else 0.0
        if mask is None:
            mixed = F.scaled_dot_product_attention(
                queries, keys, values, dropout_p=dropout
            )
        else:
            # not every kernel of torch is free of NaN where all is masked
            empty = ~mask.any(dim=1)[:, None, None, None]
            may_see = mask[:, None, None, :] | empty
            mixed = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=may_see, dropout_p=dropout
            ).masked_fill(empty, 0.0)
        return self.output(self._ungroup(mixed))

    def _split_heads(self, rows: Tensor) -> Tensor:
        """(batch, key, d_kv) to (batch, kv_head, key, d_head)."""
        return rows.unflatten(2, (self.n_kv_heads, -1)).transpose(1, 2)

    def _group_queries(self, rows: Tensor) -> Tensor:
        """(batch, token, d_model) to (batch, kv_head, member * token, d_head).

        Heads of one group are one long sequence of queries. This is what `enable_gqa`
        of torch computes, but on every kernel: for float32 on CUDA, torch has
        `enable_gqa` only in the kernel that keeps the matrix of all pairs.
        """
        heads = rows.unflatten(
            2, (self.n_kv_heads, self.n_heads // self.n_kv_heads, -1)
        )
        return heads.permute(0, 2, 3, 1, 4).flatten(2, 3)

    def _ungroup(self, mixed: Tensor) -> Tensor:
        """Undo `_group_queries`."""
        heads = mixed.unflatten(2, (self.n_heads // self.n_kv_heads, -1))
        return heads.permute(0, 3, 1, 2, 4).flatten(2)


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
