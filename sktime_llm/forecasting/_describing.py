"""From series to descriptions, and from these to what a network knows of series."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from sktime_llm.errors import InputError
from sktime_llm.forecasting._series import Key
from sktime_llm.text.describers import Describer, resolve_describer, texts_of
from sktime_llm.text.encoder import DescriptionEmbeddings, DescriptionEncoder
from sktime_llm.training.processes import on_main_process


class Describing(NamedTuple):
    """How series are described; `descriptions`, the user's own, replace `describer`."""

    describer: str | Describer
    descriptions: Mapping[Hashable, str] | Sequence[str] | None
    language_model_steps: int
    seed: Callable[[], int]


def describe_series(
    how: Describing,
    parts: Mapping[Key, np.ndarray],
    columns: pd.Index,
    known: Sequence[Hashable] = (),
) -> pd.Series:
    """Describe every variate by its training part, without what comes later.

    Parts are (time, channel), in the data's units; `known` are the names of variates
    described before. The result is ordered by series, then by channel.
    """
    names = [_name(key, column, len(columns)) for key in parts for column in columns]

    def describe() -> list[str]:
        if how.descriptions is not None:
            return _texts_of_new(how.descriptions, names, known)
        variates = [row for values in parts.values() for row in values.T]
        return resolve_describer(how.describer).describe(variates, names)

    texts = on_main_process(describe)
    return pd.Series(texts, index=pd.Index(names, tupleize_cols=False))


def tune_encoder(
    how: Describing, embedded: DescriptionEmbeddings, descriptions: pd.Series
) -> list[float] | None:
    """Fine-tune the language model unless it was before; return its losses."""
    encoder: DescriptionEncoder = embedded.encoder
    if not any(p.requires_grad for p in encoder.parameters()):
        return None
    return encoder.tune(
        descriptions.tolist(),
        n_steps=how.language_model_steps,
        seed=how.seed(),
        names=descriptions.index.tolist(),
    )


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


def _name(key: Key, column: Hashable, n_columns: int) -> Hashable:
    """Name a variate by its column, its series, or both."""
    if key is None:
        return column
    return key if n_columns == 1 else (key, column)
