"""Attention over time within each series, then over the series at each time."""

from torch import Tensor, nn

from sktime_llm.layers.grouped_query_attention import GroupedQueryAttention


class TimeSpaceBlock(nn.Module):
    """Encoder block of intra-series attention, inter-series attention, feed-forward.

    Intra-series attention mixes the tokens of one series; inter-series attention mixes
    the tokens of all series at one position. Both are grouped-query attention, and
    each of the three parts has a residual connection and a layer norm after it.

    The cost grows with ``n_series * n_tokens**2 + n_tokens * n_series**2``, the memory
    with ``n_series * n_tokens``.

    `d_ff` is ``4 * d_model`` by default. Dropout applies to what each part adds, and
    within the feed-forward part, not to attention weights.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        d_ff: int | None = None,
        dropout: float = 0.0,
        *,
        intra_series: bool = True,
        inter_series: bool = True,
    ) -> None:
        super().__init__()
        d_ff = 4 * d_model if d_ff is None else d_ff

        def attention(present: bool) -> "_AttentionPart | None":
            if not present:
                return None
            return _AttentionPart(d_model, n_heads, n_kv_heads, dropout)

        self.intra_series = attention(intra_series)
        self.inter_series = attention(inter_series)
        self.feed_forward = nn.Sequential(
            nn.Linear(d_model, d_ff),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(d_ff, d_model),
            nn.Dropout(dropout),
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode tokens of (batch, series, token, d_model), in the order of time."""
        if self.intra_series is not None:
            tokens = self.intra_series(tokens)
        if self.inter_series is not None:
            tokens = self.inter_series(tokens.transpose(1, 2)).transpose(1, 2)
        return self.norm(tokens + self.feed_forward(tokens))


class _AttentionPart(nn.Module):
    """Attention over the last axis of tokens, residual, norm."""

    def __init__(
        self, d_model: int, n_heads: int, n_kv_heads: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.attention = GroupedQueryAttention(d_model, n_heads, n_kv_heads)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        """Attend over `token` in (batch, group, token, d_model)."""
        mixed = self.attention(tokens.flatten(0, 1))
        return self.norm(tokens + self.dropout(mixed).view(tokens.shape))
