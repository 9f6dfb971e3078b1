"""Tokens that read a text which does not read them."""

import inspect

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from sktime_llm.errors import UnsupportedBackboneError


def states_after_prefix(
    model: PreTrainedModel,
    prefix: Tensor,
    prefix_mask: Tensor,
    tokens: Tensor,
    *,
    is_causal: bool,
    first_position: int,
) -> Tensor:
    """Run a frozen model over a prefix, then over the tokens that follow it.

    The prefix attends to itself only, so no gradient is needed in it, and its keys and
    values are all that is kept. The tokens attend to the prefix and, as the model does,
    to those before them or to all of them.

    Parameters
    ----------
    model : PreTrainedModel
        Takes ``inputs_embeds``.
    prefix : Tensor of shape (batch, text token, hidden_size)
        Embedded text, padded at its end.
    prefix_mask : Tensor of shape (batch, text token)
        1 at tokens, 0 at padding.
    tokens : Tensor of shape (batch, token, hidden_size)
        What follows, at the positions after each sample's own text.
    is_causal : bool
        Whether the model is a decoder.
    first_position : int
        Number of the first position.

    Returns
    -------
    Tensor of shape (batch, token, hidden_size)
        The last states of `tokens`.

    Raises
    ------
    UnsupportedBackboneError
        If the model cannot read keys and values from a cache.
    """
    cache = _read(model, prefix, prefix_mask)
    mask = torch.cat([prefix_mask, prefix_mask.new_ones(tokens.shape[:2])], dim=1)
    order = torch.arange(tokens.shape[1], device=tokens.device)
    positions = prefix_mask.sum(dim=1, keepdim=True) + order + first_position
    return model(
        inputs_embeds=tokens,
        attention_mask=mask if is_causal else _for_every_query(mask, tokens),
        position_ids=positions,
        past_key_values=cache,
    ).last_hidden_state


def _read(model: PreTrainedModel, prefix: Tensor, mask: Tensor) -> DynamicCache:
    """Give the keys and values of a prefix, which need no gradient."""
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise UnsupportedBackboneError(
            f"{type(model).__name__} cannot keep the keys and values of a text; "
            "expected a decoder, or an encoder such as BERT or RoBERTa. Choose another "
            "backbone, or prompt_order='prompts-first'."
        )
    cache = DynamicCache()
    with torch.no_grad():
        model(inputs_embeds=prefix, attention_mask=mask, past_key_values=cache)
    return cache


def _for_every_query(mask: Tensor, tokens: Tensor) -> Tensor:
    """(batch, key) of 1 and 0 to what is added to scores, (batch, 1, query, key)."""
    added = torch.zeros(mask.shape, dtype=tokens.dtype, device=tokens.device)
    added = added.masked_fill(mask == 0, torch.finfo(tokens.dtype).min)
    return added[:, None, None].expand(-1, -1, tokens.shape[1], -1)
