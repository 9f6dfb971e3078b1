"""Attention within and between series, to texts and tables, and as pooling."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm.errors import InputError


class GroupedQueryAttention(nn.Module):
    """Grouped-query attention (arXiv 2305.13245) from tokens to other tokens.

    The query heads form `n_kv_heads` groups; the heads of a group share keys and
    values. With ``n_kv_heads=n_heads`` it is multi-head attention.
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int) -> None:
        super().__init__()
        if n_heads < 1 or d_model % n_heads:
            raise InputError(
                f"n_heads={n_heads}, expected a divisor of d_model={d_model}: each "
                "head has an equal share of the width."
            )
        if n_kv_heads < 1 or n_heads % n_kv_heads:
            raise InputError(
                f"n_kv_heads={n_kv_heads}, expected a divisor of n_heads={n_heads}: "
                "each key and value head serves an equal number of query heads."
            )
        d_kv = d_model // n_heads * n_kv_heads
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_kv)
        self.value = nn.Linear(d_model, d_kv)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, tokens: Tensor, source: Tensor) -> Tensor:
        """Attend from (batch, token, d_model) to (batch, key, d_model).

        A source of (key, d_model) is shared by all samples: it is projected once, and
        the tokens of the whole batch attend to it as one sequence.
        """
        shape = tokens.shape
        if source.ndim == 2:
            tokens, source = tokens.reshape(1, -1, shape[-1]), source.unsqueeze(0)
        queries = self._group_queries(self.query(tokens))
        keys = self._split_heads(self.key(source))
        values = self._split_heads(self.value(source))
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        # undo _group_queries
        heads = mixed.unflatten(2, (self.n_heads // self.n_kv_heads, -1))
        return self.output(heads.permute(0, 3, 1, 2, 4).flatten(2)).view(shape)

    def weights(self, tokens: Tensor, source: Tensor) -> Tensor:
        """Return which share each token gives to each key, mean over heads.

        Tokens and source are as in `forward`, and the shares (batch, token, key).
        """
        if source.ndim == 2:
            source = source.unsqueeze(0)
        queries = self.query(tokens).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
        keys = self._split_heads(self.key(source))
        keys = keys.repeat_interleave(self.n_heads // self.n_kv_heads, dim=1)
        scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[-1])
        return scores.softmax(dim=-1).mean(dim=1)

    def _split_heads(self, rows: Tensor) -> Tensor:
        """(batch, key, d_kv) to (batch, kv_head, key, d_head)."""
        return rows.unflatten(2, (self.n_kv_heads, -1)).transpose(1, 2)

    def _group_queries(self, rows: Tensor) -> Tensor:
        """(batch, token, d_model) to (batch, kv_head, member * token, d_head).

        torch's `enable_gqa` does the same, but for float32 on CUDA it keeps the matrix
        of all pairs of tokens.
        """
        group_size = self.n_heads // self.n_kv_heads
        heads = rows.unflatten(2, (self.n_kv_heads, group_size, -1))
        return heads.permute(0, 2, 3, 1, 4).flatten(2, 3)


class _SelfAttention(nn.Module):
    """Attention over `token` in (batch, group, token, d_model), residual, norm."""

    def __init__(
        self, d_model: int, n_heads: int, n_kv_heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.attention = GroupedQueryAttention(d_model, n_heads, n_kv_heads)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        rows = tokens.flatten(0, 1)
        mixed = self.attention(rows, rows)
        return self.norm(tokens + self.dropout(mixed).view(tokens.shape))


class TimeSpaceBlock(nn.Module):
    """Encoder block: attention within series, attention between series, feed-forward.

    Each part has a residual connection and a layer norm. Attention between series mixes
    the tokens of all series at one position.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int,
        d_ff: int,
        dropout: float,
        *,
        intra_series: bool,
        inter_series: bool,
    ) -> None:
        super().__init__()
        sizes = (d_model, n_heads, n_kv_heads, dropout)
        self.intra_series = _SelfAttention(*sizes) if intra_series else None
        self.inter_series = _SelfAttention(*sizes) if inter_series else None
        self.feed_forward = nn.Sequential(
            nn.Linear(d_model, d_ff),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(d_ff, d_model),
            nn.Dropout(dropout),
        )
        self.norm = nn.LayerNorm(d_model)

    def weights_between(self, tokens: Tensor) -> Tensor:
        """Return which share each series gives to each, (batch, series, series).

        The mean over heads and tokens; there has to be attention between series.
        """
        assert self.inter_series is not None
        if self.intra_series is not None:
            tokens = self.intra_series(tokens)
        attention = self.inter_series.attention
        parts = tokens.unbind(dim=2)  # each token by itself, as all take much memory
        weights = sum(attention.weights(part, part) for part in parts)
        return torch.as_tensor(weights) / len(parts)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode tokens of (batch, series, token, d_model)."""
        if self.intra_series is not None:
            tokens = self.intra_series(tokens)
        if self.inter_series is not None:
            tokens = self.inter_series(tokens.transpose(1, 2)).transpose(1, 2)
        return self.norm(tokens + self.feed_forward(tokens))


class CrossModalFusion(nn.Module):
    """Multi-head attention from series to texts, added through a gate that starts at 0.

    The paper norms the sum instead. The gate is ours: without it, series are forecast
    worse where the texts tell nothing. Each series attends to the texts of all series,
    as the text of a similar series can help, too. To know its own text, a series adds
    it, projected, to its query. This addition is ours; the method's paper leaves open
    what a series attends to.
    """

    def __init__(self, d_model: int, d_text: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.text_projection = nn.Sequential(
            nn.LayerNorm(d_text), nn.Linear(d_text, d_model)
        )
        self.attention = GroupedQueryAttention(d_model, n_heads, n_heads)
        self.dropout = nn.Dropout(dropout)
        self.gate = nn.Parameter(torch.zeros(d_model))

    def forward(self, states: Tensor, text: Tensor) -> Tensor:
        """Add what each series, (batch, series, d_model), reads in the texts.

        The texts are (batch, series, d_text), or (series, d_text) for all windows.
        """
        expected = states.shape[:2] if text.ndim == 3 else states.shape[1:2]
        if text.shape[:-1] != expected:
            raise InputError(
                f"text embeddings of shape {tuple(text.shape)} for states of shape "
                f"{tuple(states.shape)}, expected one for each of the "
                f"{expected[-1]} series: (series, d_text) or (batch, series, d_text)."
            )
        own = self.text_projection(text)
        mixed = self.attention(states + own, own)
        return states + self.gate * self.dropout(mixed)

    def weights(self, states: Tensor, text: Tensor) -> Tensor:
        """Return which share each series gives to each text, (batch, series, text)."""
        own = self.text_projection(text)
        return self.attention.weights(states + own, own)


class AttentionPooling(nn.Module):
    """Mean of token states, weighted by a query; the plain mean before training."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(d_model))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(batch, token, d_model) to (batch, d_model); the mask is 0 at padding."""
        scores = states @ self.query / math.sqrt(states.shape[-1])
        weights = scores.masked_fill(mask == 0, -torch.inf).softmax(dim=1)
        return torch.einsum("bt,btd->bd", weights, states)
