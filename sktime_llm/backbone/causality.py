"""Whether a language model looks ahead, measured, as its configuration may not say."""

import copy
from typing import Any

import torch
from torch import nn


def attends_only_back(model: nn.Module) -> bool:
    """Whether no token of a frozen model on ``inputs_embeds`` attends to later ones.

    Then the first state has no gradient by the second input: exactly, without a
    tolerance.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False), torch.enable_grad():
        # a copy, as BigBird remembers how long its inputs were
        own: Any = copy.deepcopy(model, {id(p): p for p in model.parameters()})
        shape = 2, 1, 2, own.config.hidden_size
        inputs, weights = torch.randn(shape, generator=generator)
        inputs.requires_grad_()
        # a copy, as CTRL changes its inputs
        states = own(inputs_embeds=inputs.clone()).last_hidden_state
        first = (states * weights)[:, 0].sum()
        (gradient,) = torch.autograd.grad(first, inputs)
    return not gradient[:, 1].any()
