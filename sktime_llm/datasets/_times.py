"""From the cells of a time column to integers, time stamps or periods."""

import re
import shlex
import warnings

import pandas as pd
from pandas.tseries.api import guess_datetime_format

from sktime_llm.datasets._frequency import has_dates
from sktime_llm.datasets._source import Source
from sktime_llm.errors import InputError

_ISO = r"\d{4}-\d\d(-\d\d([T ]\d\d.*)?)?|\d{8}T\d\d.*"
_QUARTER = r"\d{4}[ -]?Q[1-4]"
_WEEK = r"\d{4}-?W\d\d"
_SPAN = r"\d{4}-\d\d-\d\d/\d{4}-\d\d-\d\d"  # a week as pandas writes it
_OFFSET = r"^(.*[T ]\d\d.*?)\s?(Z|[+-][01]\d(?::?[0-5]\d)?)$"

# Formats that an error suggests if all cells fit; pandas guesses most others.
_INTEGER_FORMATS = {n: "%Y%m%d%H%M%S"[: n - 2] for n in (4, 6, 8, 10, 12, 14)}
_FORMATS = ["%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%y-%m-%d"]
_FORMATS += ["%b %Y", "%b-%y", "%m/%Y", "%Y-M%m"]


def read_times(
    source: Source, column: object, date_format: str | None, alias: str | None
) -> pd.Series:
    """Return integers, periods or time stamps, which are local for dates, else UTC."""
    cells = source.frame[column]
    texts = source.texts(column).str.strip()
    if isinstance(cells.dtype, pd.PeriodDtype) or cells.dtype.kind == "M":
        if date_format is not None:
            raise InputError(
                f"{source.name}: column {column!r} holds time stamps, not text. Leave "
                f"out --date-format {date_format}."
            )
        if not isinstance(cells.dtype, pd.DatetimeTZDtype):
            return cells
        local = cells.dt.tz_localize(None)
        return local if has_dates(local, alias) else cells.dt.tz_convert(None)
    plain, offsets = _split_offsets(source, column, texts)
    if date_format is not None:
        times = _read_format(plain, date_format)
        problem = f"expected a time in the date format {date_format!r}"
    elif texts.str.fullmatch(r"[+-]?\d{1,18}").all():
        if integer_format(texts) != "%Y%m%d":
            return texts.astype("int64")
        times = _parse(texts, "%Y%m%d")
    else:
        times = _read_notation(plain)
        problem = "expected a time as in other rows. Correct the cell or remove the row"
    if times is None:
        formats = _fitting_formats(texts)[:2] or ["FORMAT"]
        fitting = " or ".join(f"`--date-format {shlex.quote(f)}`" for f in formats)
        problem = f"expected ISO 8601, such as 2020-01-31. Give {fitting}"
    bad = texts.notna() if times is None else times.isna()
    if bad.any():
        position = int(bad.argmax())
        source.fail(column, position, f"got {texts[position]!r}, {problem}.")
    if offsets is None or has_dates(times, alias):
        return times
    return times - offsets


def _split_offsets(
    source: Source, column: object, texts: pd.Series
) -> tuple[pd.Series, pd.Series | None]:
    """Split '2020-01-01T09:00+01:00' into the local time and the offset from UTC."""
    parts = texts.str.extract(_OFFSET)
    known = parts[1].notna()
    if not known.any():
        return texts, None
    if not known.all():
        i = int((~known).argmax())
        problem = f"got {texts[i]!r}, expected an offset from UTC as in other rows."
        source.fail(column, i, problem)
    utc = pd.to_datetime("1970-01-01T00:00" + parts[1], format="ISO8601", utc=True)
    return parts[0], pd.Timestamp(0, tz="UTC") - utc


def _read_format(texts: pd.Series, date_format: str) -> pd.Series:
    plain = re.sub(" ?%z$", "", date_format)
    try:
        if not re.search("%[YyG]", plain):
            raise ValueError("it has no year")
        if "%z" in plain:
            raise ValueError("%z is only read at its end, after a time of day")
        return _parse(texts, plain)
    except (ValueError, re.error) as error:
        raise InputError(
            f"Got the date format {date_format!r}, expected one as strftime takes it, "
            f"such as '%d.%m.%Y %H:%M': {error}."
        ) from error


def _read_notation(texts: pd.Series) -> pd.Series | None:
    """Read texts in the notation of the first, NaT for others; None if unknown."""
    patterns = (_ISO, _QUARTER, _WEEK, _SPAN)
    pattern = next((p for p in patterns if re.fullmatch(p, texts[0])), None)
    if pattern is None:
        return None
    texts = texts.where(texts.str.fullmatch(pattern))
    if pattern == _ISO:
        return _parse(texts, "ISO8601")
    if pattern == _WEEK:
        return _parse(texts.str.replace("-", "") + "1", "%GW%V%u").dt.to_period("W")
    if pattern == _SPAN:
        ends = _parse(texts.str[11:], "%Y-%m-%d")
        weeks = ends.dt.to_period(f"W-{ends.dt.day_name()[0][:3].upper()}")
        return weeks.mask(weeks.astype(str) != texts)
    quarters = texts.str.replace(r"[ -]", "", regex=True)
    return pd.Series(pd.PeriodIndex(quarters, freq="Q"), texts.index)


def integer_format(texts: pd.Series) -> str | None:
    """Return the date format that fits integers of one length, if there is one."""
    lengths = texts.str.len()
    date_format = _INTEGER_FORMATS.get(lengths.iloc[0])
    if date_format is None or lengths.nunique() > 1:
        return None
    return None if _parse(texts, date_format).isna().any() else date_format


def _fitting_formats(texts: pd.Series) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        guesses = [
            guess_datetime_format(text, dayfirst=is_day_first)
            for text in (texts.iloc[0], texts.iloc[-1])
            for is_day_first in (False, True)
        ]
    formats = dict.fromkeys([*guesses, *_FORMATS])
    return [one for one in formats if one and _parse(texts, one).notna().all()]


def _parse(texts: pd.Series, date_format: str) -> pd.Series:
    return pd.to_datetime(texts, format=date_format, errors="coerce")
