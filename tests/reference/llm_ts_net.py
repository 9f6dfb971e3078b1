"""LLM-TS Net and its layers in plain formulas: slow, obvious, one series at a time.

Only tensor arithmetic, so that gradients can be taken; no modules. A matrix has one
token a row. `w` are tensors by the names that the layer or network gives them.
"""

import math
from typing import NamedTuple

import torch

from tests.reference.calf import POINTWISE, covariate_tokens, gelu, part

LAYER_NORM_EPS = 1e-5


def linear(w, x):
    return x @ w["weight"].T + w["bias"]


def layer_norm(w, x):
    rows = []
    for row in x:
        centred = row - sum(row) / len(row)
        variance = sum(centred**2) / len(row)
        normed = centred / (variance + LAYER_NORM_EPS) ** 0.5
        rows.append(normed * w["weight"] + w["bias"])
    return torch.stack(rows)


def softmax(scores):
    """Of a list of scalars."""
    powers = [torch.exp(s - max(scores)) for s in scores]
    return [p / sum(powers) for p in powers]


class Selection(NamedTuple):
    tokens: torch.Tensor
    indices: list
    scores: list


def prompt_pool(w, query, n_selected):
    """The prompts for one query, (width,)."""
    scores = []
    for key in w["keys"]:
        from_query = w["query_projection.weight"] @ query
        from_key = w["key_projection.weight"] @ key
        scores.append(w["score.weight"][0] @ torch.tanh(from_query + from_key))
    probabilities = softmax(scores)
    best_first = sorted(range(len(scores)), key=lambda i: -float(scores[i].detach()))
    chosen = best_first[:n_selected]
    tokens = torch.cat([probabilities[i] * w["values"][i] for i in chosen])
    return Selection(tokens, chosen, scores)


def selection_loss(scores):
    """(series, prompt): 1 - I(series; prompt) / log(prompts), from the joint table."""
    n_series, n_prompts = scores.shape
    joint = [[p / n_series for p in softmax(list(row))] for row in scores]
    information = 0
    for row in joint:
        for prompt, p in enumerate(row):
            p_prompt = sum(other[prompt] for other in joint)
            information = information + p * torch.log(p / (sum(row) * p_prompt))
    return 1 - information / math.log(n_prompts)


def grouped_query_attention(w, tokens, memory, n_heads, n_kv_heads):
    """One sequence, and what it attends to."""
    queries, keys, values = (
        linear(part(w, name), x)
        for name, x in (("query", tokens), ("key", memory), ("value", memory))
    )
    d_head = tokens.shape[1] // n_heads
    rows = []
    for i in range(len(tokens)):
        heads = []
        for head in range(n_heads):
            group = head // (n_heads // n_kv_heads)
            of_head = slice(head * d_head, (head + 1) * d_head)
            of_group = slice(group * d_head, (group + 1) * d_head)
            scores = [
                queries[i, of_head] @ keys[j, of_group] / math.sqrt(d_head)
                for j in range(len(memory))
            ]
            pairs = zip(softmax(scores), values[:, of_group], strict=True)
            heads.append(sum(weight * value for weight, value in pairs))
        rows.append(torch.cat(heads))
    return linear(part(w, "output"), torch.stack(rows))


def time_space_block(w, tokens, n_heads, n_kv_heads):
    """One window, (series, token, width)."""

    def attend(w, x):
        heads = (n_heads, n_kv_heads)
        mixed = grouped_query_attention(part(w, "attention"), x, x, *heads)
        return layer_norm(part(w, "norm"), x + mixed)

    if intra := part(w, "intra_series"):
        tokens = torch.stack([attend(intra, series) for series in tokens])
    if inter := part(w, "inter_series"):
        places = [attend(inter, place) for place in tokens.transpose(0, 1)]
        tokens = torch.stack(places, dim=1)
    encoded = []
    for x in tokens:
        hidden = gelu(linear(part(w, "feed_forward.0"), x))
        hidden = linear(part(w, "feed_forward.3"), hidden)
        encoded.append(layer_norm(part(w, "norm"), x + hidden))
    return torch.stack(encoded)


def attention_pooling(w, states, is_token):
    """One sequence, (token, width), to one vector."""
    kept = [state for state, keep in zip(states, is_token, strict=True) if keep]
    width = states.shape[1]
    weights = softmax([state @ w["query"] / math.sqrt(width) for state in kept])
    return sum(p * state for p, state in zip(weights, kept, strict=True))


def cross_modal_fusion(w, states, text, n_heads):
    """One window, (series, width), and one text embedding per series."""
    projected = layer_norm(part(w, "text_projection.0"), text)
    projected = linear(part(w, "text_projection.1"), projected)
    mixed = grouped_query_attention(
        part(w, "attention"), states + projected, projected, n_heads, n_heads
    )
    return states + w["gate"] * mixed


class Settings(NamedTuple):
    patch_length: int
    prediction_length: int
    n_heads: int
    n_kv_heads: int
    n_selected: int
    task_loss: str = "mae"
    selection_loss_weight: float = 0.1


class Output(NamedTuple):
    forecast: torch.Tensor
    variance: torch.Tensor | None
    selections: list


NORM_EPS = 1e-5
MIN_VARIANCE = 1e-6


def fill_gaps(series, last_before=float("nan")):
    """(time,) with NaN, to values, and 1 where one was observed."""
    observed = [not math.isnan(float(x)) for x in series.detach()]
    filled = []
    for t in range(len(series)):
        before = [s for s in range(t + 1) if observed[s]]
        after = [s for s in range(t, len(series)) if observed[s]]
        if not before and not math.isnan(float(last_before)):
            filled.append(torch.as_tensor(last_before, dtype=series.dtype))
            continue
        source = before[-1:] or after[:1]
        filled.append(series[source[0]] if source else torch.zeros_like(series[t]))
    return torch.stack(filled), torch.tensor(observed, dtype=series.dtype)


def last_value_norm(values, flags):
    """(time, channel) to (values, last values, scale of all)."""
    last = values[-1]
    squares = []
    for t in range(len(values)):
        for c in range(len(last)):
            difference = values[t, c] - last[c]
            if flags[t, c]:
                squares.append(difference**2)
    mean = sum(squares) / len(squares) if squares else torch.zeros_like(last[0])
    scale = (mean + NORM_EPS) ** 0.5
    return (values - last) / scale, last, scale


def tokens_of(w, values, flags, patch_length):
    """One series, (time,) each, to (patch, d_model); the first step fills the front."""
    missing = -len(values) % patch_length
    steps = [
        (values[max(0, t)], flags[max(0, t)]) for t in range(-missing, len(values))
    ]
    row = torch.stack([number for step in steps for number in step])
    patches = row.reshape(-1, 2 * patch_length)
    return linear(part(w, "embedding"), patches) + w["positions"]


def query_of(w, values, flags):
    steps = torch.stack([x for step in zip(values, flags, strict=True) for x in step])
    width = len(w["query.0.bias"])
    plain = {"weight": torch.ones(width), "bias": torch.zeros(width)}
    return layer_norm(plain, linear(part(w, "query.0"), steps)[None])[0]


def head(w, states):
    return linear(part(w, "3"), gelu(linear(part(w, "0"), states)))


def forward(w, context, text, settings, covariates=None, past_only=()):
    """One window, (time, channel) with NaN, and a text embedding per channel or None.

    Each covariate, (time, covariate), is one more series, whose tokens are all alike.

    `w` may lack the pool, attentions, the fusion and the level; a variance is given if
    there is a head for it.
    """
    filled, flags = zip(*(fill_gaps(series) for series in context.T), strict=True)
    values, last, scale = last_value_norm(
        torch.stack(filled, dim=1), torch.stack(flags, dim=1)
    )
    tokens, selections = [], []
    for series, there, level in zip(values.T, flags, last, strict=True):
        of_series = tokens_of(w, series, there, settings.patch_length)
        if "level.weight" in w:
            of_series = of_series + w["level.weight"][:, 0] * level
        if part(w, "pool"):
            query = query_of(w, series, there)
            chosen = prompt_pool(part(w, "pool"), query, settings.n_selected)
            of_series = torch.cat([chosen.tokens, of_series])
            selections.append(chosen)
        tokens.append(of_series)
    tokens, n = torch.stack(tokens), 0
    if covariates is not None:
        known = covariate_tokens(
            part(w, "covariates"), covariates, past_only, len(context)
        )
        n_places = tokens.shape[1]
        further = [torch.stack([token] * n_places) for token in known]
        tokens = torch.cat([tokens, torch.stack(further)])
    while block := part(w, f"blocks.{n}"):
        tokens = time_space_block(block, tokens, settings.n_heads, settings.n_kv_heads)
        n += 1
    states = linear(part(w, "summary"), tokens[: context.shape[1]].flatten(1))
    if text is not None:
        states = cross_modal_fusion(part(w, "fusion"), states, text, settings.n_heads)
    forecast = head(part(w, "head"), states).T * scale + last
    if not part(w, "variance_head"):
        return Output(forecast, None, selections)
    raw = torch.log(1 + torch.exp(head(part(w, "variance_head"), states))).T
    n_steps = settings.prediction_length  # of the window's scale, then of the data
    variance = raw[:n_steps] * scale**2 + raw[n_steps:] + MIN_VARIANCE
    return Output(forecast, variance, selections)


def losses(outputs, targets, settings):
    """Of a batch: task and selection loss, the share of the pool in use, the total."""
    parts, scores, chosen = [], [], []
    for output, target in zip(outputs, targets, strict=True):
        for t in range(target.shape[0]):
            for c in range(target.shape[1]):
                if math.isnan(float(target[t, c])):
                    continue
                forecast, truth = output.forecast[t, c], target[t, c]
                if output.variance is not None:
                    v = output.variance[t, c]
                    parts.append((torch.log(v) + (forecast - truth) ** 2 / v) / 2)
                else:
                    parts.append(POINTWISE[settings.task_loss](forecast, truth))
        scores += [torch.stack(s.scores) for s in output.selections]
        chosen += [i for s in output.selections for i in s.indices]
    found = {"task": sum(parts) / len(parts)}
    found["loss"] = found["task"]
    if scores:
        found["selection"] = selection_loss(torch.stack(scores))
        found["loss"] = (
            found["task"] + settings.selection_loss_weight * found["selection"]
        )
        shares = [chosen.count(i) / len(chosen) for i in set(chosen)]
        entropy = -sum(p * math.log(p) for p in shares)
        n_prompts = scores[0].shape[0]
        found["pool_in_use"] = math.exp(entropy) / n_prompts
    return found
