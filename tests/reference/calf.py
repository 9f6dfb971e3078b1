"""CALF in plain formulas: slow, obvious, float64, one window at a time.

Only tensor arithmetic, so that gradients can be taken; no modules. A matrix has one
token a row. `weights` are tensors by the names that the network gives them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

NORM_EPS = 1e-5
LAYER_NORM_EPS = 1e-5
DECAY = 0.8


@dataclass(frozen=True)
class Settings:
    """The published ones, for the long-term tasks, but for the consistency loss.

    Heads are those of the test.
    """

    backbone: str  # "bert" or "gpt2"
    n_layers: int
    backbone_heads: int
    n_heads: int
    backbone_eps: float
    lora_scale: float = 32 / 8  # alpha / rank
    task_loss: str = "mae"
    consistency_loss: str = "mse"
    feature_loss: str = "mae"
    lambda_output: float = 1.0
    lambda_feature: float = 0.01
    residual_in_features: bool = False
    seasonal_period: int = 1
    subtract_last: bool = False


class Branch(NamedTuple):
    """What a branch makes of one window, or of a batch if stacked."""

    tokens: torch.Tensor
    states: list
    normed_forecast: torch.Tensor
    forecast: torch.Tensor


class Losses(NamedTuple):
    task: torch.Tensor
    consistency: torch.Tensor
    feature: torch.Tensor
    loss: torch.Tensor


def part(weights, prefix):
    """The weights of a part of the network, by their names within it."""
    n = len(prefix) + 1
    return {k[n:]: v for k, v in weights.items() if k.startswith(prefix + ".")}


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(w, name, x, eps):
    centred = x - x.mean(dim=1, keepdim=True)
    variance = (centred**2).mean(dim=1, keepdim=True)
    normed = centred / (variance + eps) ** 0.5
    return normed * w[f"{name}.weight"] + w[f"{name}.bias"]


def softmax(scores):
    powers = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
    return powers / powers.sum(dim=1, keepdim=True)


def attention(queries, keys, values, n_heads, causal=False):
    """One head at a time; a causal query sees no later key."""
    d_head = queries.shape[1] // n_heads
    heads = []
    for h in range(n_heads):
        of_head = slice(h * d_head, (h + 1) * d_head)
        scores = queries[:, of_head] @ keys[:, of_head].T / math.sqrt(d_head)
        if causal:
            later = torch.arange(len(keys)) > torch.arange(len(queries))[:, None]
            scores = scores.masked_fill(later, -math.inf)
        heads.append(softmax(scores) @ values[:, of_head])
    return torch.cat(heads, dim=1)


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def gelu_new(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def instance_norm(context, subtract_last=False):
    """(time, variate): the normalized context, location and scale."""
    mean = context.mean(dim=0)
    variance = ((context - mean) ** 2).mean(dim=0)
    scale = (variance + NORM_EPS) ** 0.5
    loc = context[-1] if subtract_last else mean
    return (context - loc) / scale, loc, scale


def covariate_tokens(w, covariates, past_only, n_past):
    """(time, covariate) with NaN, over context and forecast, to a token each."""
    tokens = []
    for i, series in enumerate(covariates.T):
        steps = range(n_past if past_only[i] else len(series))
        known = [t for t in steps if not math.isnan(float(series[t]))]
        filled = []
        for t in range(len(series)):
            before = [s for s in known if s <= t]
            after = [s for s in known if s > t]
            source = before[-1:] or after[:1]
            filled.append(series[source[0]] if source else torch.zeros_like(series[0]))
        past = [filled[t] for t in known if t < n_past] or filled[:n_past]
        level = sum(past) / len(past)
        variance = sum((x - level) ** 2 for x in past) / len(past)
        scale = (variance + NORM_EPS + 1) ** 0.5
        row = torch.stack([*((x - level) / scale for x in filled), level])
        flags = torch.tensor([t not in known for t in range(len(series))])
        of_flags = flags.to(row.dtype) @ w["unknown"][i]
        tokens.append(linear(w, f"embeds.{i}", row) + of_flags)
    return torch.stack(tokens)


def variate_embedding(w, context, n_heads, covariates=None):
    """A token per variate, then a post-norm encoder layer over the variates.

    Tokens of covariates are before these.
    """
    tokens = linear(w, "embed", context.T)
    if covariates is not None:
        tokens = torch.cat([covariates, tokens])
    w = part(w, "encoder")
    width = tokens.shape[1]
    projected = tokens @ w["self_attn.in_proj_weight"].T + w["self_attn.in_proj_bias"]
    queries = projected[:, :width]
    keys = projected[:, width : 2 * width]
    values = projected[:, 2 * width :]
    mixed = attention(queries, keys, values, n_heads)
    mixed = linear(w, "self_attn.out_proj", mixed)
    tokens = layer_norm(w, "norm1", tokens + mixed, LAYER_NORM_EPS)
    hidden = linear(w, "linear1", tokens).clamp(min=0)
    hidden = linear(w, "linear2", hidden)
    return layer_norm(w, "norm2", tokens + hidden, LAYER_NORM_EPS)


def cross_attention(w, tokens, principal_embeddings, n_heads):
    queries = linear(w, "query", tokens)
    keys = linear(w, "key", principal_embeddings)
    values = linear(w, "value", principal_embeddings)
    return linear(w, "output", attention(queries, keys, values, n_heads))


def lora(w, name, x, scale):
    """scale * B A x, with scale = alpha / rank; nothing if scale is None."""
    if scale is None:
        return 0
    a, b = w[f"{name}.lora_A.default.weight"], w[f"{name}.lora_B.default.weight"]
    return scale * (x @ a.T @ b.T)


def bert(w, tokens, settings, lora_scale):
    """All hidden states of an encoder: post-norm, every token sees all others."""
    eps = settings.backbone_eps
    x = bert_embed(w, tokens, 0, eps)
    states = [x]
    for i in range(settings.n_layers):
        x = bert_layer(part(w, f"encoder.layer.{i}"), x, x, settings, lora_scale)
        states.append(x)
    return states


def bert_embed(w, tokens, first, eps):
    """Tokens at the positions from `first` on."""
    w = part(w, "embeddings")
    positions = w["position_embeddings.weight"][first : first + len(tokens)]
    x = tokens + positions + w["token_type_embeddings.weight"][0]
    return layer_norm(w, "LayerNorm", x, eps)


def bert_layer(w, x, seen, settings, lora_scale):
    """One layer of tokens `x`, which attend to the tokens `seen`."""
    base = "" if lora_scale is None else ".base_layer"
    queries, keys, values = (
        linear(w, f"attention.self.{name}{base}", of)
        + lora(w, f"attention.self.{name}", of, lora_scale)
        for name, of in (("query", x), ("key", seen), ("value", seen))
    )
    mixed = attention(queries, keys, values, settings.backbone_heads)
    mixed = linear(w, "attention.output.dense", mixed)
    x = layer_norm(w, "attention.output.LayerNorm", x + mixed, settings.backbone_eps)
    hidden = linear(w, "output.dense", gelu(linear(w, "intermediate.dense", x)))
    return layer_norm(w, "output.LayerNorm", x + hidden, settings.backbone_eps)


def gpt2(w, tokens, settings, lora_scale):
    """All hidden states of a decoder: pre-norm, causal, a final norm after the last.

    Weights of linear maps are (in, out) here.
    """
    base = "" if lora_scale is None else ".base_layer"
    eps = settings.backbone_eps
    width = tokens.shape[1]

    def conv(w, name, x):
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    x = tokens + w["wpe.weight"][: len(tokens)]
    states = [x]
    for i in range(settings.n_layers):
        layer = part(w, f"h.{i}")
        normed = layer_norm(layer, "ln_1", x, eps)
        projected = conv(layer, f"attn.c_attn{base}", normed)
        projected = projected + lora(layer, "attn.c_attn", normed, lora_scale)
        queries = projected[:, :width]
        keys = projected[:, width : 2 * width]
        values = projected[:, 2 * width :]
        mixed = attention(queries, keys, values, settings.backbone_heads, causal=True)
        x = x + conv(layer, "attn.c_proj", mixed)
        normed = layer_norm(layer, "ln_2", x, eps)
        x = x + conv(layer, "mlp.c_proj", gelu_new(conv(layer, "mlp.c_fc", normed)))
        states.append(x)
    states[-1] = layer_norm(w, "ln_f", x, eps)
    return states


BACKBONES = {"bert": bert, "gpt2": gpt2}


def branches(weights, context, settings, covariates=None, past_only=()):
    """Run both branches on one window, (time, variate).

    Covariates, (time, covariate), go to the end of the forecast.
    """
    language_model = BACKBONES[settings.backbone]
    normed, loc, scale = instance_norm(context, settings.subtract_last)

    first = len(past_only)
    if covariates is not None:
        of_covariates = part(weights, "covariates")
        covariates = covariate_tokens(
            of_covariates, covariates, past_only, len(context)
        )
    time_tokens = variate_embedding(
        part(weights, "embedding"), normed, settings.n_heads, covariates
    )
    time_states = language_model(
        part(weights, "time_backbone.model"), time_tokens, settings, settings.lora_scale
    )
    text_tokens = cross_attention(
        part(weights, "textual.match"),
        time_tokens,
        weights["textual.principal_embeddings"],
        settings.n_heads,
    )
    text_states = language_model(
        part(weights, "textual.backbone.model"), text_tokens, settings, None
    )

    def finish(tokens, states):
        tokens, states = tokens[first:], [state[first:] for state in states]
        normed_forecast = linear(weights, "head", states[-1] + tokens).T
        return Branch(tokens, states, normed_forecast, normed_forecast * scale + loc)

    return finish(time_tokens, time_states), finish(text_tokens, text_states)


def forward(weights, contexts, settings, covariates=None, past_only=()):
    """Both branches on every window of (batch, time, variate), stacked."""
    of_windows = [None] * len(contexts) if covariates is None else covariates

    def stack(windows):
        tokens, states, *forecasts = zip(*windows, strict=True)
        states = [torch.stack(state) for state in zip(*states, strict=True)]
        return Branch(torch.stack(tokens), states, *map(torch.stack, forecasts))

    runs = (
        branches(weights, context, settings, known, past_only)
        for context, known in zip(contexts, of_windows, strict=True)
    )
    time, text = zip(*runs, strict=True)
    return stack(time), stack(text)


def mae(a, b):
    return (a - b).abs().mean()


def mse(a, b):
    return ((a - b) ** 2).mean()


def smooth_l1(a, b):
    d = (a - b).abs()
    return torch.where(d < 1, 0.5 * d**2, d - 0.5).mean()


def smape(a, b):
    return 100 * (2 * (a - b).abs() / (a.abs() + b.abs())).mean()


def mase(a, b, contexts, seasonal_period):
    errors = []
    for window, context in enumerate(contexts):
        for variate in range(context.shape[1]):
            x = context[:, variate]
            naive = [
                (x[t] - x[t - seasonal_period]).abs()
                for t in range(seasonal_period, len(x))
            ]
            error = (a[window, :, variate] - b[window, :, variate]).abs()
            errors.append(error / (sum(naive) / len(naive)))
    return torch.stack(errors).mean()


POINTWISE = {"mae": mae, "mse": mse, "smooth_l1": smooth_l1, "smape": smape}


def feature_loss(weights, time_states, text_states, distance):
    """The last state counts whole, each earlier one 0.8 of the next."""
    n_states = len(time_states)
    total = 0
    for i in range(n_states):  # i = 0 is the last state
        state = n_states - 1 - i
        phi_time = weights[f"textual.time_projections.{state}.weight"]
        phi_text = weights[f"textual.text_projections.{state}.weight"]
        total = total + DECAY**i * POINTWISE[distance](
            time_states[state] @ phi_time.T, text_states[state] @ phi_text.T
        )
    return total


def losses(weights, contexts, targets, settings, covariates=None, past_only=()):
    time, text = forward(weights, contexts, settings, covariates, past_only)
    task = POINTWISE[settings.task_loss](time.forecast, targets)
    if settings.consistency_loss == "mase":
        consistency = mase(
            time.forecast, text.forecast, contexts, settings.seasonal_period
        )
    else:
        consistency = POINTWISE[settings.consistency_loss](time.forecast, text.forecast)
    states = [
        [*branch.states[:-1], branch.states[-1] + branch.tokens]
        if settings.residual_in_features
        else branch.states
        for branch in (time, text)
    ]
    feature = feature_loss(weights, *states, settings.feature_loss)
    total = (
        task + settings.lambda_output * consistency + settings.lambda_feature * feature
    )
    return Losses(task, consistency, feature, total)


def principal_embeddings(word_embeddings, n_components):
    """PCA whose samples are the dimensions of the words, and features the words.

    Up to the sign of each.
    """
    samples = word_embeddings.T
    centred = samples - samples.mean(dim=0)
    left, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    return (left * sizes)[:, :n_components].T
