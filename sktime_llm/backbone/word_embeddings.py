"""Principal word embeddings: a vocabulary reduced to its main directions."""

import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from sktime_llm.backbone._module import Backbone
from sktime_llm.backbone.loading import kept_tensors
from sktime_llm.errors import InputError

_ROWS_AT_ONCE = 8192
_LOCK = threading.Lock()


@dataclass(frozen=True)
class _Vocabulary:
    """Word embeddings, equal by their key; the cache does not keep them."""

    key: Hashable
    table: Callable[[], Tensor | None] = field(compare=False)


def principal_word_embeddings(backbone: Backbone, n_components: int) -> Tensor:
    """Reduce the word embeddings of a backbone to principal ones.

    As in CALF, arXiv 2403.07300, the samples of the PCA are the ``hidden_size``
    dimensions, the features are the words, and the centering is per word. It is exact,
    and computed once per process and vocabulary. Layers read them, so they are scaled
    as words are (`Backbone.embedding_scale`).

    Return (n_components, hidden_size), float32, on the CPU, sorted by the variance they
    explain. The sign of each makes the weight of its largest word positive.
    """
    most = backbone.hidden_size - 1
    if not 1 <= n_components <= most:
        raise InputError(
            f"{n_components} principal word embeddings asked for, expected between 1 "
            f"and {most}: a backbone of width {most + 1} has no more."
        )
    table = backbone.word_embeddings()
    vocabulary = _Vocabulary(backbone.vocabulary_key, weakref.ref(table))
    with _LOCK:
        components = _principal_components(vocabulary)
    return components[:n_components] * backbone.embedding_scale


@lru_cache(maxsize=8)
@kept_tensors
def _principal_components(vocabulary: _Vocabulary) -> Tensor:
    """All ``hidden_size - 1`` components, from the small Gram matrix in float64."""
    table = vocabulary.table()
    assert table is not None  # the caller has it
    width = table.shape[1]
    gram = torch.zeros(width, width, dtype=torch.float64)
    for rows in table.split(_ROWS_AT_ONCE):
        centered = rows.to(torch.float64, copy=True)
        centered -= centered.mean(dim=1, keepdim=True)
        gram.addmm_(centered.T, centered)
    variances, directions = torch.linalg.eigh(gram)
    order = torch.arange(width - 1, 0, -1)
    scores = directions[:, order] * variances[order].clamp_min(0).sqrt()
    return (scores * _signs(table, directions[:, order])).T.float().contiguous()


def _signs(table: Tensor, directions: Tensor) -> Tensor:
    """Sign of the weight of largest size among all words, per component."""
    across = directions.T.contiguous()  # sums to 0, so words need no centering
    coarse = across.float()
    largest = torch.zeros(len(across), dtype=torch.float64)
    for rows in table.split(_ROWS_AT_ONCE):
        # float32 finds the two words that can be the largest, float64 decides
        weights = coarse @ rows.T
        for words in (weights.argmax(dim=1), weights.argmin(dim=1)):
            extreme = (rows[words].double() * across).sum(dim=1)
            largest = torch.where(extreme.abs() > largest.abs(), extreme, largest)
    return largest.sign()
