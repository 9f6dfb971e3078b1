"""Parts of a frozen backbone that train, and what architectures call them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from sktime_llm._validation import BOOLEAN, check_parameters, integer, real
from sktime_llm.backbone.quantized import without_kernel_warning
from sktime_llm.errors import InputError, UnsupportedBackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ATTENTION_PROJECTIONS = frozenset(
    {
        "query", "key", "value",  # BERT, RoBERTa, ELECTRA
        "q_proj", "k_proj", "v_proj",  # Llama, Qwen, Gemma, Mistral, OPT
        "qkv_proj",  # Phi
        "q_lin", "k_lin", "v_lin",  # DistilBERT
        "c_attn",  # GPT-2
        "query_key_value",  # GPT-NeoX, Falcon, BLOOM
        "Wqkv",  # ModernBERT
        "q", "k", "v",  # MPNet
        "query_proj", "key_proj", "value_proj",  # DeBERTa-v2
        "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj",  # DeepSeek
    }
)  # fmt: skip
_POSITION_EMBEDDINGS = (
    "position_embeddings",
    "positions_embed",  # the first GPT
    "wpe",
    "embed_positions",
)

ADAPTER_CONSTRAINTS = {
    "lora_rank": integer(0),
    "lora_alpha": real(above=0),
    "lora_dropout": real(0, below=1),
    "layer_norms": BOOLEAN,
    "position_embeddings": BOOLEAN,
    "reduced_memory": BOOLEAN,
}


@dataclass(frozen=True)
class AdapterConfig:
    """Which parts of a backbone are trained; by default nothing.

    LoRA is on the attention's query, key and value projections; rank 0 is none. With
    `reduced_memory` it is LoRA-AMR, whose rank is even.
    """

    lora_rank: int = 0
    lora_alpha: float = 32
    lora_dropout: float = 0.1
    layer_norms: bool = False
    position_embeddings: bool = False
    reduced_memory: bool = False

    def __post_init__(self) -> None:
        check_parameters(vars(self), ADAPTER_CONSTRAINTS)


def inject_lora(model: "PreTrainedModel", tuning: AdapterConfig) -> None:
    """Put LoRA adapters on the attention projections, in place."""
    width = model.config.hidden_size
    if tuning.lora_rank > width:
        raise InputError(
            f"lora_rank={tuning.lora_rank}, expected between 0 and {width}, the width "
            "of the backbone: an adapter of a higher rank is not low-rank."
        )
    if tuning.lora_rank == 0:
        return
    with without_kernel_warning():
        from peft import LoraConfig, inject_adapter_in_model  # takes half a second

    config_class: type[LoraConfig] = LoraConfig
    if tuning.reduced_memory:  # imported here, as it adds a method to peft's tables
        from sktime_llm.backbone.lora_amr import LoraAmrConfig

        config_class = LoraAmrConfig
    options = attention_options(
        model, int(tuning.lora_rank), tuning.lora_alpha, tuning.lora_dropout
    )
    inject_adapter_in_model(config_class(**options), model)


def attention_options(
    model: nn.Module, rank: int, alpha: float, dropout: float
) -> dict[str, Any]:
    """Return LoRA's options for all query, key and value projections."""
    from transformers.pytorch_utils import Conv1D

    names = attention_projection_names(model)
    return {
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": names,
        "fan_in_fan_out": isinstance(model.get_submodule(names[0]), Conv1D),
    }


def layer_norm_names(model: nn.Module) -> list[str]:
    """Names of the parameters of all layer norms, RMS norms included."""
    return [
        f"{module_name}.{name}"
        for module_name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm) or type(module).__name__.endswith("Norm")
        for name, _ in module.named_parameters(recurse=False)
    ]


def position_embedding_names(model: nn.Module) -> list[str]:
    """Names of the learned position embeddings; none where positions are rotary."""
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding)
        and name.rpartition(".")[2] in _POSITION_EMBEDDINGS
    ]


def attention_projection_names(model: nn.Module) -> list[str]:
    """Names of the modules that project to queries, keys and values."""
    layers = _weighted(model)
    names = [name for name, leaf in layers.items() if leaf in _ATTENTION_PROJECTIONS]
    if not names:
        raise UnsupportedBackboneError(
            f"found no query, key or value projection in {type(model).__name__}; its "
            f"layers are called {sorted(set(layers.values()))}, expected some of "
            f"{sorted(_ATTENTION_PROJECTIONS)}. Choose another backbone, or "
            "lora_rank=0 to train without LoRA."
        )
    _check_every_layer(model, names)
    return names


def _weighted(model: nn.Module) -> dict[str, str]:
    """Names of the modules with weights, and the last part of each."""
    return {
        name: name.rpartition(".")[2]
        for name, module in model.named_modules()
        if hasattr(module, "weight")
    }


def _check_every_layer(model: nn.Module, projections: list[str]) -> None:
    """Raise an UnsupportedBackboneError if only some layers have projections."""
    for stack_name, stack in model.named_modules():
        if not isinstance(stack, nn.ModuleList):
            continue
        prefixes = [f"{stack_name}.{i}." for i in range(len(stack))]
        has = [any(name.startswith(p) for name in projections) for p in prefixes]
        if any(has) and not all(has):
            lacks = has.index(False)
            leaves = sorted(set(_weighted(stack[lacks]).values()))
            raise UnsupportedBackboneError(
                f"found query, key or value projections in only {sum(has)} of the "
                f"{len(has)} layers of {type(model).__name__}; layer {lacks} has "
                f"{leaves}, expected some of {sorted(_ATTENTION_PROJECTIONS)} in each. "
                "Choose another backbone, or lora_rank=0 to train without LoRA."
            )
