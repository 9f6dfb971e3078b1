"""Rolling-origin comparison of forecasters on one or more data sets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import pandas as pd

from sktime_llm._validation import LEVELS, Constraint, check_parameters, integer, one_of
from sktime_llm._warn import warn
from sktime_llm.datasets import Dataset
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceNotAvailableError,
    ForecasterFailedError,
    UnsupportedBackboneError,
    UnusedCovariatesWarning,
)
from sktime_llm.evaluation._data import (
    as_datasets,
    check_length,
    find_scalable,
    seasonal_changes,
)
from sktime_llm.evaluation._folds import FORECAST_COLUMNS, evaluate_folds
from sktime_llm.evaluation._forecasters import default_forecasters
from sktime_llm.evaluation._result import Comparison

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

Forecasters = Mapping[str, "BaseForecaster"]
Progress = Callable[[int, int, str], None]

_NUMBERS = ["MASE", "sMAPE", "MAE", "fit_seconds", "predict_seconds"]
_SERIES_COLUMNS = ["id", "variate", "MASE", "sMAPE", "MAE"]
_COLUMNS = ["dataset", "forecaster", "n_variates", *_NUMBERS, "error"]

INTERVAL_SCORES = ("coverage", "MSIS")


_CONSTRAINTS = {
    "levels": LEVELS,
    "horizon": integer(1) | None,
    "seasonal_period": integer(1) | None,
    "n_folds": integer(1),
    "on_error": one_of("raise", "record"),
    "progress": Constraint("a callable", callable) | None,
}
_FORECASTERS = Constraint(
    "forecasters by name, such as {'naive': NaiveForecaster()}",
    lambda value: isinstance(value, Mapping) and bool(value),
)

# These would fail on every data set.
_SETUP_ERRORS = (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceNotAvailableError,
    UnsupportedBackboneError,
)


def compare_forecasters(
    data: Dataset | Iterable[Dataset] | pd.Series | pd.DataFrame,
    forecasters: Forecasters | Callable[[int], Forecasters] = default_forecasters,
    *,
    X: pd.DataFrame | None = None,
    horizon: int | None = None,
    seasonal_period: int | None = None,
    n_folds: int = 3,
    levels: Sequence[float] = (),
    on_error: Literal["raise", "record"] = "raise",
    progress: Progress | None = None,
) -> Comparison:
    """Compare forecasters by a rolling-origin evaluation on one or more data sets.

    Every forecaster is fitted anew on each of `n_folds` expanding windows and forecasts
    the `horizon` steps after it; the folds do not overlap and the last one ends with
    the data. In a panel this holds for every series. Univariate forecasters forecast
    several variates one by one.

    Parameters
    ----------
    data : Dataset, iterable of Dataset, pandas.Series or pandas.DataFrame
        The data to forecast. A pandas object is in one of sktime's formats: a series,
        several variates as columns, or a panel with index levels (instance, time).
    forecasters : mapping or callable, default `default_forecasters`
        Forecasters by name, or a function that makes them for a seasonal period.
    X : pandas.DataFrame, optional
        Covariates beside a pandas object, with its index, which are known in the
        future. Forecasters that take none forecast without them. Default: none.
    horizon : int, optional
        Steps to forecast. Default: that of the `Dataset`; a pandas object needs one.
    seasonal_period : int, optional
        Steps in one season, for the forecasters and for MASE. Default: that of the
        `Dataset`, or what `infer_seasonal_period` finds.
    n_folds : int, default 3
        Number of folds.
    levels : sequence of float, optional
        Levels in percent of prediction intervals to score, of the forecasters that have
        any. Default: none.
    on_error : {"raise", "record"}, default "raise"
        Whether a forecaster that fails ends the comparison, or gets a row without
        scores and with the reason in the column ``error``. A language model or device
        that cannot be used ends it in any case.
    progress : callable, optional
        Called with the number of steps done, the number of all steps and the name of
        the next step, before every step and once at the end.

    Returns
    -------
    Comparison
        Scores, ranks over series, and the forecasts of the last fold.

    Raises
    ------
    InputError
        If the data are too short, no series of a data set has a MASE, or a parameter
        is invalid.
    ForecasterFailedError
        If a forecaster fails and `on_error` is ``"raise"``; its own error is the cause.
    BackboneNotFoundError, BackboneCorruptedError, UnsupportedBackboneError
        If the language model cannot be used.
    DeviceNotAvailableError
        If the device does not exist.

    Warns
    -----
    UndefinedScoreWarning
        If some series do not change over one season, beyond rounding, in the training
        rows of the first fold. MASE divides by that change, so it is the mean over the
        other series; sMAPE and MAE count all. Also if values to forecast are missing,
        which count in no score.
    UnusedCovariatesWarning
        If there are covariates, and forecasters that take none.

    Examples
    --------
    >>> from sktime_llm.datasets import load_dataset
    >>> from sktime_llm.evaluation import compare_forecasters, default_forecasters
    >>> forecasters = default_forecasters(12, ["naive", "seasonal-naive"])
    >>> comparison = compare_forecasters(load_dataset("airline"), forecasters)
    >>> comparison.scores[["dataset", "forecaster", "MASE"]].round(2)
       dataset      forecaster  MASE
    0  airline  seasonal-naive  1.21
    1  airline           naive  2.47
    """
    options: dict[str, object] = {"n_folds": n_folds, "levels": levels}
    options |= {"on_error": on_error, "progress": progress}
    check_parameters(
        {"horizon": horizon, "seasonal_period": seasonal_period, **options},
        _CONSTRAINTS,
    )
    levels = list(dict.fromkeys(levels))
    datasets = as_datasets(data, horizon, seasonal_period, X)
    for dataset in datasets:
        check_length(dataset, n_folds)
    changes = {each.name: seasonal_changes(each) for each in datasets}
    scalable = {
        each.name: find_scalable(each, n_folds, changes[each.name]) for each in datasets
    }
    jobs = [
        (dataset, name, forecaster)
        for dataset in datasets
        for name, forecaster in _forecasters_for(dataset, forecasters).items()
    ]
    _warn_of_unused_covariates(jobs)
    report = progress or (lambda done, total, label: None)
    rows: list[dict[str, object]] = []
    errors: list[pd.DataFrame] = []
    parts: list[pd.DataFrame] = []
    for done, (dataset, name, forecaster) in enumerate(jobs):
        report(done, len(jobs), f"{dataset.name}: {name}")
        row, own, part = _evaluate(
            dataset,
            name,
            forecaster,
            n_folds=n_folds,
            scalable=scalable[dataset.name],
            changes=changes[dataset.name],
            levels=levels,
            on_error=on_error,
        )
        rows.append(row)
        errors.append(own)
        parts.append(part)
    report(len(jobs), len(jobs), "done")
    return Comparison(
        tuple(datasets),
        n_folds,
        _sort(rows, levels),
        _stack(parts),
        _stack(errors),
    )


def _warn_of_unused_covariates(
    jobs: list[tuple[Dataset, str, "BaseForecaster"]],
) -> None:
    unused = [
        name
        for dataset, name, forecaster in jobs
        if dataset.X is not None and not forecaster.get_tag("capability:exogenous")
    ]
    if unused:
        message = (
            f"These take no covariates, and forecast without them: "
            f"{', '.join(dict.fromkeys(unused))}."
        )
        warn(message, UnusedCovariatesWarning)


def _stack(parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if not part.empty] or parts[:1]
    return pd.concat(filled, ignore_index=True)


def _forecasters_for(
    dataset: Dataset, forecasters: Forecasters | Callable[[int], Forecasters]
) -> Forecasters:
    if callable(forecasters):
        forecasters = forecasters(dataset.seasonal_period)
    _FORECASTERS.check("forecasters", forecasters)
    return forecasters


def _evaluate(
    dataset: Dataset,
    name: str,
    forecaster: "BaseForecaster",
    *,
    n_folds: int,
    scalable: pd.DataFrame,
    changes: pd.DataFrame,
    levels: Sequence[float],
    on_error: str,
) -> tuple[dict[str, object], pd.DataFrame, pd.DataFrame]:
    """Return mean scores, those by series, and last forecasts; or the failure."""
    key = {"dataset": dataset.name, "forecaster": name}
    seconds: dict[str, float] = {}
    scores = pd.DataFrame(columns=_SERIES_COLUMNS)
    forecasts = pd.DataFrame(columns=FORECAST_COLUMNS)
    reason = ""
    try:
        seconds, scores, forecasts = evaluate_folds(
            dataset, name, forecaster, n_folds, scalable, changes, levels
        )
    except _SETUP_ERRORS:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        if on_error == "raise":
            raise ForecasterFailedError(
                f"The forecaster {name!r} failed on the data set {dataset.name!r} with "
                f"{reason}"
            ) from error
    means = scores.iloc[:, 2:].mean().to_dict()
    row = {**key, "n_variates": dataset.n_variates, **means, **seconds, "error": reason}
    by_series, last = (
        pd.concat([pd.DataFrame(key, index=table.index), table], axis=1)
        for table in (scores, forecasts)
    )
    return row, by_series, last


def _sort(rows: list[dict[str, object]], levels: Sequence[float]) -> pd.DataFrame:
    """Keep the order of the data sets; the best first, failures last."""
    intervals = [f"{kind}_{level:g}" for level in levels for kind in INTERVAL_SCORES]
    columns = [*_COLUMNS[:-1], *intervals, _COLUMNS[-1]]
    numbers = dict.fromkeys([*_NUMBERS, *intervals], float)
    scores = pd.DataFrame(rows, columns=columns).astype(numbers)
    parts = scores.groupby("dataset", sort=False)
    ordered = [part.sort_values("MASE", kind="stable") for _, part in parts]
    return pd.concat(ordered, ignore_index=True)
