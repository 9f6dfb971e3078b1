"""Numbers and times in the cells of a table."""

import re
import shlex
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from sktime_llm._warn import warn
from sktime_llm.datasets._frequency import has_dates
from sktime_llm.datasets._source import Source
from sktime_llm.errors import AmbiguousNumbersWarning, InputError

_MISSING = ("", "-", "na", "nan", "n/a", "#n/a", "<na>", "none", "null", "nat")

# Decimal and thousands separators that are suggested if all cells fit them.
_NOTATIONS = ((".", ","), (",", None), (",", "."), (",", " "), (".", " "), (".", "'"))

_ISO = r"\d{4}-\d\d(-\d\d([T ]\d\d.*)?)?|\d{8}T\d\d.*"
_QUARTER = r"\d{4}[ -]?Q[1-4]"
_WEEK = r"\d{4}-?W\d\d"
_SPAN = r"\d{4}-\d\d-\d\d/\d{4}-\d\d-\d\d"  # a week as pandas writes it
_PATTERNS = (_ISO, _QUARTER, _WEEK, _SPAN)
_FIRST_YEAR, _LAST_YEAR = "1678", "2261"  # of time stamps in nanoseconds
_OFFSET = r"^(.*[T ]\d\d.*?)\s?(Z|[+-][01]\d(?::?[0-5]\d)?)$"

# Formats that an error suggests if all cells fit; pandas guesses most others.
_INTEGER_FORMATS = {n: "%Y%m%d%H%M%S"[: n - 2] for n in (4, 6, 8, 10, 12, 14)}
_FORMATS = ["%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%y-%m-%d"]
_FORMATS += ["%b %Y", "%b-%y", "%m/%Y", "%Y-M%m"]


def read_targets(
    source: Source,
    target: Sequence[object] | None,
    taken: Sequence[object],
    decimal: str,
    thousands: str | None,
) -> tuple[pd.DataFrame, dict[object, str]]:
    """Return the targets as numbers, NaN where missing, and why others are left out.

    Without `target`, each column that mostly holds numbers is a target.
    """
    others = [name for name in source.frame.columns if name not in taken]
    left_out, columns = {}, {}
    for name in target or others:
        cells = source.frame[name]
        numbers, bad = _parse_numbers(cells, decimal, thousands)
        position = int(bad.argmax())
        found = repr(str(cells.iloc[position]))
        if target is None and name in source.unnamed:
            left_out[name] = "has no name"
        elif target is None and bad.sum() >= max(numbers.notna().sum(), 1):
            reason = f"{source.row(position)}: {found} is not a number"
            left_out[name] = "; ".join(filter(None, [reason, _fitting_options(cells)]))
        elif target is None and numbers.isna().all():
            left_out[name] = "holds no values"
        else:
            _check_numbers(source, name, bad, "--target")
            columns[name] = numbers
            if (decimal, thousands) == (".", None):
                _warn_of_thousands(source, name, numbers)
    if target is not None:
        left_out = {name: "not a target" for name in others if name not in target}
    if not columns:
        reasons = ", ".join(f"{name} ({why})" for name, why in left_out.items())
        raise InputError(
            f"{source.name} has no column of numbers to forecast. Left out: "
            f"{reasons or 'none'}."
        )
    return pd.DataFrame(columns), left_out


def read_covariates(
    source: Source, covariates: Sequence[object], decimal: str, thousands: str | None
) -> pd.DataFrame:
    """Return the covariates as numbers, 1 and 0 for true and false, NaN if missing."""
    columns = {}
    for name in covariates:
        cells = source.frame[name]
        texts = cells.astype("object").map(str).str.strip().str.lower()
        truths = texts.map({"true": 1.0, "false": 0.0})
        if truths.notna().any() and (truths.notna() | texts.isin(_MISSING)).all():
            columns[name] = truths
            continue
        numbers, bad = _parse_numbers(cells, decimal, thousands)
        _check_numbers(source, name, bad, "--covariates")
        columns[name] = numbers
        if (decimal, thousands) == (".", None):
            _warn_of_thousands(source, name, numbers)
    return pd.DataFrame(columns, index=source.frame.index)


def _check_numbers(source: Source, name: object, bad: pd.Series, option: str) -> None:
    """Raise if cells hold no finite numbers."""
    if not bad.any():
        return
    position, cells = int(bad.argmax()), source.frame[name]
    advice = f"Write it as 1234.5, or leave the column out with {option}"
    if options := _fitting_options(cells):
        advice = f"Give {options}"
    found = repr(str(cells.iloc[position]))
    source.fail(name, position, f"got {found}, expected a finite number. {advice}.")


def _parse_numbers(
    cells: pd.Series, decimal: str, thousands: str | None
) -> tuple[pd.Series, pd.Series]:
    """Return numbers, NaN where there is none, and which cells hold something else."""
    is_type = pd.api.types
    if is_type.is_numeric_dtype(cells) and not is_type.is_bool_dtype(cells):
        numbers = cells.astype("float64")
        return numbers, np.isinf(numbers)
    if not (is_type.is_object_dtype(cells) or is_type.is_string_dtype(cells)):
        return pd.Series(np.nan, cells.index), cells.notna()
    if decimal == thousands:
        raise InputError(f"Got {decimal!r} as both decimal and thousands separator.")
    texts = cells.astype("object").map(str).str.strip()
    missing = texts.str.lower().isin(_MISSING)
    # Only the given separators count: with a decimal comma, '1.5' is not a number.
    marks: dict[str, str | None] = {".": "?"}
    if thousands is not None:
        marks[thousands] = None
        is_grouped = texts.str.contains(thousands, regex=False)
        fits = texts.str.fullmatch(_grouped(decimal, thousands))
        texts = texts.mask(is_grouped & ~fits, "?")
    plain = texts.str.translate(str.maketrans({**marks, decimal: "."}))
    numbers = pd.to_numeric(plain.mask(missing), errors="coerce").astype("float64")
    bad = ~missing & ~np.isfinite(numbers)
    return numbers.mask(bad), bad


def _warn_of_thousands(source: Source, name: object, numbers: pd.Series) -> None:
    """Warn where '1.000' may be a thousand, since '990' beside it has no decimals.

    If all have three decimals, or some have fewer, the dot is a decimal point.
    """
    cells = source.frame[name]
    if pd.api.types.is_numeric_dtype(cells):
        return
    texts = cells.astype("object").map(str).str.strip()
    grouped = texts.str.fullmatch(_grouped(",", "."))
    if not grouped.any():
        return
    plain = texts.str.fullmatch(r"[+-]?\d{1,3}")
    if plain.any() and (grouped | plain | numbers.isna()).all():
        i, beside = int(grouped.argmax()), texts[plain].iloc[0]
        warn(
            f"{source.name}, {source.row(i)}, column {name!r}: {texts.iloc[i]!r} is "
            f"read as {numbers.iloc[i]:g}, but there is {beside!r} without decimals, "
            "too. If the dots separate thousands, give `--decimal , --thousands .`.",
            AmbiguousNumbersWarning,
        )


def _grouped(decimal: str, thousands: str) -> str:
    """Return the pattern of numbers such as 1,234,567.8, or 12,34,567.8 as in India."""
    mark, point = re.escape(thousands), re.escape(decimal)
    by_three = rf"[1-9]\d{{0,2}}({mark}\d{{3}})+"
    by_two = rf"[1-9]\d?({mark}\d\d)+{mark}\d{{3}}"
    return rf"[+-]?({by_three}|{by_two})({point}\d*)?"


def _fitting_options(cells: pd.Series) -> str:
    """Return options with which all cells are numbers, the first two, or nothing."""
    fitting = []
    texts = cells.map(str)
    for decimal, thousands in _NOTATIONS:
        is_used = thousands is None or texts.str.contains(thousands, regex=False).any()
        if is_used and not _parse_numbers(cells, decimal, thousands)[1].any():
            options = [] if decimal == "." else [f"--decimal {decimal}"]
            options += [f"--thousands {shlex.quote(thousands)}"] if thousands else []
            fitting.append(f"`{' '.join(options)}`")
    return " or ".join(fitting[:2])


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
    fits = date_format is not None and _read_format(texts, date_format).notna().all()
    plain, offsets = (texts, None) if fits else _split_offsets(source, column, texts)
    if date_format is not None:
        times = _read_format(plain, date_format)
        problem = f"expected a time in the date format {date_format!r}"
    elif texts.str.fullmatch(r"[+-]?\d{1,18}").all():
        if integer_format(texts) != "%Y%m%d":
            return texts.astype("int64")
        times = _parse_times(texts, "%Y%m%d")
    else:
        _check_years(source, column, texts)
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


def _check_years(source: Source, column: object, texts: pd.Series) -> None:
    far = texts.str.fullmatch("|".join(_PATTERNS))
    far &= ~texts.str[:4].between(_FIRST_YEAR, _LAST_YEAR)
    if far.any():
        position = int(far.argmax())
        problem = (
            f"got {texts[position]!r}, expected a year from {_FIRST_YEAR} to "
            f"{_LAST_YEAR}. Correct the cell, or number the rows instead."
        )
        source.fail(column, position, problem)


def _read_format(texts: pd.Series, date_format: str) -> pd.Series:
    plain = re.sub(" ?%z$", "", date_format)
    try:
        if not re.search("%[YyG]", plain):
            raise ValueError("it has no year")
        if "%z" in plain:
            raise ValueError("%z is only read at its end, after a time of day")
        return _parse_times(texts, plain)
    except (ValueError, re.error) as error:
        raise InputError(
            f"Got the date format {date_format!r}, expected one as strftime takes it, "
            f"such as '%d.%m.%Y %H:%M': {error}."
        ) from error


def _read_notation(texts: pd.Series) -> pd.Series | None:
    """Read texts in the notation of the first, NaT for others; None if unknown."""
    pattern = next((p for p in _PATTERNS if re.fullmatch(p, texts[0])), None)
    if pattern is None:
        return None
    texts = texts.where(texts.str.fullmatch(pattern))
    if pattern == _ISO:
        return _parse_times(texts, "ISO8601")
    if pattern == _WEEK:
        texts = texts.str.replace("-", "")
        days = _parse_times(texts + "1", "%GW%V%u")  # week 53 of a year without is next
        return days.mask(days.dt.strftime("%GW%V") != texts).dt.to_period("W")
    if pattern == _SPAN:
        ends = _parse_times(texts.str[11:], "%Y-%m-%d")
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
    return None if _parse_times(texts, date_format).isna().any() else date_format


def _fitting_formats(texts: pd.Series) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        guesses = [
            guess_datetime_format(text, dayfirst=is_day_first)
            for text in (texts.iloc[0], texts.iloc[-1])
            for is_day_first in (False, True)
        ]
    formats = dict.fromkeys([*guesses, *_FORMATS])
    return [one for one in formats if one and _parse_times(texts, one).notna().all()]


def _parse_times(texts: pd.Series, date_format: str) -> pd.Series:
    return pd.to_datetime(texts, format=date_format, errors="coerce")
