"""A pool of learned prompts, from which each series takes those that suit it."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PromptSelection(NamedTuple):
    """Weighted prompts, (..., n_selected * prompt_length, d_model), and their choice.

    Indices are (..., n_selected), best first, and scores of all keys (..., n_prompts).
    """

    tokens: Tensor
    indices: Tensor
    scores: Tensor


class PromptPool(nn.Module):
    """Key-value pairs; a query takes the prompts whose keys fit it best.

    A query q is scored against each key k by additive attention (arXiv 1409.0473),
    ``v^T tanh(W_q q + W_k k)``. The `n_selected` best keys give their values, each of
    `prompt_length` tokens, times the softmax of the scores. It is over the whole pool,
    so that every key has a gradient. This is our choice, as is `selection_loss`.
    """

    def __init__(
        self, n_prompts: int, prompt_length: int, d_model: int, n_selected: int
    ) -> None:
        super().__init__()
        self.n_selected = n_selected
        self.keys = nn.Parameter(torch.randn(n_prompts, d_model))
        self.values = nn.Parameter(torch.randn(n_prompts, prompt_length, d_model))
        self.query_projection = nn.Linear(d_model, d_model, bias=False)
        self.key_projection = nn.Linear(d_model, d_model, bias=False)
        self.score = nn.Linear(d_model, 1, bias=False)
        # In the linear range of tanh, q adds the same to the score of every key, and a
        # few keys win for all q. A wide W_q q leaves that range.
        nn.init.normal_(self.query_projection.weight, std=4 / math.sqrt(d_model))
        nn.init.normal_(self.key_projection.weight, std=1 / math.sqrt(d_model))

    def forward(self, queries: Tensor) -> PromptSelection:
        """Choose prompts for queries (..., d_model) of about unit variance."""
        projected = self.query_projection(queries).unsqueeze(-2)
        hidden = torch.tanh(projected + self.key_projection(self.keys))
        scores = self.score(hidden).squeeze(-1)
        indices = scores.topk(self.n_selected, dim=-1).indices
        weights = scores.softmax(dim=-1).gather(-1, indices)
        prompts = F.embedding(indices, self.values.flatten(1))
        tokens = (weights.unsqueeze(-1) * prompts).unflatten(-1, self.values.shape[1:])
        return PromptSelection(tokens.flatten(-3, -2), indices, scores)


def selection_loss(scores: Tensor) -> Tensor:
    """One minus the mutual information of series and prompt, as a share of its maximum.

    With p the softmax of a series' scores, the information (Gomes et al., NeurIPS 2010)
    is the entropy of the mean p less the mean entropy of p. The loss is 0 if each
    series is sure of its prompt and all prompts are used equally, and 1 if all series
    have the same p. The scores are (..., n_prompts), of 2 or more prompts.
    """
    log_p = scores.flatten(0, -2).log_softmax(dim=-1)
    mean_p = log_p.exp().mean(dim=0)
    entropy_of_mean = torch.special.entr(mean_p).sum()
    mean_entropy = -(log_p.exp() * log_p).sum(dim=-1).mean()
    return 1 - (entropy_of_mean - mean_entropy) / math.log(scores.shape[-1])


def usage_counts(indices: Tensor, n_prompts: int) -> Tensor:
    """Count how often each prompt was chosen, (n_prompts,)."""
    return torch.bincount(indices.flatten(), minlength=n_prompts)


def share_in_use(counts: Tensor) -> Tensor:
    """Return the share of the pool that is in use, from counts, (n_prompts,) of floats.

    It is ``exp(entropy) / n_prompts`` of the frequencies: ``m / n_prompts`` if m of the
    prompts are chosen equally often, and others never.
    """
    frequencies = counts / counts.sum()
    return torch.special.entr(frequencies).sum().exp() / len(counts)
