"""Series with a regular time index, made of rows in any order."""

from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import pandas as pd

from sktime_llm._frequency import advice_on_clocks
from sktime_llm.datasets._cells import integer_format
from sktime_llm.datasets._frequency import (
    find_alias,
    format_time,
    from_ordinals,
    step_of,
    to_ordinals,
    with_weekday,
)
from sktime_llm.datasets._source import Source
from sktime_llm.errors import InputError

FILLS = ("interpolate", "ffill")

# A gap this many times as long as all rows of the file is a mistyped time, not one of
# sparse data: 2042 in place of 2024 in a year of days, but no outage of months.
_MAX_GAP = 10


@dataclass(frozen=True)
class Rows:
    """Rows of a table, sorted by series and time.

    The index of `times` gives positions in the file, `series` positions in `names`.
    Ordinals are the numbers of periods of the frequency `alias`, None for integers.
    """

    source: Source
    times: pd.Series
    series: np.ndarray
    names: list[str]
    ordinals: np.ndarray
    alias: str | None
    is_inferred: bool = False

    @property
    def frequency(self) -> str:
        """The frequency in words."""
        return f"frequency {self.alias}{', inferred' * self.is_inferred}"

    def distances(self) -> np.ndarray:
        """Return the steps from row to row, 1 between series."""
        steps = np.diff(self.ordinals) / step_of(self.alias)
        return np.where(self.series[1:] == self.series[:-1], steps, 1)

    def time(self, ordinal: int) -> str:
        """Format the time that has a number."""
        return format_time(from_ordinals(np.array([ordinal]), self.alias)[0])

    def fail(
        self, i: int, problem: str, advice: str, verb: str = "follows"
    ) -> NoReturn:
        """Raise an error about a row and the one before."""
        before, after = map(format_time, self.times.iloc[i - 1 : i + 1])
        above, row = map(self.source.row, self.times.index[i - 1 : i + 1])
        name = self.names[self.series[i]]
        of = f" of {name!r}" * bool(name)
        raise InputError(
            f"{self.source.name}, {row}: {after}{of} {verb} {before} ({above})"
            f"{problem}. {advice}."
        )


def sort_rows(
    source: Source,
    times: pd.Series,
    series: np.ndarray,
    names: list[str],
    alias: str | None,
) -> Rows:
    """Sort rows by series and time, and number their periods."""
    if alias is not None and times.dtype.kind != "i":
        alias = with_weekday(alias, times)
    if isinstance(times.dtype, pd.PeriodDtype):
        if alias is None:
            alias = times.array.freqstr
        times = times.dt.to_timestamp()
    order = np.lexsort((times.to_numpy(), series))
    times, series = times.iloc[order], series[order]
    rows = Rows(source, times, series, names, times.to_numpy().astype("int64"), None)
    _check_distinct(rows)
    if times.dtype.kind == "i":
        _check_row_numbers(rows, alias)
        return rows
    found = alias or find_alias(source, times, series)
    is_weekend = times.dt.dayofweek > 4
    if found == "B" and is_weekend.any():
        row = is_weekend.idxmax()
        raise InputError(
            f"{source.name}, {source.row(row)}: {format_time(times[row])} is not a "
            f"business day (frequency B). Remove the row, or give another --frequency."
        )
    ordinals = to_ordinals(times, found)
    rows = replace(rows, ordinals=ordinals, alias=found, is_inferred=alias is None)
    _check_distinct(rows)
    return rows


def _check_distinct(rows: Rows) -> None:
    repeated = rows.distances() == 0
    if repeated.any():
        i = int(repeated.argmax()) + 1
        period = f" in the same period ({rows.frequency})" * bool(rows.alias)
        advice = "Remove one of the rows, or tell several series apart with --id-column"
        if rows.alias is None:
            advice += advice_on_clocks(pd.Index(rows.times))
        rows.fail(
            i,
            f"{period}, expected one row for each time",
            advice,
            verb="follows" if rows.alias else "repeats",
        )


def _check_row_numbers(rows: Rows, alias: str | None) -> None:
    form = integer_format(rows.times.astype(str))
    advice = "Write times, such as seconds since 1970, as YYYY-MM-DD HH:MM:SS"
    if form is not None:
        advice = f"If these are dates, give `--date-format {form}`"
    if alias is not None:
        raise InputError(
            f"{rows.source.name}: got the frequency {alias!r} for integers such as "
            f"{rows.times.iloc[0]}, expected dates. {advice}."
        )
    distances = rows.distances()
    if (distances > 1).any() and (form is not None or distances.min() > 1):
        i = int(distances.argmax()) + 1
        rows.fail(i, ", expected consecutive row numbers", advice)


def lay_out(
    rows: Rows, values: pd.DataFrame, missing: str
) -> tuple[pd.Index, np.ndarray, pd.DataFrame]:
    """Return times, series numbers and values of all periods, NaN where missing.

    Missing rows are an error unless `missing` allows them.
    """
    distances, step = rows.distances(), step_of(rows.alias)
    gaps = distances != 1
    if gaps.any() and (missing in ("error", "values") or (distances % 1).any()):
        i = int(gaps.argmax()) + 1
        expected = rows.time(rows.ordinals[i - 1] + step)
        if rows.alias is not None:
            expected += f" ({rows.frequency})"
        advice = "Add the missing rows, or give --missing keep, interpolate or ffill"
        rows.fail(i, f", expected {expected}", f"{advice}, or another --frequency")
    _check_gaps(distances, rows)
    places = np.cumsum(np.r_[0, distances.astype(int)])
    table = np.full((places[-1] + 1, values.shape[1]), np.nan)
    table[places] = values.to_numpy()[rows.times.index]
    # Missing rows continue the row before them.
    before = np.searchsorted(places, np.arange(len(table)), side="right") - 1
    ordinals = rows.ordinals[before] + step * (np.arange(len(table)) - places[before])
    complete = pd.DataFrame(table, columns=values.columns)
    return from_ordinals(ordinals, rows.alias), rows.series[before], complete


def _check_gaps(distances: np.ndarray, rows: Rows) -> None:
    n_rows, n_missing = len(rows.times), int(distances.max(initial=1)) - 1
    if n_missing > _MAX_GAP * n_rows:
        problem = f", {n_missing} rows missing between them, beside {n_rows} in all"
        advice = "Correct the time, or if it is right, add rows without values between"
        if rows.alias is not None:
            advice += ", or give a coarser --frequency"
        rows.fail(int(distances.argmax()) + 1, problem, advice)


def check_no_missing_value(rows: Rows, values: pd.DataFrame) -> None:
    """Raise if one of the rows lacks a value."""
    found = np.argwhere(values.loc[rows.times.index].isna().to_numpy())
    if len(found):
        position, name = rows.times.index[found[0, 0]], values.columns[found[0, 1]]
        problem = (
            f"missing value ({str(rows.source.frame[name].iloc[position])!r}). Fill it "
            f"in, give --missing interpolate or ffill, or --missing keep for methods "
            f"that take missing values."
        )
        rows.source.fail(name, position, problem)


def fill(
    rows: Rows, index: pd.Index, series: np.ndarray, values: pd.DataFrame, how: str
) -> pd.DataFrame:
    """Fill NaN from values of the same series.

    Raise an error where there is none, up to the last one of `rows` in each series.
    """
    groups = values.groupby(series)
    filled = groups.ffill()
    if how == "interpolate":
        is_inside = filled.notna() & groups.bfill().notna()
        filled = values.interpolate().where(is_inside)
    lengths = np.bincount(rows.series, np.r_[1, rows.distances()])
    is_known = (groups.cumcount() < lengths[series]).to_numpy()
    left = np.argwhere(filled.isna().to_numpy() & is_known[:, None])
    if len(left):
        i, j = left[0]
        name = rows.names[series[i]]
        raise InputError(
            f"{rows.source.name}, column {values.columns[j]!r}: --missing {how} finds "
            f"no value from which to fill {format_time(index[i])}"
            f"{f' in {name!r}' * bool(name)}. Remove the rows at the start or end of "
            f"the series that have no value, or give --missing keep."
        )
    return filled
