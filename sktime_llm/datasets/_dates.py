"""From the cells of a time column to time stamps, in whatever notation they are."""

import re
import warnings
from collections.abc import Iterable

import pandas as pd

from sktime_llm.datasets._file import TableFile
from sktime_llm.datasets._time_index import format_time
from sktime_llm.errors import InputError

# What a reading goes by where there is only one.
ONLY = ""
_MONTH_FIRST, _DAY_FIRST, _YEAR_FIRST = "month first", "day first", "year first"

# Day, month by number or name, and year, all short enough to be in another order.
_TWO_DIGIT_YEAR = r"^(\d{1,2})([./ -]?)(\d{1,2}|[A-Za-z]{3,})([./ -]?)(\d{2})(?!\d)"

# pandas 3 reads '01/19' as a month of the year 1.
_FIRST_YEAR = 1000

_WAYS_OUT = (
    "the date format (date_format, --date-format), such as '%d/%m/%Y', or write the "
    "dates as YYYY-MM-DD"
)


def read_times(
    table: TableFile, column: str, frequency: str | None, date_format: str | None
) -> dict[str, pd.Series]:
    """Read time stamps as naive datetimes, or as integers where they are integers.

    There are several readings, by the notation, where all stamps can be read with the
    month, the day or a year of two digits first in more than one way, and these differ;
    otherwise there is one, `ONLY`.
    """
    raw = table.frame[column]
    texts = table.texts(column)
    is_period = isinstance(raw.dtype, pd.PeriodDtype)
    if is_period or isinstance(raw.dtype, pd.DatetimeTZDtype) or raw.dtype.kind == "M":
        if date_format is not None:
            raise InputError(
                f"{table.name}: column {column!r} holds time stamps, no text, but got "
                f"the date format {date_format!r}. Leave the date format out."
            )
        times = raw.dt.to_timestamp() if is_period else pd.to_datetime(raw, utc=True)
        readings = {ONLY: times}
    elif date_format is not None:
        readings = {ONLY: _parse_format(table, column, texts, date_format)}
    elif texts.str.fullmatch(r"[+-]?\d+").all():
        return {ONLY: _read_integers(table, column, texts, frequency)}
    else:
        readings = _parse_dates(texts)
    for times in readings.values():
        _check_all_read(table, column, times)
    return {name: times.dt.tz_localize(None) for name, times in readings.items()}


def _check_all_read(table: TableFile, column: str, times: pd.Series) -> None:
    bad = times.isna() | (times.dt.year < _FIRST_YEAR)
    if not bad.any():
        return
    position = int(bad.idxmax())
    texts = table.texts(column)
    table.fail(
        column,
        position,
        f"cannot read {texts[position]!r} as a time stamp in the notation of "
        f"{texts[0]!r} in {table.row(0)}. Write dates as YYYY-MM-DD or "
        f"YYYY-MM-DD HH:MM:SS, or give the date format (date_format, --date-format), "
        f"such as '%d.%m.%Y'.",
    )


def _parse_format(
    table: TableFile, column: str, texts: pd.Series, date_format: str
) -> pd.Series:
    expected = "expected a format as strftime takes it, such as '%d.%m.%Y %H:%M'"
    if "%" not in date_format:
        raise InputError(f"Got the date format {date_format!r}; {expected}.")
    try:
        times = pd.to_datetime(texts, format=date_format, errors="coerce", utc=True)
    except (ValueError, re.error) as error:
        raise InputError(
            f"Got the date format {date_format!r}; {expected}: {error}."
        ) from error
    bad = times.isna()
    if bad.any():
        position = int(bad.idxmax())
        table.fail(
            column,
            position,
            f"got {texts[position]!r}, expected a time stamp in the date format "
            f"{date_format!r}. Correct the cell or the date format.",
        )
    return times


def _parse_dates(texts: pd.Series) -> dict[str, pd.Series]:
    quarters = texts.str.extract(r"^(\d{4})[ -]?Q([1-4])$")
    if quarters.notna().all(axis=None):
        months = (quarters[1].astype(int) * 3 - 2).map("{:02d}".format)
        texts = quarters[0] + "-" + months
    iso = _guess(texts, format="ISO8601")
    if iso.notna().all():
        return {ONLY: iso}
    if texts.str.match(r"\d{4}").any():
        # Where the year comes first, pandas would take the month for the day.
        return {ONLY: _most_complete([iso, _guess(texts)])}
    # With years of two digits, pandas puts the day first in some cells only.
    parts = texts.str.extract(r"^(\d{1,2})[./ -](\d{1,2})[./ -]").astype("float")
    readings = {
        _MONTH_FIRST: _guess(texts).mask(parts[0] > 12),
        _DAY_FIRST: _guess(texts, dayfirst=True).mask(parts[1] > 12),
    }
    # The other readings of '19-01-02' have the year last: a year later than '19-01-01'.
    swapped = texts.str.replace(_TWO_DIGIT_YEAR, r"\5\2\3\4\1", regex=True)
    if (swapped != texts).any():
        readings[_YEAR_FIRST] = _guess(swapped, dayfirst=True).mask(parts[1] > 12)
    different = _different(readings)
    if len(different) > 1:
        return different
    return {ONLY: _most_complete([iso, *readings.values()])}


def _different(readings: dict[str, pd.Series]) -> dict[str, pd.Series]:
    """Keep the complete readings, and of those that agree the last."""
    kept: dict[str, pd.Series] = {}
    for notation, times in readings.items():
        kept = {key: other for key, other in kept.items() if not times.equals(other)}
        if times.notna().all():
            kept[notation] = times
    return kept


def _guess(texts: pd.Series, **notation: str | bool) -> pd.Series:
    with warnings.catch_warnings():
        # pandas warns of the guesses that are made here on purpose.
        warnings.simplefilter("ignore", UserWarning)
        return pd.to_datetime(texts, errors="coerce", utc=True, **notation)


def _most_complete(readings: list[pd.Series]) -> pd.Series:
    return min(readings, key=lambda times: times.isna().sum())


def _read_integers(
    table: TableFile, column: str, texts: pd.Series, frequency: str | None
) -> pd.Series:
    """Read integers as such, as dates written 20200131, or as years."""
    length = texts.str.len()
    if (length == 8).all():
        dates = pd.to_datetime(texts, format="%Y%m%d", errors="coerce")
        if dates.notna().all():
            return dates
    if frequency is None:
        return texts.astype("int64")
    if (length == 4).all():
        return pd.to_datetime(texts, format="%Y")
    raise InputError(
        f"{table.name}: column {column!r} holds integers such as {texts[0]!r}, but the "
        f"frequency {frequency!r} says that they are dates. Leave the frequency out, "
        f"or write the dates as YYYY-MM-DD."
    )


def check_one_regular(
    table: TableFile,
    column: str,
    readings: dict[str, pd.Series],
    errors: dict[str, InputError],
) -> None:
    """Raise an error unless just one of the readings gives regular time stamps.

    `errors` holds what is wrong with those that do not.
    """
    if len(readings) - len(errors) > 1:
        stamps = table.texts(column).drop_duplicates().iloc[:2]
        ways = (
            f"{notation} as {_listed(map(format_time, times[stamps.index]))}"
            for notation, times in readings.items()
        )
        raise InputError(
            f"{table.name}: the time stamps in column {column!r}, such as "
            f"{_listed(map(repr, stamps))}, can be read {' or '.join(ways)}, and are "
            f"regular either way. Say which is right with {_WAYS_OUT}."
        )
    if len(errors) < len(readings):
        return
    notation, error = next(iter(errors.items()))
    # What does not differ has nothing to do with the notation.
    if len(set(map(str, errors.values()))) == 1:
        raise error
    times, other, *_ = readings.values()
    position = int((times != other).idxmax())
    others = [f"the {key.partition(' ')[0]}" for key in readings if key != notation]
    raise InputError(
        f"{error} The dates were read {notation}, such as "
        f"{table.texts(column)[position]!r} in {table.row(position)} as "
        f"{format_time(times[position])}. If {' or '.join(others)} comes first, give "
        f"{_WAYS_OUT}."
    ) from error


def _listed(words: Iterable[object]) -> str:
    return " and ".join(map(str, words))
