"""Layers of LLM-TS Net in plain formulas: slow, obvious, one series at a time.

Only tensor arithmetic, so that gradients can be taken; no modules. A matrix has one
token a row. `w` are tensors by the names that the layer gives them.
"""

import math
from typing import NamedTuple

import torch

LAYER_NORM_EPS = 1e-5


def part(w, prefix):
    """The weights of a part of a layer, by their names within it."""
    n = len(prefix) + 1
    return {k[n:]: v for k, v in w.items() if k.startswith(prefix + ".")}


# arithmetic


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


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


# prompt pool


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


# attention


def grouped_query_attention(w, tokens, memory, n_heads, n_kv_heads, may_see=None):
    """One sequence; `may_see` is a list of booleans, one for each row of the memory."""
    queries, keys, values = (
        linear(part(w, name), x)
        for name, x in (("query", tokens), ("key", memory), ("value", memory))
    )
    d_head = tokens.shape[1] // n_heads
    visible = [j for j in range(len(memory)) if may_see is None or may_see[j]]
    rows = []
    for i in range(len(tokens)):
        heads = []
        for head in range(n_heads):
            group = head // (n_heads // n_kv_heads)
            of_head = slice(head * d_head, (head + 1) * d_head)
            of_group = slice(group * d_head, (group + 1) * d_head)
            scores = [
                queries[i, of_head] @ keys[j, of_group] / math.sqrt(d_head)
                for j in visible
            ]
            weights = softmax(scores) if visible else []
            mixed = torch.zeros_like(queries[i, of_head])
            for j, weight in zip(visible, weights, strict=True):
                mixed = mixed + weight * values[j, of_group]
            heads.append(mixed)
        rows.append(torch.cat(heads))
    return linear(part(w, "output"), torch.stack(rows))


def time_space_block(w, tokens, n_heads, n_kv_heads, may_see=None):
    """One window, (series, token, width); `may_see` is (series, token)."""
    n_series, n_tokens, _ = tokens.shape
    if may_see is None:
        may_see = torch.ones(n_series, n_tokens, dtype=torch.bool)

    def attend(w, x, may_see):
        mixed = grouped_query_attention(
            part(w, "attention"), x, x, n_heads, n_kv_heads, may_see.tolist()
        )
        return layer_norm(part(w, "norm"), x + mixed)

    if part(w, "intra_series"):
        tokens = torch.stack(
            [
                attend(part(w, "intra_series"), tokens[series], may_see[series])
                for series in range(n_series)
            ]
        )
    if part(w, "inter_series"):
        tokens = torch.stack(
            [
                attend(part(w, "inter_series"), tokens[:, place], may_see[:, place])
                for place in range(n_tokens)
            ],
            dim=1,
        )
    encoded = []
    for x in tokens:
        hidden = gelu(linear(part(w, "feed_forward.0"), x))
        hidden = linear(part(w, "feed_forward.3"), hidden)
        encoded.append(layer_norm(part(w, "norm"), x + hidden))
    return torch.stack(encoded)


# text


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
    return layer_norm(part(w, "norm"), states + mixed)
