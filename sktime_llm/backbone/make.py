"""From a forecaster's parameters to a backbone."""

from dataclasses import replace

from torch import nn

from sktime_llm._validation import one_of
from sktime_llm.backbone._module import Backbone, LanguageModelBackbone
from sktime_llm.backbone.ablations import (
    AblationBackbone,
    AttentionLayer,
    TransformerLayer,
)
from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.loading import BackboneChoice, check_heads, load_config

__all__ = ["BACKBONE_MODES", "BackboneChoice", "make_backbone"]

BACKBONE_MODES = ("pretrained", "random", "none", "attention", "transformer")


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
    config = load_config(choice.name, choice.revision)
    layer: nn.Module | None = None
    if choice.mode != "none":
        check_heads(config)
        kind = AttentionLayer if choice.mode == "attention" else TransformerLayer
        layer = kind(config.hidden_size, config.num_attention_heads)
    return AblationBackbone(choice, config, layer)
