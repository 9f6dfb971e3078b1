"""A person's own table, read into the formats that sktime forecasts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sktime_llm.datasets._dates import check_one_regular, read_times
from sktime_llm.datasets._file import TableFile
from sktime_llm.datasets._places import warn_of_odd_stamps
from sktime_llm.datasets._time_index import (
    check_no_repeats,
    choose_frequency,
    regular_index,
)
from sktime_llm.errors import InputError

# The sorted time stamps of every series, and a regular index of them.
_Indexed = tuple[dict[str, pd.Series], dict[str, pd.Index]]


def read_table(
    path: str | Path,
    *,
    time_column: str,
    target: str | Sequence[str] | None = None,
    id_column: str | None = None,
    frequency: str | None = None,
    date_format: str | None = None,
) -> pd.Series | pd.DataFrame:
    r"""Read a CSV or Parquet file into a format that sktime forecasts.

    The file is wide (one row per time stamp, one column per variate) or long (one row
    per series and time stamp, `id_column` names the series). Rows may come in any
    order. Nothing is filled in or left out: a file with gaps, repeated time stamps or
    missing values is an error that says where.

    Parameters
    ----------
    path : str or Path
        File with the suffix ``.csv`` (separated by commas, with a header line) or
        ``.parquet``.
    time_column : str
        Column with the time stamps: dates, quarters such as ``2020Q1``, or consecutive
        integers. Write dates as ``YYYY-MM-DD``, or give `date_format`. Where all stamps
        can be read in several ways, with the month, the day or a year of two digits
        first, the way is taken that gives regular time stamps; it is an error if
        several do. Times with an offset from UTC are converted to UTC.
    target : str or sequence of str, optional
        Columns to forecast. Default: all columns that mostly hold numbers, apart from
        `time_column` and `id_column`.
    id_column : str, optional
        Column that names the series a row belongs to. Default: one series.
    frequency : str, optional
        Time between rows as a pandas alias, such as ``"D"``, ``"M"`` or ``"15min"``.
        Default: found from the time stamps.
    date_format : str, optional
        Notation of the time stamps as strftime takes it, such as ``"%d.%m.%Y"``.
        Default: found from the time stamps.

    Returns
    -------
    pandas.Series or pandas.DataFrame
        A Series for one target, a DataFrame for several, and with `id_column` a
        DataFrame with index levels (`id_column`, `time_column`). Time is a
        ``PeriodIndex``, an integer index if the time stamps are integers, and a
        ``DatetimeIndex`` for business days. Values are float64.

    Raises
    ------
    InputError
        If the file or one of its columns, time stamps or values cannot be used.
    ImportError
        If the file is Parquet and no package is installed that reads it.

    Warns
    -----
    OddTimeStampWarning
        If time stamps are at another place of their periods than the others, such as a
        17th among first days of months. In months, quarters and years, alike are the
        same day of a month, its last day, and its first or last business day, for which
        any weekday of the first or last ten days is taken. In days and weeks, two hours
        make no difference, as clocks may have been changed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sktime_llm.datasets import read_table
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sales.csv"
    ...     rows = ["date,sales", "2020-01-01,3", "2020-02-01,5", "2020-03-01,4"]
    ...     _ = path.write_text("\n".join(rows))
    ...     y = read_table(path, time_column="date")
    >>> y
    date
    2020-01    3.0
    2020-02    5.0
    2020-03    4.0
    Freq: M, Name: sales, dtype: float64
    """
    table = TableFile.open(Path(path))
    table.require(time_column, "time column")
    if id_column is not None:
        table.require(id_column, "id column")
    targets = _choose_targets(table, target, taken=[time_column, id_column])

    ids = None if id_column is None else table.texts(id_column)
    readings = read_times(table, time_column, frequency, date_format)
    values = pd.DataFrame({name: _read_numbers(table, name) for name in targets})
    instances, indices = _index_readings(table, time_column, readings, ids, frequency)
    warn_of_odd_stamps(
        table, instances, indices, is_frequency_given=frequency is not None
    )
    values = values.loc[np.concatenate([stamps.index for stamps in instances.values()])]
    if id_column is not None:
        values.index = _panel_index(indices, names=[id_column, time_column])
        return values
    values.index = indices[""].rename(time_column)
    return values[targets[0]] if len(targets) == 1 else values


def _choose_targets(
    table: TableFile, target: str | Sequence[str] | None, taken: list[str | None]
) -> list[str]:
    if target is None:
        others = [name for name in table.frame.columns if name not in taken]
        targets = [name for name in others if _is_mostly_numbers(table.frame[name])]
        if not targets:
            raise InputError(
                f"{table.name} has no numeric column to forecast; besides the time and "
                f"id columns it has {', '.join(map(repr, others)) or 'none'}."
            )
        return targets
    targets = [target] if isinstance(target, str) else list(target)
    if not targets:
        raise InputError("Got no target column; expected at least one, or None.")
    for name in targets:
        table.require(name, "target")
        if name in taken or targets.count(name) > 1:
            raise InputError(
                f"Column {name!r} was given twice; expected the time column, the id "
                f"column and the targets to be different columns."
            )
    return targets


def _is_mostly_numbers(cells: pd.Series) -> bool:
    filled = cells.dropna()
    if not _may_hold_numbers(cells) or filled.empty:
        return False
    return bool(pd.to_numeric(filled, errors="coerce").notna().mean() > 0.5)


def _may_hold_numbers(cells: pd.Series) -> bool:
    """Tell times and truth values, which pandas would turn into numbers, apart."""
    is_type = pd.api.types
    if is_type.is_bool_dtype(cells):
        return False
    is_text = is_type.is_object_dtype(cells) or is_type.is_string_dtype(cells)
    return bool(is_text or is_type.is_numeric_dtype(cells))


def _read_numbers(table: TableFile, column: str) -> pd.Series:
    texts = table.texts(column)
    cells = table.frame[column]
    if not _may_hold_numbers(cells):
        cells = pd.Series(np.nan, index=cells.index)
    numbers = pd.to_numeric(cells, errors="coerce").astype("float64")
    bad = ~np.isfinite(numbers)
    if bad.any():
        position = int(bad.idxmax())
        table.fail(
            column,
            position,
            f"got {texts[position]!r}, expected a finite number. Correct the value, or "
            f"leave the column out of the targets.",
        )
    return numbers


def _index_readings(
    table: TableFile,
    column: str,
    readings: dict[str, pd.Series],
    ids: pd.Series | None,
    frequency: str | None,
) -> _Indexed:
    """Sort and index the time stamps by the one reading that makes them regular."""
    outcomes = {
        notation: _try_to_index(table, times, ids, frequency)
        for notation, times in readings.items()
    }
    errors = {key: one for key, one in outcomes.items() if isinstance(one, InputError)}
    check_one_regular(table, column, readings, errors)
    return next(one for one in outcomes.values() if not isinstance(one, InputError))


def _try_to_index(
    table: TableFile, times: pd.Series, ids: pd.Series | None, frequency: str | None
) -> _Indexed | InputError:
    try:
        return _index_instances(table, times, ids, frequency)
    except InputError as error:
        return error


def _index_instances(
    table: TableFile, times: pd.Series, ids: pd.Series | None, frequency: str | None
) -> _Indexed:
    """Return the sorted time stamps of every series, and a regular index of them."""
    instances = _split_instances(times, ids)
    for instance, stamps in instances.items():
        check_no_repeats(table, stamps, instance)
    if times.dtype.kind == "M":
        frequency = choose_frequency(table, instances, frequency)
    indices = {
        instance: regular_index(table, stamps, frequency, instance)
        for instance, stamps in instances.items()
    }
    return instances, indices


def _split_instances(times: pd.Series, ids: pd.Series | None) -> dict[str, pd.Series]:
    """Sort the time stamps of every series; a single one goes by the empty name."""
    if ids is None:
        return {"": times.sort_values(kind="stable")}
    return {
        instance: times[rows].sort_values(kind="stable")
        for instance, rows in ids.groupby(ids).groups.items()
    }


def _panel_index(indices: dict[str, pd.Index], names: list[str]) -> pd.MultiIndex:
    times = list(indices.values())
    ids = np.repeat(np.array(list(indices), dtype="object"), [len(t) for t in times])
    joined = times[0].append(times[1:]) if len(times) > 1 else times[0]
    return pd.MultiIndex.from_arrays([ids, joined], names=names)
