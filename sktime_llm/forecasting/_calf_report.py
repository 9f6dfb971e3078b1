"""What CALF makes of windows: tokens, words, and how alike its branches are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sktime_llm._devices import own_random_numbers
from sktime_llm.backbone._module import Backbone
from sktime_llm.backbone.word_embeddings import principal_word_embeddings
from sktime_llm.errors import InputError
from sktime_llm.forecasting._distances import by_chance, gaussian_kl, sliced_wasserstein
from sktime_llm.forecasting._predicting import Contexts
from sktime_llm.forecasting.saving import device_of
from sktime_llm.networks.calf import Branches, CALFNetwork
from sktime_llm.training.windows import shape_of

_DISTANCES = {"wasserstein": sliced_wasserstein, "kl": gaussian_kl}
_N_WORDS, _MIN_TOKENS = 8, 10
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, eq=False)
class CrossModalReport:
    """How near CALF brings series to words, returned by `inspect_alignment`.

    ``"before"`` is the network with which training began: it is built again from the
    parameters and `random_state`. If that is not an integer, or if `fit` began with a
    checkpoint or a pretrained network, it is an untrained network like it.

    Attributes
    ----------
    distances : pandas.DataFrame
        By ``stage`` (before, after) and ``words``: distances of the time tokens from
        the ``"principal embeddings"`` and, where there is a textual branch, from the
        ``"text tokens"``, which express the same windows in words. ``wasserstein`` is
        the sliced 1-Wasserstein distance; ``kl`` the divergence of the time tokens from
        the words, each feature taken for a Gaussian, mean over features.
        ``wasserstein_chance`` and ``kl_chance`` are the distances after tokens and
        words are mixed at random, as expected of two samples of one distribution.
    words : pandas.DataFrame of shape (component, 8)
        For every principal embedding the words of the vocabulary whose embeddings have
        the highest cosine with it, best first.
    attention : pandas.DataFrame of shape (window, component), or None
        What share of its attention each time token gives to each principal embedding,
        after training, mean over heads; labeled by series, last time of the window,
        and variate. None if the textual branch was not kept.
    similarity : pandas.DataFrame, or None
        By ``stage`` and ``layer`` (0 is the input) the cosine of the hidden states of
        both branches, mean over windows: ``own`` of the same window, ``other`` of
        different ones. And ``own_projected`` and ``other_projected`` of the projections
        that the feature loss compares, NaN without it. With `residual_in_features` the
        last state has the residual, as in that loss. None if the textual branch was
        not kept.
    """

    distances: pd.DataFrame
    words: pd.DataFrame
    attention: pd.DataFrame | None
    similarity: pd.DataFrame | None


def report_cross_modal(
    forecaster: Any, contexts: Contexts, labels: pd.MultiIndex, batch_size: int
) -> CrossModalReport:
    """Run the trained network, and the one that training began with, over contexts."""
    if len(labels) < _MIN_TOKENS:
        raise InputError(
            f"y has {len(labels)} time token(s), one per window and variate; expected "
            f"at least {_MIN_TOKENS}, to compare distributions. Give more rows, or set "
            f"a smaller stride."
        )
    trained: CALFNetwork = forecaster.network_
    stages = {BEFORE: _untrained_like(forecaster, trained), AFTER: trained}
    seen = {
        stage: _branches(network, contexts, batch_size)
        for stage, network in stages.items()
    }
    principal = _principal_embeddings(forecaster, trained)
    samples = {
        (stage, words): (_rows(one.tokens), _rows(other))
        for stage, one in seen.items()
        for words, other in (
            ("principal embeddings", principal),
            ("text tokens", one.text_tokens),
        )
        if other is not None
    }
    attention = similarity = None
    if trained.textual is not None:
        weights = seen[AFTER].attention
        assert weights is not None
        attention = pd.DataFrame(_rows(weights), index=labels)
        parts = {stage: _similarity(stages[stage], seen[stage]) for stage in seen}
        similarity = pd.concat(parts, names=["stage", "layer"])
    return CrossModalReport(
        distances=_distances(samples),
        words=nearest_words(trained.time_backbone, principal, _N_WORDS),
        attention=attention,
        similarity=similarity,
    )


def _untrained_like(forecaster: Any, trained: CALFNetwork) -> CALFNetwork:
    """Build the network with which training began, with a textual branch if kept."""
    known_seed = isinstance(forecaster.random_state, (int, np.integer))
    with own_random_numbers(forecaster._seed() if known_seed else 0):
        network = forecaster._build_network(shape_of(trained))
    network.subtract_last = trained.subtract_last
    if trained.textual is None:
        network.textual = None
    return network.to(device_of(trained)).eval()


def _principal_embeddings(forecaster: Any, network: CALFNetwork) -> Tensor:
    if network.textual is not None:
        return network.textual.principal_embeddings
    backbone = network.time_backbone
    most = backbone.hidden_size - 1
    n_components = min(forecaster.n_principal_embeddings or most, most)
    return principal_word_embeddings(backbone, n_components)


def _branches(network: CALFNetwork, contexts: Contexts, batch_size: int) -> Branches:
    parts = []
    with torch.inference_mode():
        for at in torch.arange(len(contexts.values)).split(batch_size):
            last = contexts.last_observed
            last = None if last is None else last[at]
            parts.append(network.branches(contexts.values[at], last))
    return Branches.join(parts)


def _rows(values: Tensor) -> np.ndarray:
    """(..., feature) to (row, feature) in NumPy."""
    return values.flatten(0, -2).double().cpu().numpy()


def _distances(
    samples: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]],
) -> pd.DataFrame:
    table = {
        name: {
            key: value
            for kind, distance in _DISTANCES.items()
            for key, value in (
                (kind, distance(*pair)),
                (f"{kind}_chance", by_chance(distance, *pair)),
            )
        }
        for name, pair in samples.items()
    }
    index = pd.MultiIndex.from_tuples(table, names=["stage", "words"])
    return pd.DataFrame(list(table.values()), index=index)


def _similarity(network: CALFNetwork, seen: Branches) -> pd.DataFrame:
    """Return mean cosines of both branches by layer, of own and of other windows."""
    assert network.textual is not None
    assert seen.text_states is not None
    projections = network.textual.time_projections, network.textual.text_projections
    rows = []
    for layer, pair in enumerate(zip(seen.states, seen.text_states, strict=True)):
        own, other = _mean_cosines(*pair)
        row = {"own": own, "other": other}
        if len(projections[0]):
            with torch.inference_mode():
                projected = [
                    projection[layer](state)
                    for projection, state in zip(projections, pair, strict=True)
                ]
            row["own_projected"], row["other_projected"] = _mean_cosines(*projected)
        rows.append(row)
    columns = ["own", "other", "own_projected", "other_projected"]
    return pd.DataFrame(rows, columns=columns)


def _mean_cosines(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Return the mean cosine of the same rows, and of different ones."""
    units = [
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in map(_rows, (first, second))
    ]
    n, total = len(units[0]), float(units[0].sum(axis=0) @ units[1].sum(axis=0))
    own = float((units[0] * units[1]).sum())
    return own / n, (total - own) / (n * (n - 1))


def nearest_words(backbone: Backbone, embeddings: Tensor, n_words: int) -> pd.DataFrame:
    """Return the words nearest to embeddings, (row, hidden_size), by cosine.

    Both are centered over their features, as for the principal word embeddings.
    """
    table = backbone.word_embeddings().float()
    centered = [
        rows - rows.mean(dim=1, keepdim=True) for rows in (table, embeddings.to(table))
    ]
    words, wanted = (torch.nn.functional.normalize(rows, dim=1) for rows in centered)
    ids = torch.cat(
        [(part @ words.T).topk(n_words, dim=1).indices for part in wanted.split(64)]
    )
    tokenizer = backbone.tokenizer()
    names = [tokenizer.convert_ids_to_tokens(row) for row in ids.tolist()]
    return pd.DataFrame(names).rename_axis("component")
