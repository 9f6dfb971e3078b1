"""CALF: cross-modal fine-tuning of a language model for time series."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sktime_llm.backbone._module import Backbone
from sktime_llm.layers.attention import GroupedQueryAttention
from sktime_llm.layers.covariates import CovariateEmbedding
from sktime_llm.layers.embedding import VariateEmbedding
from sktime_llm.layers.losses import DISTANCES, mase, where_observed
from sktime_llm.layers.normalization import Normalized
from sktime_llm.layers.quantiles import QuantileHead
from sktime_llm.networks._interface import (
    Features,
    ForecastNetwork,
    ForecastOutput,
    fill_missing,
    join_parts,
)

FEATURE_LOSS_DECAY = 0.8
"""Weight of a hidden state's loss relative to the next later state's."""

_PROJECTIONS = (
    "embedding.encoder.self_attn.",
    "textual.match.",
    "textual.time_projections.",
    "textual.text_projections.",
)
"""Starts of the names of the attention and projections trained from scratch."""


class SourceBranch(nn.Module):
    """CALF's source branch: the series in words; it guides training only.

    Attention expresses each variate by the principal word embeddings, (entry,
    hidden_size), which are constant, and the frozen language model reads the result.
    """

    principal_embeddings: Tensor

    def __init__(
        self,
        backbone: Backbone,
        principal_embeddings: Tensor,
        n_heads: int,
        *,
        compare_features: bool,
    ) -> None:
        super().__init__()
        width = backbone.hidden_size
        self.backbone = backbone
        self.match = GroupedQueryAttention(width, n_heads, n_heads)
        self.register_buffer("principal_embeddings", principal_embeddings)
        n_states = backbone.n_layers + 1 if compare_features else 0
        self.time_projections = _projections(n_states, width)
        self.text_projections = _projections(n_states, width)

    def forward(self, tokens: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the text tokens and their hidden states, for the time tokens."""
        text_tokens = self.match(tokens, self.principal_embeddings)
        return text_tokens, self.backbone(text_tokens)

    def feature_loss(
        self,
        time_states: tuple[Tensor, ...],
        text_states: tuple[Tensor, ...],
        distance: str,
    ) -> Tensor:
        """Distance of the branches' projected hidden states; later ones weigh more."""
        last = len(time_states) - 1
        parts = [
            FEATURE_LOSS_DECAY ** (last - i)
            * DISTANCES[distance](
                self.time_projections[i](time_states[i]),
                self.text_projections[i](text_states[i]),
            )
            for i in range(last + 1)
        ]
        return torch.stack(parts).sum()


def _from(first: int, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Leave out the first tokens of states, (batch, token, d_model)."""
    return tuple(state[:, first:] for state in states) if first else states


def _projections(n: int, width: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(n))


class Branches(NamedTuple):
    """Tokens and hidden states of windows, all (window, channel, d_model).

    States are as the feature loss compares them, the last one with the residual if the
    network has `residual_in_features`. Attention of time tokens is (window, channel,
    entry). All but the time tokens and states are None without a source branch.
    """

    tokens: Tensor
    states: tuple[Tensor, ...]
    text_tokens: Tensor | None = None
    text_states: tuple[Tensor, ...] | None = None
    attention: Tensor | None = None

    @classmethod
    def join(cls, parts: Sequence["Branches"]) -> "Branches":
        """Join those of several batches."""
        return cls(*(join_parts(each) for each in zip(*parts, strict=True)))


class CALFNetwork(ForecastNetwork):
    """The network of CALF, arXiv 2403.07300: variates as tokens of two branches.

    Without a source branch the network trains by the task loss alone. With
    `residual_in_features` the last state in the feature loss includes the residual, the
    input tokens. Windows may have any number of variates.
    """

    def __init__(
        self,
        time_backbone: Backbone,
        textual: SourceBranch | None,
        *,
        context_length: int,
        prediction_length: int,
        n_heads: int,
        d_ff: int,
        dropout: float,
        task_loss: str,
        consistency_loss: str,
        feature_loss: str,
        consistency_loss_weight: float,
        feature_loss_weight: float,
        residual_in_features: bool,
        seasonal_period: int,
        quantiles: bool = False,
    ) -> None:
        super().__init__()
        width = time_backbone.hidden_size
        self.context_length = context_length
        self.prediction_length = prediction_length
        self.n_heads = n_heads
        self.embedding = VariateEmbedding(context_length, width, n_heads, d_ff, dropout)
        self.time_backbone = time_backbone
        self.textual = textual
        self.covariates: CovariateEmbedding | None = None
        self.head = nn.Linear(width, prediction_length)
        self.task_loss = task_loss
        self.consistency_loss = consistency_loss
        self.feature_loss = feature_loss
        self.consistency_loss_weight = consistency_loss_weight
        self.feature_loss_weight = feature_loss_weight
        self.residual_in_features = residual_in_features
        self.seasonal_period = seasonal_period
        self.quantile_head = None
        if quantiles:
            self.quantile_head = QuantileHead(width, prediction_length)

    def add_covariates(self, past_only: Sequence[bool]) -> None:
        """Take covariates as tokens before those of the variates.

        They come first because a decoder's tokens see only earlier ones.
        """
        width = self.time_backbone.hidden_size
        lengths = self.context_length, self.prediction_length
        self.covariates = CovariateEmbedding(past_only, *lengths, width)

    def missing_weights(self) -> list[nn.Parameter]:
        """Return the weights of the flags of missing values."""
        return [self.embedding.missing]

    def forward(
        self,
        context: Tensor,
        target: Tensor | None = None,
        features: Features | None = None,
    ) -> ForecastOutput:
        """Forecast by the temporal branch; with a target, run the source branch too."""
        features = features or {}
        context, observed = fill_missing(context, features.get("last_observed"))
        window = self._instance_norm(context, observed)
        first, covariates = 0, None
        if self.covariates is not None:
            first = len(self.covariates)
            covariates = self.covariates(features["covariates"])
        tokens = self.embedding(window.values, observed, covariates)
        # of the variates; there is no forecast of covariates, and no loss
        states = _from(first, self.time_backbone(tokens))
        last = states[-1] + tokens[:, first:]
        forecast = self._forecast(last, window)
        losses: dict[str, Tensor] = {}
        if target is not None:
            pair = (forecast, target)
            if observed is not None:
                pair = where_observed(*pair)
            task = DISTANCES[self.task_loss](*pair)
            losses = {"loss": task, "task": task}
            if self.textual is not None:
                losses = self._guided(losses, forecast, tokens, states, context, window)
        output = ForecastOutput(forecast, losses)
        return self._with_quantiles(output, last, window.scale, target)

    def branches(
        self, context: Tensor, last_observed: Tensor | None = None
    ) -> Branches:
        """Return what both branches make of windows without covariates."""
        context, observed = fill_missing(context, last_observed)
        tokens = self.embedding(self._instance_norm(context, observed).values, observed)
        states = self._compared(self.time_backbone(tokens), tokens)
        if self.textual is None:
            return Branches(tokens, states)
        words = self.textual.principal_embeddings
        attention = self.textual.match.weights(tokens, words)
        text_tokens, text_states = self.textual(tokens)
        text_states = self._compared(text_states, text_tokens)
        return Branches(tokens, states, text_tokens, text_states, attention)

    def _compared(
        self, states: tuple[Tensor, ...], tokens: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the states of a branch as the feature loss compares them."""
        if self.residual_in_features:
            return (*states[:-1], states[-1] + tokens)
        return states

    def _guided(
        self,
        losses: dict[str, Tensor],
        forecast: Tensor,
        tokens: Tensor,
        states: tuple[Tensor, ...],
        context: Tensor,
        window: Normalized,
    ) -> dict[str, Tensor]:
        """Add the losses that pull the branches together."""
        assert self.textual is not None
        text_tokens, text_states = self.textual(tokens)
        first = tokens.shape[1] - context.shape[2]  # the others are covariates
        text_states, text_tokens = _from(first, text_states), text_tokens[:, first:]
        if self.consistency_loss_weight:
            other = self._forecast(text_states[-1] + text_tokens, window)
            consistency = self._consistency(forecast, other, context)
            losses["consistency"] = consistency
            losses["loss"] = losses["loss"] + self.consistency_loss_weight * consistency
        if self.feature_loss_weight:
            feature = self.textual.feature_loss(
                self._compared(states, tokens[:, first:]),
                self._compared(text_states, text_tokens),
                self.feature_loss,
            )
            losses["feature"] = feature
            losses["loss"] = losses["loss"] + self.feature_loss_weight * feature
        return losses

    def projection_names(self) -> set[str]:
        """Return what the public code of CALF trains at a rate of its own."""
        names = (name for name, _ in self.named_parameters())
        return {name for name in names if name.startswith(_PROJECTIONS)}

    def _forecast(self, tokens: Tensor, window: Normalized) -> Tensor:
        """(batch, channel, d_model) to (batch, time, channel), in the data's units."""
        return self.head(tokens).transpose(1, 2) * window.scale + window.loc

    def _consistency(self, forecast: Tensor, other: Tensor, context: Tensor) -> Tensor:
        if self.consistency_loss == "mase":
            return mase(forecast, other, context, self.seasonal_period)
        return DISTANCES[self.consistency_loss](forecast, other)
