"""LLM-TS Net: prompts from a pool, attention in time then space, descriptions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm.errors import InputError
from sktime_llm.layers.attention import CrossModalFusion, TimeSpaceBlock
from sktime_llm.layers.covariates import CovariateEmbedding
from sktime_llm.layers.losses import DISTANCES
from sktime_llm.layers.normalization import Normalized, fill_gaps, last_value_norm
from sktime_llm.layers.prompt_pool import (
    PromptPool,
    PromptSelection,
    selection_loss,
    share_in_use,
    usage_counts,
)
from sktime_llm.layers.quantiles import QuantileHead
from sktime_llm.networks._interface import (
    Features,
    ForecastNetwork,
    ForecastOutput,
    join_parts,
)
from sktime_llm.text.encoder import DescriptionEmbeddings

MIN_VARIANCE = 1e-6
"""Added to the variance of a standardized value, so that its logarithm is finite."""


class Attention(NamedTuple):
    """What windows look at.

    Prompts, (window, channel, n_selected), and shares of all, (window, channel,
    n_prompts); attention to texts, (window, channel, channel), and what they add,
    (window, channel); attention to channels in each block, (window, channel, channel).
    None, or empty, where the network has no such part.
    """

    prompts: Tensor | None
    prompt_shares: Tensor | None
    texts: Tensor | None
    text_gain: Tensor | None
    sensors: tuple[Tensor, ...]

    @classmethod
    def join(cls, parts: Sequence["Attention"]) -> "Attention":
        """Join those of several batches."""
        return cls(*(join_parts(each) for each in zip(*parts, strict=True)))


class LLMTSNetwork(ForecastNetwork):
    """The network of LLM-TS Net, arXiv 2408.14387.

    Windows may have any number of variates, and their patches are tokens. There is no
    text without `descriptions` and no prompt pool if `n_prompts` is 0. With
    `level_input` patches know the last value, which windows relative to it do not show.
    `uncertainty` forecasts a Gaussian, trained by its negative log-likelihood instead
    of `task_loss`.
    """

    def __init__(
        self,
        descriptions: DescriptionEmbeddings | None,
        *,
        context_length: int,
        prediction_length: int,
        patch_length: int,
        d_model: int,
        n_heads: int,
        n_kv_heads: int,
        d_ff: int,
        n_blocks: int,
        n_prompts: int,
        prompt_length: int,
        n_selected: int,
        level_input: bool,
        intra_series: bool,
        inter_series: bool,
        dropout: float,
        task_loss: str,
        selection_loss_weight: float,
        uncertainty: bool,
        quantiles: bool = False,
    ) -> None:
        super().__init__()
        self.context_length = context_length
        self.prediction_length = prediction_length
        self.patch_length = patch_length
        self.task_loss = task_loss
        self.selection_loss_weight = selection_loss_weight
        n_tokens = n_patches = -(-context_length // patch_length)
        self.embedding = nn.Linear(2 * patch_length, d_model)
        self.positions = nn.Parameter(0.02 * torch.randn(n_patches, d_model))
        self.level = nn.Linear(1, d_model, bias=False) if level_input else None
        self.pool: PromptPool | None = None
        if n_prompts:
            n_tokens += n_selected * prompt_length
            self.query = nn.Sequential(
                nn.Linear(2 * context_length, d_model),
                nn.LayerNorm(d_model, elementwise_affine=False),
            )
            self.pool = PromptPool(n_prompts, prompt_length, d_model, n_selected)
        attention = {"intra_series": intra_series, "inter_series": inter_series}
        self.inter_series = inter_series
        self.covariates: CovariateEmbedding | None = None
        self.blocks = nn.ModuleList(
            TimeSpaceBlock(d_model, n_heads, n_kv_heads, d_ff, dropout, **attention)
            for _ in range(n_blocks)
        )
        self.summary = nn.Linear(n_tokens * d_model, d_model)
        self.descriptions = descriptions
        if descriptions is not None:
            width = descriptions.width
            self.fusion = CrossModalFusion(d_model, width, n_heads, dropout)
        self.head = _head(d_model, prediction_length, dropout)
        self.variance_head: nn.Module | None = None
        if uncertainty:
            self.variance_head = _head(d_model, 2 * prediction_length, dropout)
        self.quantile_head = None
        if quantiles:
            self.quantile_head = QuantileHead(d_model, prediction_length)

    def add_covariates(self, past_only: Sequence[bool]) -> None:
        """Take covariates as further series of the attention between series."""
        if not self.inter_series:
            raise InputError(
                "inter_series_attention=False with covariates (X), expected True: "
                "series find covariates by it. Set it, or leave X out."
            )
        d_model = self.positions.shape[1]
        lengths = self.context_length, self.prediction_length
        self.covariates = CovariateEmbedding(past_only, *lengths, d_model)

    def forward(
        self,
        context: Tensor,
        target: Tensor | None = None,
        features: Features | None = None,
    ) -> ForecastOutput:
        """Forecast; context and target are NaN where values are missing."""
        state, selection, window = self.encode(context, features or {})
        forecast = self.head(state).transpose(1, 2) * window.scale + window.loc
        variance = None
        if self.variance_head is not None:
            variance = _variance(self.variance_head(state), window.scale)
        losses: dict[str, Tensor] = {}
        if target is not None:
            losses = self._losses(forecast, variance, target, selection)
        output = ForecastOutput(forecast, losses, variance)
        return self._with_quantiles(output, state, window.scale, target)

    def encode(
        self, context: Tensor, features: Features
    ) -> tuple[Tensor, PromptSelection | None, Normalized]:
        """Return the states, (batch, channel, d_model), prompts, and the window."""
        tokens, selection, window = self._tokens(context, features)
        for block in self.blocks:
            tokens = block(tokens)
        state = self._summarize(tokens, context)
        if self.descriptions is not None:
            state = self.fusion(state, self._described(context, features))
        return state, selection, window

    def attention(self, context: Tensor, features: Features) -> Attention:
        """Return what windows without covariates look at."""
        tokens, selection, _ = self._tokens(context, features)
        sensors = []
        block: Any
        for block in self.blocks:
            if self.inter_series:
                sensors.append(block.weights_between(tokens))
            tokens = block(tokens)
        texts = gain = prompts = shares = None
        if selection is not None:
            prompts, shares = selection.indices, selection.scores.softmax(dim=-1)
        if self.descriptions is not None:
            state = self._summarize(tokens, context)
            described = self._described(context, features)
            texts = self.fusion.weights(state, described)
            added = self.fusion(state, described) - state
            gain = added.norm(dim=-1) / state.norm(dim=-1)
        return Attention(prompts, shares, texts, gain, tuple(sensors))

    def _tokens(
        self, context: Tensor, features: Features
    ) -> tuple[Tensor, PromptSelection | None, Normalized]:
        """Return prompts and patches, (batch, series, token, d_model), as tokens."""
        window, steps = self._normalize(context, features)
        tokens = self.embedding(self._patches(steps)) + self.positions
        if self.level is not None:
            tokens = tokens + self.level(window.loc.transpose(1, 2)).unsqueeze(2)
        selection = None
        if self.pool is not None:
            selection = self.pool(self.query(steps.flatten(2)))
            tokens = torch.cat([selection.tokens, tokens], dim=2)
        if self.covariates is not None:
            # at every place, where any patch of a series finds all of a covariate
            known = self.covariates(features["covariates"])
            known = known[:, :, None].expand(-1, -1, tokens.shape[2], -1)
            tokens = torch.cat([tokens, known], dim=1)
        return tokens, selection, window

    def _summarize(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Return the states of variates from their tokens; covariates have none."""
        return self.summary(tokens[:, : context.shape[2]].flatten(2))

    def _described(self, context: Tensor, features: Features) -> Tensor:
        assert self.descriptions is not None
        first = context.new_zeros(len(context), dtype=torch.int64)
        return self.descriptions(features.get("series", first))

    def _normalize(
        self, context: Tensor, features: Features
    ) -> tuple[Normalized, Tensor]:
        """Fill gaps; return windows, and (batch, channel, time, value and flag)."""
        filled, observed = fill_gaps(context, features.get("last_observed"))
        window = last_value_norm(filled, observed)
        steps = torch.stack([window.values, observed.to(context.dtype)], dim=-1)
        return window, steps.transpose(1, 2)

    def _patches(self, steps: Tensor) -> Tensor:
        """(batch, channel, time, 2) to (batch, channel, patch, 2 * patch_length)."""
        missing = -steps.shape[2] % self.patch_length
        if missing:  # the first step is repeated in front
            front = steps[:, :, :1].expand(-1, -1, missing, -1)
            steps = torch.cat([front, steps], dim=2)
        return steps.unflatten(2, (-1, self.patch_length)).flatten(3)

    def _losses(
        self,
        forecast: Tensor,
        variance: Tensor | None,
        target: Tensor,
        selection: PromptSelection | None,
    ) -> dict[str, Tensor]:
        observed = ~target.isnan()
        forecast, truth = forecast[observed], target[observed]
        if variance is None:
            task = DISTANCES[self.task_loss](forecast, truth)
        else:
            means = forecast.to(truth.dtype)
            task = F.gaussian_nll_loss(means, truth, variance[observed])
        losses = {"loss": task, "task": task}
        if selection is not None:
            scores = selection.scores
            counts = usage_counts(selection.indices, scores.shape[-1])
            # a tensor, as reading it would wait for a GPU
            losses["pool_in_use"] = share_in_use(counts.to(scores.dtype))
            if self.selection_loss_weight:
                losses["selection"] = selection_loss(scores.to(target.dtype))
                weighted = self.selection_loss_weight * losses["selection"]
                losses["loss"] = task + weighted
        return losses

    @contextmanager
    def training_context(self) -> Iterator[None]:
        """Train the pooling of the descriptions while inside, then keep the result."""
        try:
            yield
        finally:
            if self.descriptions is not None:
                self.descriptions.freeze()


def _head(d_model: int, prediction_length: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Linear(d_model, d_model),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(d_model, prediction_length),
    )


def _variance(raw: Tensor, scale: Tensor) -> Tensor:
    """Return the sum of a variance relative to the window's and one of the data.

    A window that is nearly constant tells nothing of what may follow. `raw` is (batch,
    channel, 2 * prediction_length).
    """
    parts = F.softplus(raw.to(scale.dtype)).transpose(1, 2)
    of_window, of_data = parts.chunk(2, dim=1)
    return of_window * scale.square() + of_data + MIN_VARIANCE
