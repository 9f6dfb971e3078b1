"""Fusion of time series with one text embedding per series."""

from torch import Tensor, nn

from sktime_llm.errors import InputError
from sktime_llm.layers.grouped_query_attention import GroupedQueryAttention


class CrossModalFusion(nn.Module):
    """Multi-head attention from time series to texts, with residual and layer norm.

    Each series attends to the texts of all series, as the text of a similar series can
    help, too. To know its own text, a series adds it, projected to `d_model`, to its
    query, as a position embedding would be. This addition is ours; the method's paper
    leaves open what a series attends to.

    The texts are layer-normed first, as language models differ in the size of their
    states.
    """

    def __init__(
        self, d_model: int, d_text: int, n_heads: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.text_projection = nn.Sequential(
            nn.LayerNorm(d_text), nn.Linear(d_text, d_model)
        )
        self.attention = GroupedQueryAttention(d_model, n_heads)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, states: Tensor, text: Tensor) -> Tensor:
        """Add to each series, (batch, series, d_model), what it reads in the texts.

        The texts are (series, d_text), which all windows share and which are projected
        once; or (batch, series, d_text).
        """
        expected = states.shape[:2] if text.ndim == 3 else states.shape[1:2]
        if text.shape[:-1] != expected:
            raise InputError(
                f"text embeddings of shape {tuple(text.shape)} for states of shape "
                f"{tuple(states.shape)}, expected one for each of the "
                f"{expected[-1]} series: (series, d_text) or (batch, series, d_text)."
            )
        own = self.text_projection(text)
        memory = own if text.ndim == 3 else own.unsqueeze(0)
        # with shared texts, the series of all windows are one sequence of queries
        queries = (states + own).reshape(len(memory), -1, states.shape[-1])
        mixed = self.attention(queries, memory).view(states.shape)
        return self.norm(states + self.dropout(mixed))
