"""Rolling-origin comparison of forecasters on one or more data sets."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import pandas as pd

from sktime_llm.datasets import Dataset, infer_seasonal_period
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceNotAvailableError,
    InputError,
    UnsupportedBackboneError,
)
from sktime_llm.evaluation._forecasters import default_forecasters
from sktime_llm.evaluation._mase import find_scalable, mean_absolute_scaled_error
from sktime_llm.evaluation._warnings import library_warnings_off

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

Forecasters = Mapping[str, "BaseForecaster"]
Progress = Callable[[int, int, str], None]

_METRICS = ["MASE", "sMAPE", "MAE"]

# What is missing or broken for one data set is so for all of them.
_SETUP_ERRORS = (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceNotAvailableError,
    UnsupportedBackboneError,
)


@overload
def compare_forecasters(
    data: Dataset | Iterable[Dataset] | pd.Series | pd.DataFrame,
    forecasters: Forecasters | Callable[[int], Forecasters] = ...,
    *,
    horizon: int | None = ...,
    seasonal_period: int | None = ...,
    n_folds: int = ...,
    on_error: Literal["raise", "record"] = ...,
    return_forecasts: Literal[False] = ...,
    progress: Progress | None = ...,
) -> pd.DataFrame: ...


@overload
def compare_forecasters(
    data: Dataset | Iterable[Dataset] | pd.Series | pd.DataFrame,
    forecasters: Forecasters | Callable[[int], Forecasters] = ...,
    *,
    horizon: int | None = ...,
    seasonal_period: int | None = ...,
    n_folds: int = ...,
    on_error: Literal["raise", "record"] = ...,
    return_forecasts: Literal[True],
    progress: Progress | None = ...,
) -> tuple[pd.DataFrame, pd.DataFrame]: ...


def compare_forecasters(
    data: Dataset | Iterable[Dataset] | pd.Series | pd.DataFrame,
    forecasters: Forecasters | Callable[[int], Forecasters] = default_forecasters,
    *,
    horizon: int | None = None,
    seasonal_period: int | None = None,
    n_folds: int = 3,
    on_error: Literal["raise", "record"] = "raise",
    return_forecasts: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """Compare forecasters by a rolling-origin evaluation on one or more data sets.

    Every forecaster is fitted anew on each of `n_folds` expanding windows and forecasts
    the `horizon` steps after it; the folds do not overlap and the last one ends with
    the data. In a panel this holds for every series. Forecasters of one variate
    forecast several one by one.

    Parameters
    ----------
    data : Dataset, iterable of Dataset, pandas.Series or pandas.DataFrame
        What to forecast. A pandas object is in one of sktime's formats: a series,
        several variates as columns, or a panel with index levels (instance, time).
    forecasters : mapping or callable, default `default_forecasters`
        Forecasters by name, or a function that makes them for a seasonal period.
    horizon : int, optional
        Steps to forecast. Default: that of the `Dataset`; a pandas object needs one.
    seasonal_period : int, optional
        Steps in one season, for the forecasters and for MASE. Default: that of the
        `Dataset`, or what `infer_seasonal_period` finds.
    n_folds : int, default 3
        Number of folds.
    on_error : {"raise", "record"}, default "raise"
        Whether a forecaster that fails ends the comparison, or gets a row without
        scores and with the reason in the column ``error``. A language model or device
        that cannot be used ends it in any case.
    return_forecasts : bool, default False
        Whether to return the forecasts of the last fold too.
    progress : callable, optional
        Called with the number of steps done, the number of all steps and the name of
        the next step, before every step and once at the end.

    Returns
    -------
    scores : pandas.DataFrame
        One row per data set and forecaster, the best one first: ``dataset``,
        ``forecaster``, ``n_variates``, the scores ``MASE``, ``sMAPE`` (from 0 to 2) and
        ``MAE``, the seconds ``fit_seconds`` and ``predict_seconds`` of one fold, and
        ``error``, empty where nothing failed. Scores are means over folds, and then
        over variates and series, which for ``MAE`` mixes their units. ``MASE`` leaves
        out those that have none: see Warns.
    forecasts : pandas.DataFrame
        Only with `return_forecasts`: one row per forecast value, with ``dataset``,
        ``forecaster``, ``id`` (empty unless a panel), ``time``, ``variate``, ``truth``
        and ``forecast``.

    Raises
    ------
    InputError
        If the data are too short, no series of a data set has a MASE, or a parameter
        is out of its range.
    RuntimeError
        If a forecaster fails and `on_error` is ``"raise"``; its own error is the cause.
    BackboneNotFoundError, BackboneCorruptedError, UnsupportedBackboneError
        If the language model cannot be used.
    DeviceNotAvailableError
        If the device does not exist.

    Warns
    -----
    UndefinedScoreWarning
        If some series show no change over one season, beyond rounding, in the training
        rows of the first fold. MASE divides by that change, so it is then the mean over
        the other series; sMAPE and MAE count all.

    Examples
    --------
    >>> from sktime_llm.datasets import load_dataset
    >>> from sktime_llm.evaluation import compare_forecasters, default_forecasters
    >>> forecasters = default_forecasters(12, ["naive", "seasonal-naive"])
    >>> scores = compare_forecasters(load_dataset("airline"), forecasters)
    >>> scores[["dataset", "forecaster", "MASE"]].round(2)
       dataset      forecaster  MASE
    0  airline  seasonal-naive  1.21
    1  airline           naive  2.47
    """
    if on_error not in ("raise", "record"):
        raise InputError(f"Got on_error={on_error!r}; expected 'raise' or 'record'.")
    datasets = _as_datasets(data, horizon, seasonal_period)
    scalable = {}
    for dataset in datasets:
        _check_length(dataset, n_folds)
        scalable[dataset.name] = find_scalable(dataset, n_folds)
    jobs = [
        (dataset, name, forecaster)
        for dataset in datasets
        for name, forecaster in _forecasters_for(dataset, forecasters).items()
    ]
    report = progress or (lambda done, total, label: None)
    rows, parts = [], []
    for done, (dataset, name, forecaster) in enumerate(jobs):
        report(done, len(jobs), f"{dataset.name}: {name}")
        row, part = _evaluate(
            dataset, name, forecaster, n_folds, on_error, scalable[dataset.name]
        )
        rows.append(row)
        parts.append(part)
    report(len(jobs), len(jobs), "done")
    scores = _sort(pd.DataFrame(rows), [dataset.name for dataset in datasets])
    return (scores, _join(parts)) if return_forecasts else scores


def _as_datasets(
    data: Dataset | Iterable[Dataset] | pd.Series | pd.DataFrame,
    horizon: int | None,
    seasonal_period: int | None,
) -> list[Dataset]:
    if isinstance(data, (pd.Series, pd.DataFrame)):
        if horizon is None:
            raise InputError("Give the horizon: the number of steps to forecast.")
        name = data.name if isinstance(data, pd.Series) else None
        season = infer_seasonal_period(data)
        datasets = [Dataset(str(name or "data"), data, season, horizon)]
    else:
        datasets = [data] if isinstance(data, Dataset) else list(data)
    if horizon is not None:
        datasets = [replace(dataset, horizon=horizon) for dataset in datasets]
    if seasonal_period is not None:
        datasets = [replace(one, seasonal_period=seasonal_period) for one in datasets]
    names = [dataset.name for dataset in datasets]
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"Got the data sets {names}; expected at least one, each with its own name."
        )
    return datasets


def _check_length(dataset: Dataset, n_folds: int) -> None:
    counts = {
        "number of folds": n_folds,
        "horizon": dataset.horizon,
        "seasonal period": dataset.seasonal_period,
    }
    for what, count in counts.items():
        if not isinstance(count, (int, np.integer)) or count < 1:
            raise InputError(f"The {what} must be a positive integer; got {count!r}.")
    length = _shortest_length(dataset.y)
    left = length - n_folds * dataset.horizon
    # MASE compares with the error of repeating the last season of the training data.
    needed = dataset.seasonal_period + 1
    if left < needed:
        raise InputError(
            f"The data set {dataset.name!r} is too short: of {length} time points, "
            f"{n_folds} fold(s) of {dataset.horizon} leave {max(left, 0)} to train on, "
            f"expected at least {needed}, one more than the seasonal period of "
            f"{dataset.seasonal_period}. Use a shorter horizon, fewer folds or a "
            f"smaller seasonal period."
        )


def _shortest_length(y: pd.Series | pd.DataFrame) -> int:
    if y.index.nlevels == 1:
        return len(y)
    return int(y.groupby(level=list(range(y.index.nlevels - 1))).size().min())


def _forecasters_for(
    dataset: Dataset, forecasters: Forecasters | Callable[[int], Forecasters]
) -> Forecasters:
    made = (
        forecasters(dataset.seasonal_period) if callable(forecasters) else forecasters
    )
    if not isinstance(made, Mapping) or not made:
        raise InputError(
            f"Got {made!r} as forecasters; expected forecasters by name, such as "
            f"{{'naive': NaiveForecaster()}}."
        )
    return made


def _evaluate(
    dataset: Dataset,
    name: str,
    forecaster: "BaseForecaster",
    n_folds: int,
    on_error: str,
    scalable: pd.DataFrame,
) -> tuple[dict[str, object], pd.DataFrame]:
    """Score one forecaster on one data set; return a row and the last forecasts."""
    row: dict[str, object] = {
        "dataset": dataset.name,
        "forecaster": name,
        "n_variates": dataset.n_variates,
    }
    try:
        with library_warnings_off(f"{name} on {dataset.name}: "):
            folds = _run_folds(dataset, forecaster, n_folds, scalable)
    except _SETUP_ERRORS:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        if on_error == "raise":
            raise RuntimeError(
                f"The forecaster {name!r} failed on the data set {dataset.name!r} with "
                f"{reason}"
            ) from error
        nothing = dict.fromkeys([*_METRICS, "fit_seconds", "predict_seconds"], np.nan)
        return {**row, **nothing, "error": reason}, pd.DataFrame()
    row |= {metric: folds[metric].mean() for metric in _METRICS}
    row |= {
        "fit_seconds": folds["fit_time"].mean(),
        "predict_seconds": folds["pred_time"].mean(),
        "error": "",
    }
    last = folds.iloc[-1]
    forecasts = _long(last["y_test"], last["y_pred"])
    forecasts.insert(0, "dataset", dataset.name)
    forecasts.insert(1, "forecaster", name)
    return row, forecasts


def _run_folds(
    dataset: Dataset,
    forecaster: "BaseForecaster",
    n_folds: int,
    scalable: pd.DataFrame,
) -> pd.DataFrame:
    from sktime.forecasting.model_evaluation import evaluate
    from sktime.performance_metrics.forecasting import (
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
    )
    from sktime.split import ExpandingGreedySplitter

    metrics = {
        "sMAPE": MeanAbsolutePercentageError(symmetric=True),
        "MAE": MeanAbsoluteError(),
    }
    y = dataset.y.to_frame(dataset.y.name or "y") if dataset.y.ndim == 1 else dataset.y
    folds = evaluate(
        forecaster,
        # Cuts folds off the end of every series, whatever its length.
        cv=ExpandingGreedySplitter(test_size=int(dataset.horizon), folds=n_folds),
        y=y,
        strategy="refit",
        scoring=list(metrics.values()),
        return_data=True,
        error_score="raise",
    )
    for y_pred in folds["y_pred"]:
        if not np.isfinite(y_pred.to_numpy(dtype=float)).all():
            raise ValueError("the forecasts hold missing or infinite values")
    folds["MASE"] = [
        mean_absolute_scaled_error(fold, dataset.seasonal_period, scalable)
        for _, fold in folds.iterrows()
    ]
    return folds.rename(columns={f"test_{m.name}": name for name, m in metrics.items()})


def _long(truth: pd.DataFrame, forecast: pd.DataFrame) -> pd.DataFrame:
    """Put truth and forecast of one fold side by side, one row per value."""
    index = truth.index
    forecast = forecast.reindex(index)
    is_panel = index.nlevels > 1
    ids = [" / ".join(map(str, key[:-1])) for key in index] if is_panel else ""
    times = index.get_level_values(-1).astype("object")
    columns = [
        pd.DataFrame(
            {
                "id": ids,
                "time": times,
                "variate": str(name),
                "truth": truth[name].to_numpy(dtype=float),
                "forecast": forecast.iloc[:, i].to_numpy(dtype=float),
            }
        )
        for i, name in enumerate(truth.columns)
    ]
    return pd.concat(columns, ignore_index=True)


def _sort(scores: pd.DataFrame, datasets: list[str]) -> pd.DataFrame:
    """Keep the order of the data sets; the best first, failures last."""
    place = scores["dataset"].map({name: i for i, name in enumerate(datasets)})
    order = scores.assign(place=place).sort_values(
        ["place", "MASE"], kind="stable", na_position="last"
    )
    return order.drop(columns="place").reset_index(drop=True)


def _join(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = ["dataset", "forecaster", "id", "time", "variate", "truth", "forecast"]
    filled = [part for part in parts if not part.empty]
    if not filled:
        return pd.DataFrame(columns=columns)
    return pd.concat(filled, ignore_index=True)[columns]


def mean_mase(scores: pd.DataFrame) -> pd.DataFrame:
    """Average the MASE of each forecaster over the univariate data sets.

    Parameters
    ----------
    scores : pandas.DataFrame
        What `compare_forecasters` returns.

    Returns
    -------
    pandas.DataFrame
        One row per forecaster, the best one first: ``forecaster``, ``MASE``,
        ``n_datasets`` and ``n_failed``. A forecaster that failed on a data set has no
        mean, since it would be one over other data than the rest.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_llm.evaluation import mean_mase
    >>> scores = pd.DataFrame({"forecaster": ["a", "b", "a", "b"]})
    >>> scores = scores.assign(n_variates=1, MASE=[1, 2, 3, 1], error="")
    >>> mean_mase(scores)[["forecaster", "MASE"]]
      forecaster  MASE
    0          b   1.5
    1          a   2.0
    """
    univariate = scores[scores["n_variates"] == 1]
    failed = univariate["error"] != ""
    groups = univariate.assign(failed=failed).groupby("forecaster", sort=False)
    means = groups.agg(
        MASE=("MASE", lambda values: values.mean(skipna=False)),
        n_datasets=("MASE", "size"),
        n_failed=("failed", "sum"),
    )
    return means.reset_index().sort_values("MASE", kind="stable", ignore_index=True)
