"""From time stamps to a regular index that sktime handles."""

import numpy as np
import pandas as pd

from sktime_llm.datasets._file import TableFile
from sktime_llm.datasets._frequency import infer_frequency, period_alias
from sktime_llm.errors import InputError


def check_no_repeats(table: TableFile, stamps: pd.Series, instance: str) -> None:
    """Raise an error if a series has a time stamp twice."""
    repeated = stamps.duplicated()
    if not repeated.any():
        return
    second = int(repeated.idxmax())
    first = int((stamps == stamps[second]).idxmax())
    raise InputError(
        f"{table.name}: {table.row(second)} repeats the time stamp "
        f"{format_time(stamps[second])}{_of(instance)} from {table.row(first)}; "
        f"expected every time stamp once. Remove one of the rows, or, if the file "
        f"holds several series, name the column that tells them apart as the id column."
    )


def _of(instance: str) -> str:
    """Name a series of a panel; a single series has no name."""
    return f" of {instance!r}" if instance else ""


def choose_frequency(
    table: TableFile, instances: dict[str, pd.Series], frequency: str | None
) -> str:
    """Return the frequency that was given, or else the one of the longest instance."""
    if frequency is None:
        by_length = sorted(instances.values(), key=len, reverse=True)
        found = (infer_frequency(pd.DatetimeIndex(stamps)) for stamps in by_length)
        frequency = next((alias for alias in found if alias is not None), None)
    if frequency is None:
        first = next(iter(instances.values()))
        stamps = ", ".join(map(format_time, first.iloc[:4]))
        raise InputError(
            f"{table.name}: cannot tell the time between rows from the time stamps "
            f"{stamps}. Give the frequency, such as 'D' or 'M', or bring the data to "
            f"regular time stamps."
        )
    return period_alias(frequency)


def regular_index(
    table: TableFile, stamps: pd.Series, frequency: str | None, instance: str
) -> pd.Index:
    """Turn sorted time stamps into a regular index, or say where they are not.

    `frequency` is None for integers.
    """
    index = _to_index(stamps, frequency)
    if frequency is None:
        _check_numbers_rows(table, index, instance)
    following = _following(index)
    wrong = np.flatnonzero(index[1:] != following[:-1])
    if len(wrong):
        at = int(wrong[0])
        before, after = stamps.index[at], stamps.index[at + 1]
        every = f" (frequency {frequency!r})" if frequency else ""
        raise InputError(
            f"{table.name}: the time stamps{_of(instance)} are not regular. After "
            f"{format_time(stamps[before])} in {table.row(before)}, expected "
            f"{format_time(following[at])}{every}, got {format_time(stamps[after])} in "
            f"{table.row(after)}. Fill the gap, or bring the data to regular time "
            f"stamps."
        )
    return index


def _check_numbers_rows(table: TableFile, index: pd.Index, instance: str) -> None:
    """Refuse sorted integers that do not number rows, such as seconds since 1970."""
    steps = np.diff(index)
    if not len(steps) or steps.min() == 1:
        return
    apart = f"{steps.min()}" if steps.min() == steps.max() else f"{steps.min()} or more"
    raise InputError(
        f"{table.name}: the integers{_of(instance)} in the time column, such as "
        f"{index[0]} and {index[1]}, are {apart} apart; expected consecutive row "
        f"numbers. If they are times, such as seconds since 1970, write them as dates, "
        f"YYYY-MM-DD or YYYY-MM-DD HH:MM:SS; else number the rows."
    )


def _to_index(stamps: pd.Series, frequency: str | None) -> pd.Index:
    """Index integers as such, and dates by period, which sktime handles best.

    Seasonal forecasters of sktime fail on time stamps at the start of months, and
    panels lose the frequency of time stamps. Business days stay time stamps because
    pandas deprecates periods of them.
    """
    if frequency is None:
        return pd.Index(stamps.to_numpy(), dtype="int64")
    times = pd.DatetimeIndex(stamps, name=None)
    if frequency != "B":
        return times.to_period(frequency)
    regular = pd.date_range(times[0], periods=len(times), freq="B")
    return regular if regular.equals(times) else times


def _following(index: pd.Index) -> pd.Index:
    """Return what has to come after every entry of an index."""
    if isinstance(index, pd.DatetimeIndex):
        return index + pd.offsets.BDay()
    return index + 1


def format_time(stamp: object) -> str:
    """Write a time stamp the way it stands in a file.

    Parameters
    ----------
    stamp : object
        An entry of a time index: a period, a time stamp or an integer.

    Returns
    -------
    str
        The time without what goes without saying; a week is the day that it is named
        after, which is its last.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_llm.datasets import format_time
    >>> format_time(pd.Timestamp("2020-01-05"))
    '2020-01-05'
    >>> format_time(pd.Period("2020-01-05", freq="W-SUN"))
    '2020-01-05'
    """
    if isinstance(stamp, pd.Period) and "W-" in stamp.freqstr:
        return str(stamp.end_time.date())
    return str(stamp).removesuffix(" 00:00:00")
