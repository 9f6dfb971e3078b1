"""The command ``forecast``."""

import argparse
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sktime_llm._warn import warn
from sktime_llm.cli._data import forecaster_maker, read_dataset
from sktime_llm.cli._loading import check_not_fitting, load_fitted
from sktime_llm.cli._output import (
    STDOUT,
    Progress,
    check_not_input,
    echo,
    echo_error,
    echo_table,
    explained,
    make_folder,
    replacing,
    shown_progress,
)
from sktime_llm.cli._partitions import check_no_engine, forecast_by_partition
from sktime_llm.datasets._covariates import (
    check_takes_covariates,
    past_covariates_of,
    rows_ahead,
)
from sktime_llm.datasets._long import as_written, forecast_table, long_table
from sktime_llm.datasets._source import listed
from sktime_llm.errors import (
    ForecasterFailedError,
    InputError,
    NoIntervalsError,
    SktimeLLMError,
    SktimeLLMWarning,
)
from sktime_llm.evaluation._data import as_frame, join_ids
from sktime_llm.evaluation._folds import library_warnings_off
from sktime_llm.plotting import plot_forecast, require_matplotlib

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

_DEFAULT_METHOD, _DEFAULT_LEVELS = "calf", [80.0, 95.0]
_N_RECENT = 200


def forecast(options: argparse.Namespace) -> bool:
    """Run the command; return whether the forecaster did not fail."""
    if options.engine:
        return forecast_by_partition(options)
    check_no_engine(options)
    _check(options)
    try:
        with shown_progress(show=not options.quiet) as progress:
            if options.load:
                (forecaster, y, name), ahead = load_fitted(options), None
            else:
                forecaster, y, name, ahead = _fit(options, progress)
            table = _predict(forecaster, y, ahead, options)
            _check_no_gaps(table, y)
    except ForecasterFailedError as error:
        echo_error(f"the forecaster failed: {error}")
        return False
    except (SktimeLLMError, ImportError):
        raise
    except Exception as error:
        echo_error(f"the forecaster failed: {type(error).__name__}: {error}")
        return False
    written = _write(table, y, name, options)
    if options.save:
        with explained(f"to the folder {str(options.save)!r}"):
            forecaster.save_pretrained(options.save)
        written.append(f"{options.save}{os.sep}")
    if options.output != STDOUT:
        echo(f"Written: {', '.join(written)}")
    return True


def _check(options: argparse.Namespace) -> None:
    """Raise an error, before anything is fitted, if options do not go together."""
    if options.load:
        check_not_fitting(options)
    elif options.file is None:
        raise InputError(
            "Name a FILE to forecast, before the options, or a fitted forecaster with "
            "--load."
        )
    if options.save:
        make_folder(options.save)
    if options.output == STDOUT:
        return
    if options.save and options.save.resolve() == options.output.parent.resolve():
        raise InputError(
            f"Got --output {options.output} in the folder of --save, which holds the "
            "forecaster alone. Name another place for one of them."
        )
    suffix = options.output.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(
            f"Cannot tell how to write {str(options.output)!r}: got the suffix "
            f"{suffix!r}, expected .csv or .parquet, or - for standard output."
        )
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ImportError(
            f"Writing {options.output} needs pyarrow. Install it with `pip install "
            f"sktime-llm[baselines]`, or write CSV."
        )
    if not options.no_plot:
        require_matplotlib()
    check_not_input(options.file, [options.output])
    make_folder(options.output.parent)


def _fit(
    options: argparse.Namespace, progress: Progress
) -> tuple["BaseForecaster", pd.Series | pd.DataFrame, str, pd.DataFrame | None]:
    """Fit a forecaster on all rows; return it, the rows, a title, and covariates.

    These are the covariates at the steps to forecast, if there are any.
    """
    from sktime_llm.forecasting._checkpoint import check_replaceable

    method = options.method or _DEFAULT_METHOD
    make = forecaster_maker(options, [method])
    dataset = read_dataset(options, make)
    forecaster = make(dataset.seasonal_period)[method]
    if options.save and not hasattr(forecaster, "save_pretrained"):
        raise InputError(
            f"Got --save, but --method {method} can only be pickled, which runs code "
            "when it is loaded. Leave --save out, as it is quick to fit again, or "
            "choose calf, balm-tsf or llm-ts-net."
        )
    if options.save:
        check_replaceable(options.save)  # before a fit that would be lost
    _levels(forecaster, options)
    X = ahead = None
    if dataset.X is not None:
        check_takes_covariates(forecaster)
        X = dataset.X.loc[dataset.y.index]
        past = past_covariates_of(forecaster)
        ahead = rows_ahead(dataset.y, dataset.X, dataset.horizon, past)
    progress(0, 1, f"{dataset.name}: {method}")
    try:
        with library_warnings_off():
            forecaster.fit(dataset.y, X=X, fh=range(1, dataset.horizon + 1))
    except (SktimeLLMError, ImportError):
        raise
    except Exception as error:
        raise ForecasterFailedError(
            f"{type(error).__name__}: {error} ({_shortest(dataset.y)})"
        ) from error
    progress(1, 1, "done")
    return forecaster, dataset.y, dataset.name, ahead


def _shortest(y: pd.Series | pd.DataFrame) -> str:
    """Say how many rows there are, of several series in the shortest."""
    if y.index.nlevels == 1:
        return f"the series has {len(y)} rows"
    lengths = y.index.droplevel(-1).value_counts()
    name = join_ids(lengths.idxmin())
    return f"the shortest of {len(lengths)} series, {name!r}, has {lengths.min()} rows"


def _recent(y: pd.Series | pd.DataFrame) -> pd.Series | pd.DataFrame:
    """Return the last rows of each series, which the picture shows."""
    ids = list(range(y.index.nlevels - 1))
    return (y.groupby(level=ids, observed=True) if ids else y).tail(_N_RECENT)


def _levels(forecaster: "BaseForecaster", options: argparse.Namespace) -> list[float]:
    """Return the levels of the intervals, in percent."""
    has_intervals = forecaster.get_tag("capability:pred_int")
    if options.levels and not has_intervals:
        if options.load:
            raise InputError(
                f"Got --levels, but the forecaster in {str(options.load)!r} has no "
                "intervals. Leave --levels out, or make it anew with --save and "
                "--levels."
            )
        raise InputError(
            f"Got --levels, but {type(forecaster).__name__} gives no intervals. Leave "
            f"--levels out, or choose another --method, such as calf or auto-ets."
        )
    if options.levels is not None:
        return sorted(set(options.levels))
    if not has_intervals or (options.load and not _is_calibrated(forecaster)):
        return []
    return _DEFAULT_LEVELS


def _is_calibrated(forecaster: Any) -> bool:
    """Tell whether a loaded forecaster can give its intervals; if not, say why."""
    try:
        forecaster._check_intervals("prediction intervals")
    except NoIntervalsError as error:
        echo(f"No intervals are written. {error}", file=sys.stderr)
        return False
    return True


def _predict(
    forecaster: "BaseForecaster",
    y: pd.Series | pd.DataFrame,
    X: pd.DataFrame | None,
    options: argparse.Namespace,
) -> pd.DataFrame:
    """Return the forecasts, one row per value, with the bounds of the intervals.

    X are the covariates at the steps to forecast.
    """
    levels = _levels(forecaster, options)
    fh = _horizon(forecaster, options)
    with library_warnings_off():
        name = y.name if y.ndim == 1 else None
        return forecast_table(forecaster, fh, levels, name, X)


def _check_no_gaps(table: pd.DataFrame, y: pd.Series | pd.DataFrame) -> None:
    """Raise if forecasts are missing; warn if it is only bounds of intervals.

    Some baselines forecast NaN if a series is shorter than a season.
    """
    if without := _with_gaps(table, ["forecast"], y):
        raise InputError(
            f"Forecasts are missing for {without}. Give these more rows, leave them "
            "out with --min-length, or choose another --method or a shorter "
            "--seasonal-period."
        )
    bounds = [name for name in table if name.startswith(("lower_", "upper_"))]
    if without := _with_gaps(table, bounds, y):
        message = (
            f"Bounds of intervals are missing for {without}. Their cells are empty. "
            "Give these series more rows, or choose another --method or a shorter "
            "--seasonal-period."
        )
        warn(message, SktimeLLMWarning)


def _with_gaps(
    table: pd.DataFrame, columns: list[str], y: pd.Series | pd.DataFrame
) -> str:
    """Name the series that lack values in some columns, and how long these are."""
    gaps = ~np.isfinite(table[columns]).all(axis=1)
    if not gaps.any():
        return ""
    keys = ["id", "variate"]
    series, lacking = (one[keys].drop_duplicates() for one in (table, table[gaps]))
    known = long_table({"n": as_frame(y)}).groupby(keys, as_index=False)["n"].count()
    names = [
        f"{' / '.join(filter(None, key))} ({n} values)"
        for *key, n in lacking.merge(known).itertuples(index=False)
    ]
    return f"{len(names)} of {len(series)} series: {listed(names)}"


def _horizon(forecaster: "BaseForecaster", options: argparse.Namespace) -> Any:
    if options.horizon is not None:
        return range(1, options.horizon + 1)
    if forecaster._fh is None:
        raise InputError(
            f"The forecaster in {str(options.load)!r} was fitted without fh, that "
            "is, without a number of steps. Give it with --horizon."
        )
    return forecaster.fh


def _write(
    table: pd.DataFrame,
    y: pd.Series | pd.DataFrame,
    title: str,
    options: argparse.Namespace,
) -> list[str]:
    """Write the table and the picture; return the names of the files."""
    named = as_written(table)
    if options.output == STDOUT:
        echo_table(named.to_csv(index=False))
        return []
    with replacing(options.output) as path:
        if options.output.suffix.lower() == ".parquet":
            named.to_parquet(path, index=False)
        else:
            named.to_csv(path, index=False)
    if options.no_plot:
        return [str(options.output)]
    picture = options.output.with_suffix(".png")
    with replacing(picture) as path:
        plot_forecast(_recent(y), table, title=title).savefig(path, format="png")
    return [str(options.output), str(picture)]
