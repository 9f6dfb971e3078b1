"""The frequency of time stamps, some of which may be missing or repeated."""

from collections import Counter

import pandas as pd

_MAX_PARTS = 50


def infer_frequency(stamps: pd.DatetimeIndex) -> str | None:
    """Return the pandas alias of sorted time stamps, with or without missing rows.

    If the whole has none, try ever shorter parts, until one has a frequency on whose
    grid all stamps lie.
    """
    width = len(stamps)
    while width >= 3:
        starts = range(0, len(stamps) - width + 1, width)[:_MAX_PARTS]
        found = [pd.infer_freq(stamps[start : start + width]) for start in starts]
        for alias, _ in Counter(filter(None, found)).most_common():
            if is_on_grid(stamps, alias):
                return alias
        width = 3 if width in (4, 5) else width // 2
    return None


def advice_on_clocks(times: pd.Index) -> str:
    """Return a sentence to add on times that repeat: clocks repeat an hour in autumn.

    It is empty where clocks do not matter: of days, integers, or with a time zone.
    """
    if isinstance(times, pd.PeriodIndex):
        times = times.to_timestamp()
    is_local = isinstance(times, pd.DatetimeIndex) and times.tz is None
    if not is_local or (times - times.normalize()).nunique() < 2:
        return ""
    return (
        ". If clocks were set back there, give the times in UTC, or with their offset "
        "from UTC"
    )


def is_on_grid(stamps: pd.DatetimeIndex, alias: str) -> bool:
    """Tell whether all stamps are steps of a frequency after the first of them."""
    offset = pd.tseries.frequencies.to_offset(alias)
    if isinstance(offset, pd.offsets.Day):
        stamps = stamps.tz_localize(None)  # days of 23 and 25 hours are days, too
    if isinstance(offset, pd.offsets.Tick):
        return not ((stamps - stamps[0]) % pd.Timedelta(offset)).any()
    grid = pd.date_range(stamps[0], stamps[-1], freq=offset)
    return bool(stamps.isin(grid).all())
