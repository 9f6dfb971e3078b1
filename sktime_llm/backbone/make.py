"""From a forecaster's parameters to a backbone or its replacement in an ablation."""

import copy
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm._threads import one_at_a_time
from sktime_llm._validation import one_of
from sktime_llm.backbone._module import Backbone, LanguageModelBackbone
from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.loading import (
    BackboneChoice,
    BackboneSizes,
    check_heads,
    kept_tensors,
    load_config,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

__all__ = ["BACKBONE_MODES", "BackboneChoice", "BackboneSizes", "make_backbone"]

BACKBONE_MODES = ("pretrained", "random", "none", "attention", "transformer")


@one_at_a_time
def make_backbone(
    choice: BackboneChoice, tuning: AdapterConfig | None = None
) -> Backbone:
    """Make a backbone; frozen weights are shared within the process.

    `tuning` has no effect without a language model, as the layer of an ablation trains
    whole.
    """
    one_of(*BACKBONE_MODES).check("backbone_mode", choice.mode)
    if choice.mode == "pretrained":  # which no seed changes
        choice = replace(choice, random_seed=0)
    if choice.mode in ("pretrained", "random"):
        return LanguageModelBackbone(choice, tuning or AdapterConfig())
    config = choice.sizes or load_config(choice.name, choice.revision)
    width, n_heads = config.hidden_size, config.num_attention_heads
    layer: nn.Module | None = None
    if choice.mode != "none":
        check_heads(config)
    if choice.mode == "attention":
        layer = _AttentionLayer(width, n_heads)
    elif choice.mode == "transformer":
        layer = nn.TransformerEncoderLayer(width, n_heads, 4 * width, batch_first=True)
    return AblationBackbone(choice, config, layer)


class AblationBackbone(Backbone):
    """Replacement for the language model in an ablation.

    As in Tan et al. (NeurIPS 2024, arXiv 2406.16964), the language model is removed, or
    replaced by one layer, (batch, token, hidden_size) to the same, that trains from
    scratch. The word embeddings are random ones of the same shape.
    """

    max_tokens = None
    is_causal = False

    def __init__(
        self,
        choice: BackboneChoice,
        config: "PreTrainedConfig | BackboneSizes",
        layer: nn.Module | None,
    ) -> None:
        super().__init__()
        self.choice = choice
        self.layer = layer
        self.hidden_size = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.n_layers = 0 if layer is None else 1
        self._table = (config.vocab_size, config.hidden_size, choice.random_seed)

    def _hidden_states(
        self, inputs_embeds: Tensor, attention_mask: Tensor | None
    ) -> tuple[Tensor, ...]:
        if self.layer is None:
            return (inputs_embeds,)
        padding = None if attention_mask is None else attention_mask == 0
        return inputs_embeds, self.layer(inputs_embeds, src_key_padding_mask=padding)

    def read(self, inputs_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the text itself, as its states change while the layer trains."""
        return inputs_embeds

    def states_after(
        self, prefix: Tensor, prefix_mask: Tensor, inputs_embeds: Tensor
    ) -> Tensor:
        """See `Backbone.states_after`; without a layer no token attends to another."""
        n_tokens = inputs_embeds.shape[1]
        both = torch.cat([prefix, inputs_embeds], dim=1)
        mask = F.pad(prefix_mask, (0, n_tokens), value=1)
        return self._hidden_states(both, mask)[-1][:, -n_tokens:]

    @property
    def sizes(self) -> BackboneSizes:
        """Sizes of the model in whose place this is."""
        return BackboneSizes(self.hidden_size, self.n_heads, self._table[0])

    @property
    def vocabulary_key(self) -> tuple[int, int, int]:
        """See `Backbone.vocabulary_key`."""
        return self._table

    def word_embeddings(self, device: torch.device | str = "cpu") -> Tensor:
        """See `Backbone.word_embeddings`; they are random."""
        return _random_table(*self._table, torch.device(device))

    def __deepcopy__(self, memo: dict[int, Any]) -> "AblationBackbone":
        """Copy the modules, and share the tokenizer, whatever its files are by now."""
        copied = type(self).__new__(type(self))
        memo |= {id(self): copied, id(self._tokenizer): self._tokenizer}
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __getstate__(self) -> dict[str, Any]:
        own = {**self.__dict__, "_tokenizer": None}  # read again from its files
        return {**own, "_fingerprints": self.fingerprints()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("_fingerprints")
        super().__setstate__(state)
        self._check_fingerprints(saved)


@lru_cache(maxsize=4)
@kept_tensors
def _random_table(
    vocabulary_size: int, width: int, seed: int, device: torch.device
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    table = torch.empty(vocabulary_size, width)
    return table.normal_(std=0.02, generator=generator).to(device)


class _AttentionLayer(nn.Module):
    """One self-attention layer with residual and layer norm."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(d_model, n_heads, batch_first=True)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor, src_key_padding_mask: Tensor | None) -> Tensor:
        """(batch, token, d_model) to the same, as `nn.TransformerEncoderLayer` does."""
        mixed, _ = self.attention(
            tokens, tokens, tokens, src_key_padding_mask, need_weights=False
        )
        return self.norm(tokens + mixed)
