"""What the parts of a transformers model are called, across architectures."""

import inspect
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from sktime_llm.errors import UnsupportedBackboneError

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
    }
)  # fmt: skip
_POSITION_EMBEDDINGS = ("position_embeddings", "wpe", "embed_positions")
_CACHES = ("cache", "past_key_values")  # from transformers 5.24 on, and before


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


def count_positions(model: PreTrainedModel) -> int | None:
    """Longest input, in tokens, of learned positions; None where they are rotary."""
    if not position_embedding_names(model):
        return None
    return int(model.config.max_position_embeddings) - first_position(model)


def first_position(model: PreTrainedModel) -> int:
    """Number of the first token's position, as the model counts them.

    RoBERTa and MPNet keep the entries up to that of the padding token free.
    """
    names = position_embedding_names(model)
    if not names:
        return 0
    table: Any = model.get_submodule(names[0].rpartition(".")[0])
    return 0 if table.padding_idx is None else table.padding_idx + 1


def cache_name(model: nn.Module) -> str:
    """Name under which ``forward`` takes the keys and values of earlier tokens."""
    arguments = inspect.signature(model.forward).parameters
    for name in _CACHES:
        if name in arguments:
            return name
    raise UnsupportedBackboneError(
        f"{type(model).__name__} cannot keep the keys and values of a text; expected a "
        "decoder, or an encoder such as BERT or RoBERTa. Choose another backbone, or "
        "prompt_order='prompts-first'."
    )


def attention_projection_names(model: nn.Module) -> list[str]:
    """Names of the modules that project to queries, keys and values."""
    layers = {
        name: name.rpartition(".")[2]
        for name, module in model.named_modules()
        if hasattr(module, "weight")
    }
    names = [name for name, leaf in layers.items() if leaf in _ATTENTION_PROJECTIONS]
    if not names:
        raise UnsupportedBackboneError(
            f"found no query, key or value projection in {type(model).__name__}; its "
            f"layers are called {sorted(set(layers.values()))}, expected some of "
            f"{sorted(_ATTENTION_PROJECTIONS)}. Choose another backbone, or "
            "lora_rank=0 to train without LoRA."
        )
    return names
