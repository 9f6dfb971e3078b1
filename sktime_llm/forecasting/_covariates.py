"""Covariates: matched with the rows of series by their labels, checked, and scaled."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm._warn import warn
from sktime_llm.errors import ConstantSeriesWarning, InputError
from sktime_llm.forecasting._checks import check_kind_of_times, in_time_zone_of
from sktime_llm.forecasting._panel import Key, Panel
from sktime_llm.forecasting._regular import of_series
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import index_like
from sktime_llm.networks._interface import ForecastNetwork

_MAX = 1e150


@dataclass(frozen=True)
class Covariates:
    """Covariates at the rows of several series, in the order that the network takes.

    `rows` have the labels of the series' rows. Those that are `past_only`, of shape
    (covariate,), are not known in the future. Each series has a scaling, by its
    training rows; a covariate that does not vary there has `common`, by the training
    rows of all series that the network was first trained on.
    """

    rows: pd.DataFrame
    past_only: np.ndarray
    common: Scaling | None
    scalings: dict[Key, Scaling]

    @property
    def names(self) -> list[Hashable]:
        """Names of the covariates."""
        return list(self.rows.columns)

    def scaled(self) -> dict[Key, np.ndarray]:
        """Return the scaled values of each series, (time, covariate)."""
        panel = Panel.of(self.rows)
        return {
            key: self.scalings[key].apply(values)
            for key, values in zip(panel.keys, panel.arrays(), strict=True)
        }

    def at(self, like: pd.DataFrame) -> "Covariates":
        """Return those at the rows of a frame."""
        return replace(self, rows=self.rows.reindex(like.index))

    def with_rows(self, X: pd.DataFrame, like: pd.DataFrame) -> "Covariates":
        """Return those at the rows of a frame, from X where it has values."""
        new, old = X.reindex(like.index), self.rows.reindex(like.index)
        return replace(self, rows=new.where(new.notna(), old))

    def with_series(self, n_training_rows: Mapping[Key, int]) -> "Covariates":
        """Return those with scalings of further series, by their first rows."""
        panel = Panel.of(self.rows)
        parts = dict(zip(panel.keys, panel.arrays(), strict=True))
        values = {key: parts[key][:end] for key, end in n_training_rows.items()}
        common = self.common
        if common is None:
            common = Scaling.of(np.concatenate(list(values.values())))
            _warn_constant(common, values, self.names)
        own = Scaling.of_each(list(values.values()))
        each = (_completed(one, common) for one in own)
        scalings = dict(zip(values, each, strict=True))
        return replace(self, common=common, scalings=self.scalings | scalings)

    def only_columns(self) -> "Covariates":
        """Return what holds for any series: no rows, and no scalings of series."""
        return replace(self, rows=self.rows.iloc[:0], scalings={})


def _warn_constant(
    common: Scaling, values: Mapping[Key, np.ndarray], names: list[Hashable]
) -> None:
    constant = [n for n, varies in zip(names, common.known, strict=True) if not varies]
    if constant:
        warn(
            f"the column(s) {constant} of X never change in the rows to train on, of "
            f"which there are {sum(map(len, values.values()))}; nothing can be learned "
            "of them, and they change no forecast. Leave them out, or give more rows.",
            ConstantSeriesWarning,
        )


def _completed(own: Scaling, common: Scaling) -> Scaling:
    """Scale by the series' own rows, else by all; what never varies becomes zero."""
    scale = np.where(own.known, own.scale, np.where(common.known, common.scale, np.inf))
    return Scaling(
        np.where(own.known, own.loc, common.loc), scale, own.known | common.known
    )


def count(covariates: Covariates | None) -> int:
    """Return the number of covariates."""
    return 0 if covariates is None else len(covariates.names)


# X as a user gives it


def has_columns(X: Any) -> bool:
    """Whether there are covariates; a pipeline may give a frame without any."""
    return X is not None and len(X.columns) > 0


def covariates_of(
    forecaster: Any,
    X: pd.DataFrame | None,
    y: pd.DataFrame,
    network: ForecastNetwork | None,
    known: Covariates | None,
) -> Covariates | None:
    """Return covariates to train with: as `known`, if there is a network to go on from.

    None without X. They have no scalings of series yet.
    """
    # a forecaster that takes none is given none
    past_covariates = getattr(forecaster, "past_covariates", ())
    fills_gaps = forecaster.missing == "mask"
    if network is None:
        return _first_covariates(X, y, past_covariates, fills_gaps=fills_gaps)
    rows = further_covariates(X, y, known, fills_gaps=fills_gaps)
    if rows is None or known is None:
        return None
    now = [name in past_covariates for name in known.names]
    if now != known.past_only.tolist():
        trained = [
            n for n, past in zip(known.names, known.past_only, strict=True) if past
        ]
        raise InputError(
            f"past_covariates={list(past_covariates)}, but the network was pretrained "
            f"with {trained}; expected the same. Set these, or pretrain again."
        )
    return replace(known, rows=rows.reindex(y.index), scalings={})


def _first_covariates(
    X: pd.DataFrame | None,
    y: pd.DataFrame,
    past_covariates: Sequence[Hashable],
    *,
    fills_gaps: bool,
) -> Covariates | None:
    """Return the covariates at the rows of `y`, not scaled yet; None without X."""
    names = [] if X is None else list(X.columns)
    unseen = [name for name in past_covariates if name not in names]
    if unseen:
        raise InputError(
            f"past_covariates={list(past_covariates)}, but X has the columns {names}; "
            f"expected names of these. Add {unseen} to X, or leave the name(s) out."
        )
    if X is None or not names:
        return None
    if len(set(names)) < len(names):
        raise InputError(
            f"X has the columns {names}, expected every name once. Rename them."
        )
    past_only = np.array([name in past_covariates for name in names])
    rows = _with_rows_of(X, y, fills_gaps).reindex(y.index)
    return Covariates(rows, past_only, None, {})


def further_covariates(
    X: pd.DataFrame | None,
    y: pd.DataFrame,
    known: Covariates | None,
    *,
    fills_gaps: bool,
) -> pd.DataFrame | None:
    """Return X, with the columns that are known from before, if it has the rows of y.

    It may have others, too.
    """
    if known is None:
        check_none(X)
        return None
    if X is None or not has_columns(X):
        raise InputError(
            f"X is missing; the network was trained with the covariates {known.names}, "
            "and expects them at the rows of y, too. Give X, NaN where a value is "
            "missing."
        )
    X = _with_lost_name(X, known)
    _check_columns(X, known, required=known.names)
    return _with_rows_of(X[known.names], y, fills_gaps)


def check_none(X: pd.DataFrame | None) -> None:
    """Raise if there are covariates for a network that takes none."""
    if X is not None and has_columns(X):
        raise InputError(
            f"X has the columns {list(X.columns)}, but the network was trained without "
            "X; expected none. Leave X out, or fit with X."
        )


def _with_lost_name(X: pd.DataFrame, known: Covariates) -> pd.DataFrame:
    """Name a single column, whose name a Series may have lost."""
    if len(X.columns) == 1 and X.columns[0] in (0, None) and len(known.names) == 1:
        return X.set_axis(known.names, axis=1)
    return X


def _check_columns(
    X: pd.DataFrame, known: Covariates, required: Sequence[Hashable]
) -> None:
    unseen = [name for name in X.columns if name not in known.names]
    missing = [name for name in required if name not in X.columns]
    if not unseen and not missing and not X.columns.has_duplicates:
        return
    what = f"which fit did not see: {unseen}" if unseen else f"but not {missing}"
    raise InputError(
        f"X has the columns {list(X.columns)}, {what}. Expected {known.names}, in any "
        "order, each once; only those in past_covariates may be absent in predict."
    )


def _with_rows_of(X: pd.DataFrame, y: pd.DataFrame, fills_gaps: bool) -> pd.DataFrame:
    """Check X, which has to have the rows of `y` unless gaps are to be filled."""
    X = _like(X, y)
    absent = y.index.difference(X.index)
    if len(absent) and not fills_gaps:
        raise InputError(
            f"X has no row at {len(absent)} of the {len(y)} times of y, such as "
            f"{absent[0]}; expected one at each. Give these rows, NaN where a value is "
            'missing, or set missing="mask".'
        )
    return X


def _like(X: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Check X, and bring its times into the time zone of another frame."""
    if X.index.nlevels != like.index.nlevels:
        raise InputError(
            f"the index of X has {X.index.nlevels} level(s), that of y "
            f"{like.index.nlevels}; expected the same: covariates of each series."
        )
    if X.index.has_duplicates:
        twice = X.index[X.index.duplicated()][0]
        raise InputError(f"X has {twice} more than once, expected every time once.")
    check_kind_of_times(X, like)
    X = X.astype(np.float64)
    values = X.to_numpy()
    bad = np.abs(values) > _MAX
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"X has {values[row, column]} in column {X.columns[column]!r} at "
            f"{X.index[row]}; expected numbers of at most {_MAX} in size, or NaN where "
            "one is missing. Replace such values first."
        )
    return in_time_zone_of(like, X)


# the covariates of forecasts


def covariates_ahead(
    known: Covariates,
    X: pd.DataFrame | None,
    like: pd.DataFrame,
    times: Mapping[Key, pd.Index],
    n_steps: Mapping[Key, int],
) -> dict[Key, np.ndarray]:
    """Return the scaled covariates at the times after each series, NaN if unknown.

    The first `n_steps` of these times are forecast; further ones, of which the network
    forecasts some, too, need not be given. Raise an InputError if a covariate that is
    not past-only is unknown at a time that is forecast.
    """
    required = [
        name
        for name, past in zip(known.names, known.past_only, strict=True)
        if not past
    ]
    if X is None or not has_columns(X):
        if required:
            raise InputError(
                "X is missing in predict; the network was trained with the covariates "
                f"{required}, whose future it expects. Give X at the times to "
                "forecast, or forecasts of it by sktime's ForecastX; or name what is "
                "known in the past only in past_covariates, and fit again."
            )
        X = known.rows.iloc[:0]
    X = _with_lost_name(X, known)
    _check_columns(X, known, required)
    labels = _labels(times, like)
    rows = _like(X, like).reindex(labels)[required].reindex(columns=known.names)
    values, ahead, start = rows.to_numpy(), {}, 0
    for key, each in times.items():
        part = values[start : start + len(each)]
        start += len(each)
        _check_future(part[: n_steps[key]], each, key, known)
        ahead[key] = known.scalings[key].apply(part)
    return ahead


def _labels(times: Mapping[Key, pd.Index], like: pd.DataFrame) -> pd.Index:
    if isinstance(like.index, pd.MultiIndex):
        return index_like(like, ((key, t) for key, each in times.items() for t in each))
    return next(iter(times.values()))


def _check_future(
    values: np.ndarray, times: pd.Index, key: Key, known: Covariates
) -> None:
    unknown = np.isnan(values) & ~known.past_only
    if not unknown.any():
        return
    column = int(np.flatnonzero(unknown.any(axis=0))[0])
    name, missing = known.names[column], times[: len(values)][unknown[:, column]]
    shown = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
    numbered = " Times of an array begin at 0." if times.dtype.kind == "i" else ""
    raise InputError(
        f"X{of_series(key)} has no value of {name!r} at {len(missing)} of the "
        f"{len(values)} times up to the last one that is forecast: {shown}; expected "
        f"one at each.{numbered} Give them, or forecasts of them by sktime's "
        f"ForecastX; or, if only the past of {name!r} is known, name it in "
        "past_covariates and fit again."
    )
