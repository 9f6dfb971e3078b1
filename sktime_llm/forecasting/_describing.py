"""From series to descriptions of them, as of a few times."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sktime_llm.errors import InputError
from sktime_llm.forecasting._panel import Key
from sktime_llm.forecasting._training import SeriesSplit
from sktime_llm.text.describers import resolve_describer, texts_of
from sktime_llm.training.processes import on_main_process

_MAX_TEXTS = 8192
"""Texts that are read at once; longer panels are described at fewer times."""


class Descriptions(NamedTuple):
    """Texts of every variate as of some times, by series, time and channel.

    `texts` are by the name of the variate; `n_rows` says, ascending, how many rows of a
    series each of its descriptions is of.
    """

    texts: pd.Series
    n_rows: dict[Key, np.ndarray]
    n_channels: int

    def latest(self) -> pd.Series:
        """Return the last texts of every series."""
        ends = np.cumsum([len(rows) for rows in self.n_rows.values()])
        first = (ends[:, None] - 1) * self.n_channels
        return self.texts.iloc[(first + np.arange(self.n_channels)).ravel()]

    def until(self, ends: Mapping[Key, int]) -> pd.Series:
        """Return the texts of the first rows of every series only; all if none is."""
        kept = [rows <= ends[key] for key, rows in self.n_rows.items()]
        chosen = np.repeat(np.concatenate(kept), self.n_channels)
        return self.texts[chosen] if chosen.any() else self.texts

    def numbers(self, split: SeriesSplit, first: int) -> dict[Key, np.ndarray]:
        """Number the texts from `first` on; by padded row, the last one before it.

        The first text of a series counts where there is none before.
        """
        numbers = {}
        for key, rows in self.n_rows.items():
            n_padded = len(split.padded[key])
            before = np.arange(n_padded + 1) - (n_padded - len(split.series[key]))
            last = np.searchsorted(rows, before, side="right") - 1
            numbers[key] = first + np.maximum(last, 0)
            first += len(rows)
        return numbers


def describe_series(
    forecaster: Any, split: SeriesSplit, columns: pd.Index, known: Sequence[Hashable]
) -> Descriptions:
    """Describe every variate as of a few times, by the rows before each.

    These lie at equal distances, from the end of the first context to the end of the
    series, in the data's units, so that each window finds a text that is not of its
    target. The user's own descriptions, one per variate and tied to no time, replace
    the describer; `known` are the names of variates described before.
    """
    n = forecaster.n_descriptions
    n = min(n, max(2, _MAX_TEXTS // (len(split.series) * len(columns))))
    n_rows, variates, names = {}, [], list[Hashable]()
    for key, first in split.first_ends().items():
        values = split.series[key]
        times = np.linspace(first, len(values), n).round().astype(np.int64)
        if forecaster.descriptions is not None:
            times = times[-1:]
        n_rows[key] = np.unique(times)
        for end in n_rows[key]:
            variates += list(values[:end].T)
            names += _names(key, columns)

    def describe() -> list[str]:
        if forecaster.descriptions is not None:
            return _texts_of_new(forecaster.descriptions, names, known)
        return resolve_describer(forecaster.describer).describe(variates, names)

    texts = on_main_process(describe)
    by_name = pd.Series(texts, index=pd.Index(names, tupleize_cols=False))
    return Descriptions(by_name, n_rows, len(columns))


def _names(key: Key, columns: pd.Index) -> list[Hashable]:
    """Name the variates of a series by their columns, the series, or both."""
    if key is None:
        return list(columns)
    return [key] if len(columns) == 1 else [(key, name) for name in columns]


def _texts_of_new(
    descriptions: Mapping[Hashable, str] | Sequence[str],
    names: Sequence[Hashable],
    known: Sequence[Hashable],
) -> list[str]:
    """Return the user's descriptions of new variates; known ones may be among them."""
    if isinstance(descriptions, pd.Series):
        descriptions = descriptions.to_dict()
    if not len(known):
        return texts_of(descriptions, names)
    if not isinstance(descriptions, Mapping):
        raise InputError(
            f"descriptions is a {type(descriptions).__name__}, expected a mapping from "
            f"names to texts, as there are new variates: {list(names[:3])}."
        )
    of_known = set(known)
    of_new = {name: text for name, text in descriptions.items() if name not in of_known}
    return texts_of(of_new, names)
