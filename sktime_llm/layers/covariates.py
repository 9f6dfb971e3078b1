"""Covariates of a window as tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sktime_llm.layers.normalization import fill_gaps, instance_norm


class CovariateEmbedding(nn.Module):
    """One token per covariate: of its past, its future if that is known, and its level.

    Covariates are (batch, time, covariate), NaN where unknown, over the context and the
    forecast; the future of those that are `past_only` is not looked at. Each has
    weights of its own, as each means something else. Flags of unknown values start at
    zero, so that they change nothing before something was learned of them.
    """

    past_only: Tensor

    def __init__(
        self,
        past_only: Sequence[bool],
        context_length: int,
        prediction_length: int,
        d_model: int,
    ) -> None:
        super().__init__()
        n_steps = context_length + prediction_length
        self.context_length = context_length
        self.embeds = nn.ModuleList(nn.Linear(n_steps + 1, d_model) for _ in past_only)
        self.unknown = nn.Parameter(torch.zeros(len(past_only), n_steps, d_model))
        self.register_buffer("past_only", torch.tensor(past_only))

    def __len__(self) -> int:
        return len(self.embeds)

    def forward(self, covariates: Tensor) -> Tensor:
        """(batch, time, covariate) to (batch, covariate, d_model)."""
        steps, known = self._normalize(covariates)
        parts = [
            embed(of_one)
            for embed, of_one in zip(self.embeds, steps.unbind(dim=2), strict=True)
        ]
        unknown = (~known).to(steps.dtype)
        flags = torch.einsum("btc,ctd->bcd", unknown, self.unknown)
        return torch.stack(parts, dim=1) + flags

    def _normalize(self, covariates: Tensor) -> tuple[Tensor, Tensor]:
        """Return the steps from the level of the past, then the level, and a mask.

        Steps are divided by their deviation in the window and in all training rows
        together, the latter being 1: so a covariate that is constant in a window, such
        as a holiday, is not blown up.
        """
        past = self.context_length
        hidden = torch.zeros_like(covariates, dtype=torch.bool)
        hidden[:, past:] = self.past_only
        values, known = fill_gaps(covariates.masked_fill(hidden, torch.nan))
        window = instance_norm(values[:, :past], known[:, :past])
        scale = torch.sqrt(window.scale.square() + 1)
        return torch.cat([(values - window.loc) / scale, window.loc], dim=1), known
