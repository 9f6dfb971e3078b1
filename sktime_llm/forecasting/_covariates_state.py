"""Covariates as parts of a checkpoint, and back."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm.errors import SavedForecasterError
from sktime_llm.forecasting._as_json import Arrays, from_json, to_json
from sktime_llm.forecasting._covariates import Covariates
from sktime_llm.forecasting._scaling import Scaling


def covariates_to_json(covariates: Covariates | None, arrays: Arrays, at: str) -> Any:
    """Write covariates, with one array of the scalings of all series."""
    if covariates is None:
        return None
    keys = list(covariates.scalings)
    shape = (len(keys), len(covariates.names))
    scalings = covariates.scalings.values()
    parts = {
        name: np.array([getattr(one, name) for one in scalings]).reshape(shape)
        for name in Scaling._fields
    }
    common = covariates.common
    content = {
        "rows": covariates.rows,
        "past_only": covariates.past_only,
        "common": None if common is None else common._asdict(),
        "series": None if keys == [None] else pd.Index(keys),
        "scalings": parts,
    }
    return to_json(content, arrays, at)


def covariates_from_json(content: Any, arrays: Arrays) -> Covariates | None:
    """Return covariates; all parts must be of the same ones."""
    if content is None:
        return None
    read = from_json(content, arrays)
    n, index = read["rows"].shape[1], read["series"]
    keys: Sequence[Hashable] = [None] if index is None else list(index)
    parts = [read["scalings"][name] for name in Scaling._fields]
    common = read["common"] and Scaling(**read["common"])
    shapes = {part.shape for part in parts} - {(len(keys), n)}
    shapes |= {part.shape for part in common or ()} - {(n,)}
    if shapes or read["past_only"].shape != (n,):
        raise SavedForecasterError(f"the parts of {n} covariates do not fit together.")
    scalings = (Scaling(*rows) for rows in zip(*parts, strict=True))
    return Covariates(
        read["rows"], read["past_only"], common, dict(zip(keys, scalings, strict=True))
    )
