"""Users' own tables in the formats that sktime forecasts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm._validation import Constraint, check_parameters, integer, one_of
from sktime_llm.datasets._cells import (
    integer_format,
    read_covariates,
    read_targets,
    read_times,
)
from sktime_llm.datasets._covariates import up_to_last_value
from sktime_llm.datasets._frequency import period_alias
from sktime_llm.datasets._series import (
    FILLS,
    Rows,
    check_no_missing_value,
    fill,
    lay_out,
    sort_rows,
)
from sktime_llm.datasets._source import Columns, Source, listed, open_source
from sktime_llm.errors import InputError

_CHARACTER = Constraint("one character", lambda x: isinstance(x, str) and len(x) == 1)
_CONSTRAINTS = {
    "decimal": _CHARACTER,
    "thousands": _CHARACTER | None,
    "separator": Constraint(
        "one character or more", lambda x: isinstance(x, str) and x != ""
    ),
    "skip_rows": integer(0),
    "missing": one_of("error", "values", "keep", *FILLS),
    "min_length": integer(1),
}


def read_table(
    path: str | Path,
    *,
    time_column: str,
    target: Columns = None,
    id_column: Columns = None,
    covariates: Columns = None,
    frequency: str | None = None,
    date_format: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    separator: str = ",",
    skip_rows: int = 0,
    missing: str = "error",
    min_length: int = 1,
    report: Callable[[str], None] | None = None,
) -> Any:
    """Read a CSV or Parquet file into a format that sktime forecasts.

    The file is wide (one row per time, one column per variate) or long (one row per
    series and time). Rows may come in any order. No notation is guessed; an error names
    the cell, and the option that would fit it as the command line spells it.

    Parameters
    ----------
    path : str or Path
        A text file with a header line (``.csv``, ``.tsv``, ``.txt``, or compressed:
        ``.csv.gz``, ``.csv.bz2``, ``.csv.xz``) in UTF-8 or UTF-16, or a ``.parquet``
        file.
    time_column : str
        Column with the times: ISO 8601 such as ``2020-01-31 09:00``, ``2020-01`` or
        ``20200131``, quarters ``2020Q1``, weeks ``2020-W05``, periods as pandas writes
        them, or row numbers. Other notations need `date_format`. Of times with an
        offset from UTC, the local date is taken for steps of a day or longer, else UTC.
    target : str or sequence of str, optional
        Columns to forecast. Default: all other named columns that mostly hold numbers.
    id_column : str or sequence of str, optional
        Columns that name the series of a row. Default: one series.
    covariates : str or sequence of str, optional
        Columns of numbers, or of True and False, that help to forecast. Rows after the
        last value of the targets in a series are of steps to forecast, at which
        covariates are known; empty cells there are NaN. Default: none.
    frequency : str, optional
        Time between rows as a pandas alias, such as ``"D"``, ``"M"`` or ``"15min"``;
        each row is then put into its day, month or minute, and has to be a multiple of
        the frequency after the row before. Weeks, ``"W"``, end on the weekday that all
        times have, else on Sundays. Default: inferred by pandas.
    date_format : str, optional
        Notation of the times as strftime takes it, such as ``"%d.%m.%Y"``.
    decimal, thousands : str, default="." and None
        Decimal and thousands separators of text.
    separator : str, default=","
        Separator of the columns of a text file.
    skip_rows : int, default=0
        Lines above the column names of a text file.
    missing : {"error", "values", "keep", "interpolate", "ffill"}, default="error"
        ``"error"`` allows no missing values and rows, ``"values"`` keeps missing values
        as NaN, ``"keep"`` missing rows too. The others fill both within each series,
        linearly between neighbors or with the value before.
    min_length : int, default=1
        Series with fewer rows, up to their last value, are left out.
    report : callable, optional
        Called with lines about what was found, such as the columns that are left out.

    Returns
    -------
    pandas.Series or pandas.DataFrame
        A Series for one target, a DataFrame for several, and with `id_column` a
        DataFrame with index levels (`id_column`, `time_column`). Time is a
        `PeriodIndex`, an integer index of row numbers, or a `DatetimeIndex` of business
        days. Values are float64, ids are text as written. With `covariates` a
        pair: this, and a DataFrame of the covariates in the same rows and those after.

    Raises
    ------
    InputError
        If the file or one of its columns, times or values cannot be used.
    ImportError
        If the file is Parquet and pyarrow is not installed.

    Warns
    -----
    AmbiguousNumbersWarning
        If numbers such as ``1.000``, beside whole ones such as ``990``, may be
        thousands. They are read by `decimal` and `thousands`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sktime_llm.datasets import read_table
    >>> dates = ["2020-01-01", "2020-02-01", "2020-03-01"]
    >>> table = pd.DataFrame({"date": dates, "sales": [3, 5, 4]})
    >>> with TemporaryDirectory() as folder:
    ...     table.to_csv(f"{folder}/sales.csv", index=False)
    ...     read_table(f"{folder}/sales.csv", time_column="date")
    date
    2020-01    3.0
    2020-02    5.0
    2020-03    4.0
    Freq: M, Name: sales, dtype: float64
    """
    check_parameters(locals(), _CONSTRAINTS)
    alias = None if frequency is None else period_alias(frequency)
    source = open_source(Path(path), separator, skip_rows, time_column)
    y, X = arrange(
        source,
        time_column=time_column,
        target=target,
        id_column=id_column,
        covariates=covariates,
        alias=alias,
        date_format=date_format,
        decimal=decimal,
        thousands=thousands,
        missing=missing,
        min_length=min_length,
        report=report,
    )
    return y if X is None else (y, X)


def arrange(
    source: Source,
    *,
    time_column: str,
    target: Columns = None,
    id_column: Columns = None,
    covariates: Columns = None,
    alias: str | None = None,
    date_format: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    missing: str = "error",
    min_length: int = 1,
    report: Callable[[str], None] | None = None,
) -> tuple[pd.Series | pd.DataFrame, pd.DataFrame | None]:
    """Return the rows of a source as `read_table` does; `alias` is the frequency."""
    times_name, ids, targets, beside = _find_columns(
        source, time_column, id_column, target, covariates
    )
    taken = [times_name, *ids, *beside]
    values, left_out = read_targets(source, targets, taken, decimal, thousands)
    numbers = read_covariates(source, beside, decimal, thousands)
    times = read_times(source, times_name, date_format, alias)
    series, keys = _number_series(source, ids)
    names = [" / ".join(key) for key in keys.itertuples(index=False)] or [""]
    known = np.ones(len(times), dtype=bool)
    if beside:
        known = up_to_last_value(values, series, times)
    is_long = _has_length(source, series[known], len(names), min_length)
    kept, short = is_long[series], [names[i] for i in np.flatnonzero(~is_long)]
    every = sort_rows(source, times[kept], series[kept], names, alias)
    rows = _only(every, known, values)

    def lay_out_and_fill(of: Rows, values: pd.DataFrame) -> pd.DataFrame:
        if missing == "error":
            check_no_missing_value(rows, values)
        index, series, table = lay_out(of, values, missing)
        if missing in FILLS:
            table = fill(rows, index, series, table, missing)
        return _set_index(table, index, series, keys, times_name)

    y = lay_out_and_fill(rows, values)
    X = lay_out_and_fill(every, numbers) if beside else None
    if report is not None:
        how = f"filled by {missing}" if missing in FILLS else "kept as NaN"
        n_values = int(values.loc[rows.times.index].isna().sum().sum())
        n_missing = {"row": len(y) - len(rows.times), "value": n_values}
        n_empty = int(numbers.loc[every.times.index].isna().sum().sum())
        n_ahead = 0 if X is None else len(X) - len(y)
        found = {
            "times": [times_name],
            "targets": values.columns,
            "ids": ids,
            "covariates": beside,
            "after the last value": [_count(n_ahead, "row")] if n_ahead else [],
            "left out": [f"{name} ({reason})" for name, reason in left_out.items()],
            f"left out, shorter than {min_length} rows": short,
            f"missing, {how}": [_count(n, one) for one, n in n_missing.items() if n],
            f"missing in covariates, {how}": [_count(n_empty, "value")] * (n_empty > 0),
        }
        _report(report, every, found)
    return y.iloc[:, 0] if y.shape[1] == 1 and not ids else y, X


def _has_length(
    source: Source, series: np.ndarray, n_series: int, min_length: int
) -> np.ndarray:
    """Tell which series have enough rows, given the series of each row.

    One without any is not left out by the default length of 1, but an error later.
    """
    lengths = np.bincount(series, minlength=n_series)
    if lengths.max() < min_length:
        raise InputError(
            f"{source.name}: the longest series has {lengths.max()} rows, expected at "
            f"least {min_length}. Give a smaller --min-length."
        )
    return np.maximum(lengths, 1) >= min_length


def _only(rows: Rows, known: np.ndarray, values: pd.DataFrame) -> Rows:
    """Return the rows that are known, of which each series must have some."""
    taken = known[rows.times.index]
    without = np.setdiff1d(rows.series, rows.series[taken])
    if len(without):
        named = listed([repr(rows.names[i]) for i in without if rows.names[i]])
        of = f" of {len(without)} series: {named}" if named else ""
        raise InputError(
            f"{rows.source.name}: {', '.join(map(repr, values.columns))} has no value "
            f"in the rows{of}. Expected at least one to forecast from. Fill them in, "
            "or remove the rows."
        )
    return replace(
        rows,
        times=rows.times[taken],
        series=rows.series[taken],
        ordinals=rows.ordinals[taken],
    )


def _find_columns(
    source: Source,
    time_column: str,
    id_column: Columns,
    target: Columns,
    covariates: Columns,
) -> tuple[object, list[object], list[object] | None, list[object]]:
    (times_name,) = source.find(time_column, "time column")
    ids = source.find(id_column, "id column")
    targets = None if target is None else source.find(target, "target")
    beside = source.find(covariates, "covariate")
    every = [times_name, *ids, *(targets or []), *beside]
    if targets == [] or len(set(every)) < len(every):
        also = f", the covariates {beside}" * bool(beside)
        raise InputError(
            f"Got the time column {times_name!r}, the id columns {ids}{also} and the "
            f"targets {targets}; expected at least one target, and no column twice."
        )
    return times_name, ids, targets, beside


def _number_series(
    source: Source, ids: list[object]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the number of the series of each row, and the ids of each series."""
    keys = pd.DataFrame({name: source.texts(name) for name in ids})
    if not ids:
        return np.zeros(len(source.frame), dtype=int), keys
    series = keys.groupby(ids, sort=True).ngroup().to_numpy()
    return series, keys.iloc[np.unique(series, return_index=True)[1]]


def _report(
    report: Callable[[str], None], rows: Rows, found: dict[str, Sequence[object]]
) -> None:
    """Report the number of rows, their times, and what else was found."""
    n_series = len(np.unique(rows.series))
    several = f" of {n_series} series" if rows.names != [""] else ""
    span = f"{rows.time(rows.ordinals.min())} to {rows.time(rows.ordinals.max())}"
    what = rows.frequency
    if rows.alias is None:
        date_format = integer_format(rows.times.astype(str))
        hint = f" (if these are dates, give `--date-format {date_format}`)"
        what = f"row numbers{hint * bool(date_format)}"
    n_rows = _count(len(rows.times), "row")
    report(f"{rows.source.name}: {n_rows}{several}, {span}, {what}")
    for what, items in found.items():
        if len(items):
            report(f"  {what}: {listed(items)}")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n > 1)}"


def _set_index(
    y: pd.DataFrame,
    index: pd.Index,
    series: np.ndarray,
    keys: pd.DataFrame,
    times_name: object,
) -> pd.DataFrame:
    if not keys.empty:
        ids = [keys[name].to_numpy(dtype="object")[series] for name in keys]
        names = [*keys.columns, times_name]
        of_rows = pd.MultiIndex.from_arrays([*ids, index], names=names)
        if isinstance(index, pd.DatetimeIndex):
            # pandas would lose that they are business days, which five in a row hide
            days = pd.date_range(index.min(), index.max(), freq="B", unit=index.unit)
            of_rows = of_rows.set_levels(days, level=-1, verify_integrity=False)
            of_rows = of_rows.set_codes(days.get_indexer(index), level=-1)
        return y.set_axis(of_rows)
    if isinstance(index, pd.DatetimeIndex):
        index = pd.DatetimeIndex(index, freq="B")
    return y.set_axis(index.rename(times_name))
