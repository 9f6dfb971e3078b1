"""BALM-TSF in plain formulas: slow, obvious, float64, one series at a time.

Statistics are NumPy and exact; the rest is only tensor arithmetic, so that gradients
can be taken. A matrix has one token a row. `weights` are tensors by these names:
``prompts`` (Q, D), ``word_embeddings`` (vocabulary, D), ``patch_embedding.weight``
(d_model, patch_length, 3), ``projection``, ``head``, ``log_temperature``, and
``backbone`` with the names of its model.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch

from tests.reference.calf import (
    BACKBONES,
    POINTWISE,
    bert_embed,
    bert_layer,
    instance_norm,
    linear,
    part,
)

BALANCE_EPS = 1e-5


class Statistics(NamedTuple):
    minimum: float
    maximum: float
    median: float
    trend: int
    lags: list


def statistics(window, n_lags):
    """`window` is (time,), normalized; the rank of lags needs no tolerance here."""
    window = np.asarray(window, dtype=np.float64)
    change = window[-1] - window[0]
    return Statistics(
        minimum=window.min(),
        maximum=window.max(),
        median=np.median(window),
        trend=0 if change == 0 else int(math.copysign(1, change)),
        lags=top_lags(window, n_lags),
    )


def autocorrelation(window, lag):
    """Circular, not normalized, as irfft(X * conj(X)) is; without rounding."""
    exact = [Fraction(float(value)) for value in window]
    return sum(exact[t] * exact[(t + lag) % len(exact)] for t in range(len(exact)))


def top_lags(window, n_lags):
    """The lags of highest autocorrelation, highest first, of equal ones the smaller.

    Lag 0 tells nothing, and lag L - k nothing that lag k does not.
    """
    available = range(1, len(window) // 2 + 1)
    ranked = sorted(available, key=lambda lag: (-autocorrelation(window, lag), lag))
    return ranked[:n_lags]


@dataclass(frozen=True)
class Settings:
    """Sizes that the weights do not tell, and what the method leaves open.

    Parameters
    ----------
    prompts_first : bool
        [prompts; text], where a token of an encoder sees all others; or
        [text; prompts], where the text sees no prompts, as in a decoder.
    read : str
        The text embedding is the states "last" or those at the "prompts".
    """

    backbone: str  # "bert" or "gpt2"
    n_layers: int
    backbone_heads: int
    backbone_eps: float
    patch_length: int = 16
    patch_stride: int = 8
    d_ff: int = 128
    prompts_first: bool = True
    read: str = "last"
    balance_text: bool = True
    task_loss: str = "mse"
    alignment_loss_weight: float = 1.0
    subtract_last: bool = False


class Embeddings(NamedTuple):
    """Of one series, or of a batch if stacked; text before and after balancing."""

    series: torch.Tensor
    unbalanced_text: torch.Tensor
    text: torch.Tensor


class Losses(NamedTuple):
    task: torch.Tensor
    alignment: torch.Tensor
    loss: torch.Tensor


def patches(series, patch_length, patch_stride):
    """(time,) to (patch, patch_length), the last value repeated for one stride."""
    padded = torch.cat([series, series[-1].repeat(patch_stride)])
    starts = range(0, len(padded) - patch_length + 1, patch_stride)
    return torch.stack([padded[start : start + patch_length] for start in starts])


def prompt_length(n_patches, prediction_length, context_length):
    share = Fraction(prediction_length, context_length)
    return min(n_patches, math.floor(n_patches * share))


def patch_embedding(kernel, rows):
    """A convolution over patches, the first next to the last; `kernel` is (out, in, 3).

    The three taps see the patch before, the patch itself and the patch after.
    """
    n_patches = len(rows)
    return torch.stack(
        [
            kernel[:, :, 0] @ rows[(p - 1) % n_patches]
            + kernel[:, :, 1] @ rows[p]
            + kernel[:, :, 2] @ rows[(p + 1) % n_patches]
            for p in range(n_patches)
        ]
    )


def embed_series(weights, series, settings):
    rows = patches(series, settings.patch_length, settings.patch_stride)
    embedded = patch_embedding(weights["patch_embedding.weight"], rows)
    return linear(weights, "projection", embedded)


def embed_text(weights, token_ids, settings):
    """`token_ids` of one text, without padding."""
    prompts, words = weights["prompts"], weights["word_embeddings"][token_ids]
    n_prompts, n_words = len(prompts), len(words)
    w = part(weights, "backbone")
    if settings.backbone == "bert" and not settings.prompts_first:
        return bert_after(w, words, prompts, settings)
    order = [prompts, words] if settings.prompts_first else [words, prompts]
    language_model = BACKBONES[settings.backbone]
    states = language_model(w, torch.cat(order), settings, lora_scale=None)[-1]
    if settings.read == "prompts" and settings.prompts_first:
        return states[:n_prompts]
    return states[n_words:]  # the last ones, at whatever tokens they are


def bert_after(w, words, prompts, settings):
    """Last states of prompts that see the words and each other; the words only words.

    In each layer the words have the states that they have without any prompts.
    """
    word_states = BACKBONES["bert"](w, words, settings, lora_scale=None)
    x = bert_embed(w, prompts, len(words), settings.backbone_eps)
    for i in range(settings.n_layers):
        seen = torch.cat([word_states[i], x])
        x = bert_layer(part(w, f"encoder.layer.{i}"), x, seen, settings, None)
    return x


def token_scale(tokens):
    """Standard deviation over the tokens, per feature; the biased one."""
    centred = tokens - tokens.sum(dim=0) / len(tokens)
    return ((centred**2).sum(dim=0) / len(tokens) + BALANCE_EPS) ** 0.5


def balance(text, series):
    """Divide the text by how much more it varies than the series."""
    return text / (token_scale(text) / token_scale(series))


def embed(weights, series, token_ids, settings):
    """Embeddings of one normalized series and its text."""
    t = embed_series(weights, series, settings)
    e = embed_text(weights, token_ids, settings)
    return Embeddings(t, e, balance(e, t) if settings.balance_text else e)


def head(weights, text, series, d_ff):
    """Tokens one after the other, of each its first features."""
    features = [value for token in text for value in token[:d_ff]]
    features += [value for token in series for value in token[:d_ff]]
    return weights["head.weight"] @ torch.stack(features) + weights["head.bias"]


def forward(weights, contexts, token_ids, settings):
    """Forecast every variate of every window of (batch, time, variate).

    `token_ids` has one text for each: a list of windows of lists of variates.

    Returns the forecast and the stacked embeddings, variates of a window in a row.
    """
    forecasts, embeddings = [], []
    for context, texts in zip(contexts, token_ids, strict=True):
        normed, loc, scale = instance_norm(context, settings.subtract_last)
        of_window = []
        for variate, text in enumerate(texts):
            embedded = embed(weights, normed[:, variate], text, settings)
            normed_forecast = head(
                weights, embedded.text, embedded.series, settings.d_ff
            )
            of_window.append(normed_forecast * scale[variate] + loc[variate])
            embeddings.append(embedded)
        forecasts.append(torch.stack(of_window, dim=1))
    stacked = [torch.stack(tensors) for tensors in zip(*embeddings, strict=True)]
    return torch.stack(forecasts), Embeddings(*stacked)


def unit(vector):
    return vector / (vector**2).sum() ** 0.5


def similarity(embeddings):
    """Cosine of every series (row) with every text (column), over all tokens' means."""
    queries = [unit(tokens.mean(dim=0)) for tokens in embeddings.series]
    keys = [unit(tokens.mean(dim=0)) for tokens in embeddings.text]
    return torch.stack(
        [torch.stack([(query * key).sum() for key in keys]) for query in queries]
    )


def info_nce(similarities, temperature):
    """- log of the share of a series' own text among all texts, on average."""
    powers = torch.exp(similarities / temperature)
    shares = [powers[i, i] / powers[i].sum() for i in range(len(powers))]
    return -sum(torch.log(share) for share in shares) / len(shares)


def losses(weights, contexts, targets, token_ids, settings):
    forecast, embeddings = forward(weights, contexts, token_ids, settings)
    task = POINTWISE[settings.task_loss](forecast, targets)
    temperature = torch.exp(weights["log_temperature"])
    alignment = info_nce(similarity(embeddings), temperature)
    return Losses(task, alignment, task + settings.alignment_loss_weight * alignment)
