"""The frequency of time stamps, and the season that goes with it."""

import contextlib
import re
from collections import Counter

import pandas as pd

from sktime_llm.errors import InputError

_STEPS_PER_SEASON = {"M": 12, "Q": 4, "W": 52, "D": 7, "B": 5, "h": 24, "s": 60}
_MINUTES_PER_DAY = 24 * 60

# Spellings that pandas 3 no longer knows.
_MODERN_UNIT = {"H": "h", "T": "min", "S": "s", "A": "Y"}

_SHORTEST_MONTH = 28

# Parts of a series that are asked for their frequency when the whole has none.
_MAX_PARTS = 50


def infer_seasonal_period(y: pd.Series | pd.DataFrame) -> int:
    """Guess the seasonal period of a series from the frequency of its time index.

    Months have a season of 12 steps, quarters 4, weeks 52, days 7, business days 5,
    hours 24, seconds 60. Steps of five minutes or more have a season of a day, shorter
    ones of an hour. A step of several units divides these: two hours give 12. All
    else, years and integers among them, has no season.

    Parameters
    ----------
    y : pandas.Series or pandas.DataFrame
        A series, several variates, or a panel with index levels (instance, time).

    Returns
    -------
    int
        Steps in one season, 1 if there is none.

    Examples
    --------
    >>> from sktime_llm.datasets import infer_seasonal_period, load_dataset
    >>> infer_seasonal_period(load_dataset("airline").y)
    12
    """
    times = _times_of_longest_instance(y)
    alias = getattr(times, "freqstr", None)
    if alias is None and isinstance(times, pd.DatetimeIndex):
        alias = infer_frequency(times)
    if alias is None:
        return 1
    try:
        count, unit = _split_count(period_alias(alias))
    except InputError:
        return 1
    return _steps_per_season(int(count or 1), unit.partition("-")[0])


def _times_of_longest_instance(y: pd.Series | pd.DataFrame) -> pd.Index:
    if y.index.nlevels == 1:
        return y.index
    levels = list(range(y.index.nlevels - 1))
    sizes = y.groupby(level=levels, sort=False).size()
    return y.xs(sizes.idxmax(), level=levels if len(levels) > 1 else 0).index


def _steps_per_season(count: int, unit: str) -> int:
    if unit == "min":
        steps = _MINUTES_PER_DAY if count >= 5 else 60
    else:
        steps = _STEPS_PER_SEASON.get(unit, 1)
    return steps // count if steps % count == 0 else 1


def _split_count(alias: str) -> tuple[str, str]:
    unit = alias.lstrip("0123456789")
    return alias[: len(alias) - len(unit)], unit


def period_alias(alias: str) -> str:
    """Turn an alias of periods or of time stamps into the one of its periods.

    ``"MS"``, ``"ME"`` and ``"M"`` all give ``"M"``. Business days stay ``"B"``.
    """
    if alias == "B":
        return alias
    count, unit = _split_count(alias)
    unit, dash, anchor = unit.partition("-")
    # First and last business days of months, quarters and years.
    unit = re.sub("^B(?=[MQYA])", "", unit)
    unit = _MODERN_UNIT.get(unit, unit) + dash + anchor
    if unit != "B":  # pandas deprecates periods of business days
        with contextlib.suppress(ValueError, AttributeError):
            return pd.PeriodIndex([], freq=count + unit).freqstr
        with contextlib.suppress(ValueError, AttributeError):
            period = pd.date_range("2000", periods=1, freq=unit).to_period()
            return pd.PeriodIndex([], freq=count + period.freqstr).freqstr
    raise InputError(
        f"The frequency {alias!r} is not supported; expected a pandas alias such as "
        f"'Y', 'Q', 'M', 'W', 'D', 'B', 'h', '15min' or 's'."
    )


def infer_frequency(stamps: pd.DatetimeIndex) -> str | None:
    """Find the frequency of sorted time stamps, gaps or not.

    Where the whole has none, ever shorter parts of it are asked, and the most common
    answer at the first length that has any is taken.
    """
    is_one_day = stamps.day.nunique() == 1 and stamps.day[0] <= _SHORTEST_MONTH
    if is_one_day and not stamps.is_month_end.all():
        # pandas knows steps of months only between their first or last days.
        stamps = stamps - pd.Timedelta(days=stamps.day[0] - 1)
    width = len(stamps)
    while width >= 3:
        starts = range(0, len(stamps) - width + 1, width)[:_MAX_PARTS]
        found = [pd.infer_freq(stamps[start : start + width]) for start in starts]
        counts = Counter(alias for alias in found if alias is not None)
        if counts:
            return counts.most_common(1)[0][0]
        width = 3 if width in (4, 5) else width // 2
    return None
