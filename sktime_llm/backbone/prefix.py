"""Run tokens that attend to a text; the text does not attend to them."""

import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sktime_llm._threads import one_at_a_time
from sktime_llm.backbone.loading import kept_tensors
from sktime_llm.errors import UnsupportedBackboneError

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

_CACHES = ("cache", "past_key_values")  # from transformers 5.24 on, and before
# These count tokens by their place, so that those after a padded text are too far on.
_WITHOUT_POSITIONS = ("mpt",)


class _CacheFilled(Exception):
    """Ends a run whose result is known."""


def _ending_when_filled(n_layers: int) -> Any:
    """Return a cache that ends a run at the last keys and values.

    Nothing after them is needed.
    """
    cache: Any = _new_cache()
    update = cache.update

    def update_or_end(
        keys: Tensor, values: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        updated = update(keys, values, layer_idx, *args, **kwargs)
        if layer_idx + 1 == n_layers:
            raise _CacheFilled
        return updated

    cache.update = update_or_end
    return cache


@one_at_a_time
def _new_cache() -> "DynamicCache":
    from transformers import DynamicCache  # with all of its models

    return DynamicCache()


@kept_tensors
@torch.no_grad()
def read_prefix(model: "PreTrainedModel", prefix: Tensor, mask: Tensor) -> Tensor:
    """Return the keys and values that a frozen model has of embedded texts.

    (batch, text token, hidden_size), padded at the end where the mask is 0, to
    (batch, text token, layer, 2, key-value head, head width), without gradient.
    """
    cache = _ending_when_filled(model.config.num_hidden_layers)
    earlier = {_cache_name(model): cache}
    with suppress(_CacheFilled):
        model(inputs_embeds=prefix, attention_mask=mask, **earlier)
    kept: list[Any] = cache.layers
    layers = [torch.stack([layer.keys, layer.values]) for layer in kept]
    return torch.stack(layers).permute(2, 4, 0, 1, 3, 5)


def states_after_prefix(
    model: "PreTrainedModel",
    prefix: Tensor,
    prefix_mask: Tensor,
    tokens: Tensor,
    *,
    is_causal: bool,
    first_position: int,
) -> Tensor:
    """Return the last states of tokens that follow a text, (batch, token, hidden_size).

    They attend to the text, which `read_prefix` read, and to each other as in the
    model. Their positions follow each sample's own text.
    """
    cache = _new_cache()
    for i, (keys, values) in enumerate(prefix.permute(2, 3, 0, 4, 1, 5)):
        cache.update(keys, values, i)
    mask = F.pad(prefix_mask, (0, tokens.shape[1]), value=1)
    order = torch.arange(tokens.shape[1], device=tokens.device)
    positions = prefix_mask.sum(dim=1, keepdim=True) + order + first_position
    return model(
        inputs_embeds=tokens,
        attention_mask=mask if is_causal else _for_every_query(mask, tokens),
        position_ids=positions,
        **{_cache_name(model): cache},
    ).last_hidden_state


def _for_every_query(mask: Tensor, tokens: Tensor) -> Tensor:
    """Turn a mask, (batch, key), into a bias of scores, (batch, 1, query, key)."""
    added = torch.zeros(mask.shape, dtype=tokens.dtype, device=tokens.device)
    added = added.masked_fill(mask == 0, torch.finfo(tokens.dtype).min)
    return added[:, None, None].expand(-1, -1, tokens.shape[1], -1)


def _cache_name(model: "PreTrainedModel") -> str:
    """Name under which ``forward`` takes the keys and values of earlier tokens."""
    arguments = inspect.signature(model.forward).parameters
    name = next((name for name in _CACHES if name in arguments), None)
    if name is None or model.config.model_type in _WITHOUT_POSITIONS:
        what = "keep the keys and values of a text"
        if name is not None:
            what = "give tokens the positions that follow a text of its own length"
        raise UnsupportedBackboneError(
            f"{type(model).__name__} cannot {what}; expected a decoder such as GPT-2, "
            "or an encoder such as BERT or RoBERTa. Choose another backbone, or "
            "prompt_order='prompts-first'."
        )
    return name
