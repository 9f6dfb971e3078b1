"""From series to descriptions, and from these to what a network knows of series."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm._devices import seeded
from sktime_llm.errors import InputError
from sktime_llm.forecasting._series import Key
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.text.describers import Describer, resolve_describer, texts_of
from sktime_llm.text.description_embeddings import DescriptionEmbeddings
from sktime_llm.text.encoder import DescriptionEncoder
from sktime_llm.training.trainer import on_main_process
from sktime_llm.training.windows import WindowShape, shape_of, train_rows


class DescribingMixin:
    """Of forecasters whose network reads descriptions."""

    describer: str | Describer
    descriptions: Mapping[Hashable, str] | Sequence[str] | None
    language_model_steps: int
    # methods of the base
    _seed: Any
    _validation_share: Any

    def _introduce(
        self,
        network: ForecastNetwork,
        new: dict[Key, np.ndarray],
        columns: pd.Index,
        known: Sequence[Key] = (),
    ) -> None:
        embedded = network.descriptions
        if not isinstance(embedded, DescriptionEmbeddings):
            return
        shape = shape_of(network)
        told = on_main_process(lambda: self._describe(new, columns, shape, known))
        device = embedded.embeddings.device
        if not known:
            with seeded(self._seed(), device):
                self._tune(embedded.encoder, told)
        embedded.add(
            told.tolist(), len(columns), n_known=len(known), names=told.index.tolist()
        )
        parts = [self.descriptions_, told] if known else [told]
        self.descriptions_: pd.Series = pd.concat(parts)

    def _tune(self, encoder: DescriptionEncoder, told: pd.Series) -> None:
        """Fine-tune the language model, unless that was done before."""
        if not any(p.requires_grad for p in encoder.parameters()):
            return
        self.language_model_losses_ = encoder.tune(
            told.tolist(),
            n_steps=self.language_model_steps,
            seed=self._seed(),
            names=told.index.tolist(),
        )

    def _describe(
        self,
        new: dict[Key, np.ndarray],
        columns: pd.Index,
        shape: WindowShape,
        known: Sequence[Key],
    ) -> pd.Series:
        """Describe the training part of every variate; what comes later is not told."""
        share = self._validation_share(new, shape)
        names, parts = [], []
        for key, values in new.items():
            rows = values[: train_rows(len(values), shape, share)]
            names += [_name(key, column, len(columns)) for column in columns]
            parts += list(rows.T)
        if self.descriptions is not None:
            known_names = self.descriptions_.index if known else ()
            given = self.descriptions
            given = given.to_dict() if isinstance(given, pd.Series) else given
            texts = _texts_of_new(given, names, known_names)
        else:
            texts = resolve_describer(self.describer).describe(parts, names)
        return pd.Series(texts, index=pd.Index(names, tupleize_cols=False))


def _texts_of_new(
    descriptions: Mapping[Hashable, str] | Sequence[str],
    names: Sequence[Hashable],
    known: Iterable[Hashable],
) -> list[str]:
    """Give the user's descriptions of new variates; known ones may be there, too."""
    known = set(known)
    if not known:
        return texts_of(descriptions, names)
    if not isinstance(descriptions, Mapping):
        raise InputError(
            f"descriptions is a {type(descriptions).__name__}, expected a mapping from "
            f"names to texts, as there are new variates: {list(names[:3])}."
        )
    of_new = {name: text for name, text in descriptions.items() if name not in known}
    return texts_of(of_new, names)


def _name(key: Key, column: Hashable, n_columns: int) -> Hashable:
    """What a variate is called: its column, its series, or both."""
    if key is None:
        return column
    return key if n_columns == 1 else (key, column)
