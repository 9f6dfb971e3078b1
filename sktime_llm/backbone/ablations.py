"""Backbones without a language model, to see what the language model is worth."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from sktime_llm.backbone._module import Backbone


class StandInBackbone(Backbone):
    """What stands in the place of the language model in an ablation.

    Follows the ablations of [1]_: the language model is removed, or replaced by a
    single layer of its own width that is trained from scratch. No weight of the
    language model is left: its word embeddings are replaced by random ones of the same
    shape.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        Configuration of the language model, for its width, heads and vocabulary.
    layer : nn.Module or None
        The layer, (batch, token, hidden_size) to the same, taking
        ``attention_mask=``; None for no layer at all.
    random_seed : int
        Seed of the random word embeddings.

    References
    ----------
    .. [1] M. Tan et al. (2024). Are Language Models Actually Useful for Time Series
       Forecasting? NeurIPS. arXiv 2406.16964.
    """

    max_tokens = None
    is_causal = False
    vocabulary_key: tuple[int, int, int]

    def __init__(
        self, config: PreTrainedConfig, layer: nn.Module | None, random_seed: int
    ) -> None:
        super().__init__()
        self.layer = layer
        self.hidden_size = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.n_layers = 0 if layer is None else 1
        self.vocabulary_key = (config.vocab_size, config.hidden_size, random_seed)

    def _hidden_states(
        self, inputs_embeds: Tensor, attention_mask: Tensor | None
    ) -> tuple[Tensor, ...]:
        if self.layer is None:
            return (inputs_embeds,)
        return inputs_embeds, self.layer(inputs_embeds, attention_mask=attention_mask)

    def word_embeddings(self) -> Tensor:
        """Random word embeddings, (vocabulary, hidden_size), on the CPU."""
        vocabulary_size, width, seed = self.vocabulary_key
        generator = torch.Generator().manual_seed(seed)
        table = torch.empty(vocabulary_size, width)
        return table.normal_(std=0.02, generator=generator)


class AttentionLayer(nn.Module):
    """One self-attention layer with residual and layer norm."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(d_model, n_heads, batch_first=True)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(batch, token, d_model) to the same."""
        mixed, _ = self.attention(
            tokens,
            tokens,
            tokens,
            key_padding_mask=_padding(attention_mask),
            need_weights=False,
        )
        return self.norm(tokens + mixed)


class TransformerLayer(nn.Module):
    """One post-norm Transformer encoder layer."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            d_model, n_heads, 4 * d_model, batch_first=True
        )

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(batch, token, d_model) to the same."""
        return self.layer(tokens, src_key_padding_mask=_padding(attention_mask))


def _padding(attention_mask: Tensor | None) -> Tensor | None:
    """From 1 at tokens to True at padding."""
    return None if attention_mask is None else attention_mask == 0
