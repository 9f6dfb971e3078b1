"""BALM-TSF: series and their statistics in words, balanced and aligned."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sktime_llm.backbone._module import Backbone
from sktime_llm.errors import InputError
from sktime_llm.layers.alignment import Alignment, ContrastiveAlignment, balance
from sktime_llm.layers.embedding import PatchEmbedding, count_patches
from sktime_llm.layers.losses import DISTANCES, where_observed
from sktime_llm.layers.normalization import Normalized
from sktime_llm.layers.quantiles import QuantileHead
from sktime_llm.networks._interface import (
    Features,
    ForecastNetwork,
    ForecastOutput,
    fill_missing,
)
from sktime_llm.text.window_text import (
    PADDING,
    TextStateCache,
    tokenize,
    window_statistics,
    write_texts,
)

PROMPT_ORDERS = ("text-first", "prompts-first")


def published_prompt_length(
    context_length: int, prediction_length: int, n_patches: int
) -> int:
    """Count prompt tokens as published, but at least 2, so that they have a scale."""
    return max(2, min(n_patches, n_patches * prediction_length // context_length))


class PromptBranch(nn.Module):
    """BALM-TSF's text branch: a frozen model reads learned prompts and statistics.

    ``prompt_order="prompts-first"`` is the published order: the model's own attention
    connects prompts and text, and the embedding is the last states of a decoder, and of
    an encoder the states of the prompts. With ``"text-first"`` the prompts follow the
    text and attend to it, but not the reverse; the embedding is the states of the
    prompts. The text needs no gradient then, so a `cache` of up to `cache_gigabytes`
    can keep its states in training.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        prompt_length: int,
        prompt_order: str,
        text_style: str,
        n_lags: int,
        cache_gigabytes: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.cache_gigabytes = cache_gigabytes
        self.cache: TextStateCache | None = None
        self.prompt_order = prompt_order
        self.text_style = text_style
        self.n_lags = n_lags
        self.prompts = nn.Parameter(torch.randn(prompt_length, backbone.hidden_size))

    def train(self, mode: bool = True) -> "PromptBranch":
        """Set the mode; a frozen model runs without dropout in any."""
        super().train(mode)
        if not any(p.requires_grad for p in self.backbone.parameters()):
            self.backbone.eval()
        return self

    def write(self, series: Tensor) -> list[str]:
        """Write the statistics of normalized series, (series, time), as sentences."""
        return write_texts(window_statistics(series, self.n_lags), self.text_style)

    def tokenize(self, series: Tensor) -> Tensor:
        """(series, time), normalized, to token ids of texts, (series, token)."""
        token_ids = tokenize(self.write(series), self.backbone.tokenizer())
        n_prompt_tokens, n_text = len(self.prompts), token_ids.shape[1]
        most = self.backbone.max_tokens
        if most is not None and n_prompt_tokens + n_text > most:
            raise InputError(
                f"a text of {n_text} tokens and {n_prompt_tokens} prompt tokens make "
                f"{n_prompt_tokens + n_text}, but the backbone has only {most} "
                "positions. Set a smaller prompt_length, fewer n_lags, "
                "text_style='short', or choose a backbone with more positions."
            )
        return token_ids.to(series.device)

    def forward(self, token_ids: Tensor) -> Tensor:
        """(series, text token) to (series, prompt_length, hidden_size)."""
        distinct, which = token_ids.unique(dim=0, return_inverse=True)
        return self._read(distinct)[which]

    def _read(self, token_ids: Tensor) -> Tensor:
        mask = (token_ids != PADDING).long()
        prompts = self.prompts.expand(len(token_ids), -1, -1)
        if self.prompt_order == "text-first":
            read, cache = self._read_text, self.cache
            known = read(token_ids) if cache is None else cache.states(token_ids, read)
            return self.backbone.states_after(known, mask, prompts)
        words = self._embed(token_ids)
        mask = torch.cat([mask.new_ones(prompts.shape[:2]), mask], dim=1)
        states = self.backbone(torch.cat([prompts, words], dim=1), mask)[-1]
        n_prompt_tokens = len(self.prompts)
        if not self.backbone.is_causal:
            return states[:, :n_prompt_tokens]
        from_end = torch.arange(-n_prompt_tokens, 0, device=mask.device)
        at = mask.sum(dim=1, keepdim=True) + from_end
        return states.take_along_dim(at.unsqueeze(2), dim=1)

    def _embed(self, token_ids: Tensor) -> Tensor:
        return self.backbone.embed(token_ids.clamp(min=0)).to(self.prompts.dtype)

    def _read_text(self, token_ids: Tensor) -> Tensor:
        mask = (token_ids != PADDING).long()
        return self.backbone.read(self._embed(token_ids), mask)


class Modalities(NamedTuple):
    """Patches, (series, patch, hidden_size), and texts, before and after balancing.

    Texts are states of the language model, (series, prompt_length, hidden_size).
    """

    sentences: list[str]
    series: Tensor
    text: Tensor
    balanced_text: Tensor
    alignment: Alignment


class BALMTSFNetwork(ForecastNetwork):
    """The network of BALM-TSF, arXiv 2509.00622; every variate is a series of its own.

    Patches have `d_model` features before they take the width of the language model,
    and the head reads the first `d_ff` features of each token; that of quantiles, which
    are ours, reads their means.
    """

    def __init__(
        self,
        text: PromptBranch,
        *,
        context_length: int,
        prediction_length: int,
        patch_length: int,
        patch_stride: int,
        d_model: int,
        d_ff: int,
        dropout: float,
        balance_text: bool,
        task_loss: str,
        alignment_loss_weight: float,
        init_temperature: float,
        quantiles: bool = False,
    ) -> None:
        super().__init__()
        self.context_length = context_length
        self.prediction_length = prediction_length
        self.d_ff = d_ff
        self.balance_text = balance_text
        self.task_loss = task_loss
        self.alignment_loss_weight = alignment_loss_weight
        self.text = text
        width = text.backbone.hidden_size
        self.embedding = PatchEmbedding(
            patch_length, patch_stride, d_model, width, dropout
        )
        self.alignment = ContrastiveAlignment(init_temperature)
        n_patches = count_patches(context_length, patch_length, patch_stride)
        n_features = (len(text.prompts) + n_patches) * d_ff
        self.head = nn.Linear(n_features, prediction_length)
        self.dropout = nn.Dropout(dropout)
        self.quantile_head = None
        if quantiles:
            self.quantile_head = QuantileHead(d_ff, prediction_length)

    @contextmanager
    def training_context(self) -> Iterator[None]:
        """Keep the states of texts in the language model while inside."""
        self.text.cache = TextStateCache(self.text.cache_gigabytes)
        try:
            yield
        finally:
            self.text.cache = None

    def window_features(
        self, context: Tensor, last_observed: Tensor | None = None
    ) -> Features:
        """Token ids of the texts, (batch, channel, token)."""
        return self._texts(self._instance_norm(*fill_missing(context, last_observed)))

    def _texts(self, window: Normalized) -> Features:
        series = window.values.transpose(1, 2)
        token_ids = self.text.tokenize(series.flatten(0, 1))
        return {"token_ids": token_ids.unflatten(0, series.shape[:2])}

    def missing_weights(self) -> list[nn.Parameter]:
        """Return the weights of the flags of missing values."""
        return [self.embedding.missing]

    def forward(
        self,
        context: Tensor,
        target: Tensor | None = None,
        features: Features | None = None,
    ) -> ForecastOutput:
        """Forecast; with a target, align both modalities too."""
        last_observed = (features or {}).get("last_observed")
        context, observed = fill_missing(context, last_observed)
        window = self._instance_norm(context, observed)
        if features is None or "token_ids" not in features:
            features = self._texts(window)
        token_ids = features["token_ids"]
        series = self._embed(window, observed)
        text = self._balanced(self.text(token_ids.flatten(0, 1)), series)
        tokens = torch.cat([text, series], dim=1)[:, :, : self.d_ff]
        steps = self.dropout(self.head(tokens.flatten(1)))
        steps = steps.unflatten(0, token_ids.shape[:2]).transpose(1, 2)
        forecast = steps * window.scale + window.loc
        state = tokens.mean(dim=1).unflatten(0, token_ids.shape[:2])
        if target is None:
            output = ForecastOutput(forecast, {})
            return self._with_quantiles(output, state, window.scale, None)
        pair = (forecast, target)
        if observed is not None:
            pair = where_observed(*pair)
        task = DISTANCES[self.task_loss](*pair)
        contrast = self.alignment(series, text).loss
        loss = task + self.alignment_loss_weight * contrast
        losses = {"loss": loss, "task": task, "contrastive": contrast}
        losses["temperature"] = self.alignment.temperature.detach()  # to be recorded
        output = ForecastOutput(forecast, losses)
        return self._with_quantiles(output, state, window.scale, target)

    def _balanced(self, text: Tensor, series: Tensor) -> Tensor:
        return balance(text, series) if self.balance_text else text

    def _embed(self, window: Normalized, observed: Tensor | None) -> Tensor:
        """(batch, time, channel) to (batch * channel, patch, hidden_size)."""
        mask = None if observed is None else observed.transpose(1, 2).flatten(0, 1)
        return self.embedding(window.values.transpose(1, 2).flatten(0, 1), mask)

    def modalities(
        self, context: Tensor, last_observed: Tensor | None = None
    ) -> Modalities:
        """Return both modalities of windows, ordered by window, then by channel."""
        context, observed = fill_missing(context, last_observed)
        window = self._instance_norm(context, observed)
        values = window.values.transpose(1, 2).flatten(0, 1)
        series, text = (
            self._embed(window, observed),
            self.text(self.text.tokenize(values)),
        )
        balanced = self._balanced(text, series)
        alignment = self.alignment(series, balanced)
        return Modalities(self.text.write(values), series, text, balanced, alignment)
