"""The frequency of time stamps, and the season that goes with it."""

import contextlib
import re

import numpy as np
import pandas as pd

from sktime_llm._frequency import infer_frequency, is_on_grid
from sktime_llm.datasets._source import Source
from sktime_llm.errors import InputError

_STEPS_PER_SEASON = {"M": 12, "Q": 4, "W": 52, "D": 7, "B": 5, "h": 24, "s": 60}

# So many units make the next larger one: 300 seconds are 5 minutes, 7 days a week.
_LARGER = {
    **{"ns": ("us", 1000), "us": ("ms", 1000), "ms": ("s", 1000), "s": ("min", 60)},
    **{"min": ("h", 60), "h": ("D", 24), "D": ("W", 7), "M": ("Q", 3), "Q": ("Y", 4)},
}

# Of the steps between rows, those that are alike if the others are odd.
_USUAL_SHARE = 0.75

# Suggested in an error if each row is then in a period of its own, without gaps.
_SUGGESTIONS = ("Y-DEC", "Q-DEC", "M", "W-SUN", "D", "h", "min", "s")


def infer_seasonal_period(y: pd.Series | pd.DataFrame) -> int:
    """Guess the seasonal period of a series from the frequency of its time index.

    Months have a season of 12 steps, quarters 4, weeks 52, days 7, business days 5,
    hours 24, seconds 60. Steps of five minutes or more have a season of a day, those of
    one to four of an hour. Steps of several units have fewer: two hours give 12, ten
    seconds 6. Seven days are a week, 300 seconds five minutes. All others, such as
    years and integers, have no season.

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
    times = y.index
    if times.nlevels > 1:
        levels = list(range(times.nlevels - 1))
        longest = y.groupby(level=levels, sort=False, observed=True).size().idxmax()
        times = y.xs(longest, level=levels if len(levels) > 1 else 0).index
    alias = getattr(times, "freqstr", None)
    if alias is None and isinstance(times, pd.DatetimeIndex):
        alias = infer_frequency(times)
    try:
        count, unit = split_alias(period_alias(alias or ""))
    except InputError:
        return 1
    unit = unit.partition("-")[0]
    while unit in _LARGER and count % _LARGER[unit][1] == 0:
        unit, n = _LARGER[unit]
        count //= n
    steps = _STEPS_PER_SEASON.get(unit, 1)
    if unit == "min":
        steps = 24 * 60 if count >= 5 else 60
    return steps // count if steps % count == 0 else 1


def split_alias(alias: str) -> tuple[int, str]:
    """Split '15min' into 15 and 'min'."""
    unit = alias.lstrip("0123456789")
    return int(alias[: len(alias) - len(unit)] or 1), unit


def period_alias(alias: str) -> str:
    """Return the alias of periods: 'M' for 'MS', 'ME' and 'M'.

    Business days stay 'B', as pandas deprecates periods of them, and weeks that end on
    no day in particular 'W'.
    """
    if alias == "B":
        return alias
    count, unit = split_alias(alias)
    unit = re.sub("^B(?=[MQY])", "", unit)  # business days that start or end months
    number = str(count) if count != 1 else ""
    if unit != "B":
        with contextlib.suppress(ValueError, AttributeError):
            found = pd.PeriodIndex([], freq=number + unit).freqstr
            return found.removesuffix("-SUN") if unit == "W" else found
        with contextlib.suppress(ValueError, AttributeError):
            period = pd.date_range("2000", periods=1, freq=unit).to_period()
            return pd.PeriodIndex([], freq=number + period.freqstr).freqstr
    raise InputError(
        f"The frequency {alias!r} is not supported; expected an alias of pandas such "
        f"as Y, Q, M, W, D, B, h, 15min or s."
    )


def with_weekday(alias: str, times: pd.Series) -> str:
    """Let weeks ('W') end on the weekday of all times or periods, else on Sundays."""
    if split_alias(alias)[1] != "W":
        return alias
    ends = times.dt.end_time if isinstance(times.dtype, pd.PeriodDtype) else times
    days = ends.dt.day_name().unique()
    return f"{alias}-{days[0][:3].upper() if len(days) == 1 else 'SUN'}"


def step_of(alias: str | None) -> int:
    """Return how many units of time a frequency has, 2 for '2h'."""
    return 1 if alias in (None, "B") else split_alias(alias)[0]


def has_dates(times: pd.Series, alias: str | None) -> bool:
    """Tell whether local times are those of days or longer periods."""
    if alias is not None:
        return split_alias(alias)[1][0] in "YQMWDB"
    return (times - times.dt.normalize()).nunique() == 1


def find_alias(source: Source, times: pd.Series, series: np.ndarray) -> str:
    """Infer the frequency of sorted series from the longest of them."""
    stamps = pd.DatetimeIndex(times[series == np.bincount(series).argmax()])
    found = infer_frequency(stamps)
    if found and is_on_grid(pd.DatetimeIndex(times.unique()).sort_values(), found):
        with contextlib.suppress(InputError):
            return period_alias(found)
    same_series = series[1:] == series[:-1]
    advice = "Give --frequency, such as D or M, so that each row is one period"
    for alias in _SUGGESTIONS if same_series.any() else ():
        if (np.diff(to_ordinals(times, alias))[same_series] == 1).all():
            unit = alias.partition("-")[0]
            advice = f"`--frequency {unit}` would make each row one period"
            break
    found = _odd_step(source, times, same_series)
    found = found or f"in the times {', '.join(map(format_time, stamps[:4]))}."
    raise InputError(f"{source.name}: no frequency found {found} {advice}.")


def _odd_step(source: Source, times: pd.Series, same_series: np.ndarray) -> str:
    """Name the first row that is off the usual step between rows, if there is one."""
    steps = times.diff().where(np.r_[False, same_series])
    counts = steps.value_counts()
    if counts.empty or counts.iloc[0] < _USUAL_SHARE * counts.sum():
        return ""
    odd = (steps % counts.index[0] > pd.Timedelta(0)).to_numpy()
    if not odd.any():
        return ""
    i = int(odd.argmax())
    before, after = map(format_time, times.iloc[i - 1 : i + 1])
    return (
        f"since {after} ({source.row(times.index[i])}) follows {before} after "
        f"{steps.iloc[i]}, most rows after {counts.index[0]}. Correct it if mistyped."
    )


def to_ordinals(times: pd.Series, alias: str) -> np.ndarray:
    """Number times by their periods, or business days, of a frequency."""
    if alias == "B":
        return np.busday_count("1970-01-01", times.to_numpy().astype("datetime64[D]"))
    return times.dt.to_period(alias).array.asi8


def from_ordinals(ordinals: np.ndarray, alias: str | None) -> pd.Index:
    """Return the periods, business days or integers that have these numbers."""
    if alias is None:
        return pd.Index(ordinals)
    if alias == "B":
        days = np.busday_offset(np.datetime64("1970-01-01"), ordinals)
        return pd.DatetimeIndex(np.asarray(days, dtype="datetime64[ns]"))
    return pd.PeriodIndex.from_ordinals(ordinals, freq=alias)


def format_time(stamp: object) -> str:
    """Format a time stamp without its redundant part.

    Parameters
    ----------
    stamp : object
        An entry of a time index: a period, a time stamp or an integer.

    Returns
    -------
    str
        The time, of a time stamp without midnight; a week, or the first of several, is
        given by its last day.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_llm.datasets import format_time
    >>> format_time(pd.Period("2020-01-05", freq="W-SUN"))
    '2020-01-05'
    """
    if not isinstance(stamp, pd.Period):
        return str(stamp).removesuffix(" 00:00:00")
    if "W-" in stamp.freqstr:
        return str((stamp.start_time + pd.Timedelta(days=6)).date())
    return str(stamp)


def format_times(times: pd.Series) -> pd.Series:
    """Format times alike: time stamps are without midnight if all of them have it."""
    texts = {time: format_time(time) for time in times.drop_duplicates()}
    whole = {time: str(time) for time in texts if isinstance(time, pd.Timestamp)}
    if any(texts[time] == text for time, text in whole.items()):
        texts |= whole
    return times.map(texts)
