"""From a forecaster's parameters to a backbone."""

from dataclasses import dataclass

from torch import nn

from sktime_llm.backbone._module import Backbone, LanguageModelBackbone
from sktime_llm.backbone.ablations import (
    AblationBackbone,
    AttentionLayer,
    TransformerLayer,
)
from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.loading import BackboneSource, load_config
from sktime_llm.errors import InputError

BACKBONE_MODES = ("pretrained", "random", "none", "attention", "transformer")


@dataclass(frozen=True)
class BackboneChoice:
    """A backbone as a user chooses it.

    Parameters
    ----------
    name : str
        Local folder in the Hub's layout, model name on the Hub, or ``"tiny-random"``
        (an encoder) or ``"tiny-random-decoder"``.
    revision : str, optional
        Revision on the Hub.
    n_layers : int, optional
        Layers to keep; None for the first six, or all where there are fewer.
    mode : str, default="pretrained"
        ``"pretrained"``; or an ablation: ``"random"``, the same architecture with
        random frozen weights; ``"none"``, no model; ``"attention"``, one trained
        attention layer; ``"transformer"``, one trained Transformer layer.
    random_seed : int, default=0
        Seed of what is random and frozen in an ablation.
    """

    name: str
    revision: str | None = None
    n_layers: int | None = None
    mode: str = "pretrained"
    random_seed: int = 0


def make_backbone(
    choice: BackboneChoice, tuning: AdapterConfig | None = None
) -> Backbone:
    """Make a backbone; frozen weights are shared within the process.

    Parameters
    ----------
    choice : BackboneChoice
        Which model, and in which mode.
    tuning : AdapterConfig, optional
        What of a language model trains; by default nothing. Without effect in the
        modes without a language model, whose layer trains whole.

    Raises
    ------
    InputError
        If the mode, the number of layers or the LoRA rank cannot be.
    BackboneNotFoundError
        If the model is on neither this machine nor the Hub.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.backbone.make import BackboneChoice, make_backbone
    >>> backbone = make_backbone(BackboneChoice("tiny-random"))
    >>> len(backbone(torch.zeros(1, 3, backbone.hidden_size)))
    3
    """
    if choice.mode not in BACKBONE_MODES:
        raise InputError(
            f"backbone_mode={choice.mode!r}, expected one of {BACKBONE_MODES}."
        )
    if choice.mode in ("pretrained", "random"):
        seed = choice.random_seed if choice.mode == "random" else None
        source = BackboneSource(choice.name, choice.revision, choice.n_layers, seed)
        return LanguageModelBackbone(source, tuning or AdapterConfig())
    config = load_config(choice.name, choice.revision)
    width, n_heads = config.hidden_size, config.num_attention_heads
    layer: nn.Module | None = None
    if choice.mode == "attention":
        layer = AttentionLayer(width, n_heads)
    elif choice.mode == "transformer":
        layer = TransformerLayer(width, n_heads)
    return AblationBackbone(
        choice.name, choice.revision, config, layer, choice.random_seed
    )
