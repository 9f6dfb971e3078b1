"""Time stamps that are elsewhere in their periods than the others of their series."""

import warnings

import numpy as np
import pandas as pd

from sktime_llm.datasets._file import TableFile
from sktime_llm.datasets._time_index import format_time
from sktime_llm.errors import OddTimeStampWarning

_CALENDAR = (pd.offsets.MonthEnd, pd.offsets.QuarterEnd, pd.offsets.YearEnd)

# Weekends and holidays, such as a week in October in China, are before the first
# business day of a month or after the last.
_DAYS_TO_BUSINESS = 10

# Midnights where clocks are changed are at different hours of UTC.
_CLOCK_CHANGE = pd.Timedelta(hours=2)
_ALMOST_A_DAY = pd.Timedelta(hours=23)


def warn_of_odd_stamps(
    table: TableFile,
    instances: dict[str, pd.Series],
    indices: dict[str, pd.Index],
    *,
    is_frequency_given: bool,
) -> None:
    """Warn of time stamps at another place of their periods than most of a series.

    Nothing is said of a series of which no half agrees if the user gave the frequency,
    and thereby said that the days do not matter.
    """
    found = []
    for instance, stamps in instances.items():
        index = indices[instance]
        if not isinstance(index, pd.PeriodIndex):
            return
        odd = _find_odd(pd.DatetimeIndex(stamps), index)
        if not is_frequency_given or 2 * odd.sum() < len(odd):
            rows = np.flatnonzero(odd)
            found += [(stamps.index[i], stamps.iloc[i], index[i]) for i in rows]
    if not found:
        return
    position, stamp, period = min(found)
    n_stamps = sum(map(len, instances.values()))
    warnings.warn(
        f"{table.name}: {format_time(stamp)} in {table.row(position)} is at another "
        f"place of its period than the other time stamps, and was taken for "
        f"{format_time(period)} (frequency {period.freqstr!r}). This holds for "
        f"{len(found)} of {n_stamps} time stamps; check that they are what you mean.",
        OddTimeStampWarning,
        stacklevel=3,
    )


def _find_odd(times: pd.DatetimeIndex, periods: pd.PeriodIndex) -> np.ndarray:
    """Mark the stamps that break the rule which most of them keep."""
    starts = periods.to_timestamp()
    if not isinstance(periods.freq, _CALENDAR):
        places = times - starts
        is_day_or_more = periods[0].end_time - periods[0].start_time > _ALMOST_A_DAY
        near = _CLOCK_CHANGE if is_day_or_more else pd.Timedelta(0)
        return np.asarray(abs(places - _most_common(places)) > near)
    months = 12 * (times.year - starts.year) + times.month - starts.month
    days, left = times.day, times.days_in_month - times.day
    on_weekend = times.dayofweek > 4
    broken = [
        # The same day of the month, or the last one of a month that is too short.
        _differ(days) & ~((left == 0) & (days < _most_common(days))),
        left != 0,
        on_weekend | (days > _DAYS_TO_BUSINESS),
        on_weekend | (left >= _DAYS_TO_BUSINESS),
    ]
    return _differ(months) | min(broken, key=np.sum)


def _differ(values: pd.Index) -> np.ndarray:
    return np.asarray(values != _most_common(values))


def _most_common(values: pd.Index) -> object:
    return values.to_series().mode().iloc[0]
