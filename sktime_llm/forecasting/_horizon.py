"""Which steps after the last row a forecasting horizon asks for."""

from typing import Any

import numpy as np
import pandas as pd
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm.errors import InputError
from sktime_llm.forecasting._checks import kind_of


def cutoff_of(index: pd.Index, frequency: pd.offsets.BaseOffset | None) -> pd.Index:
    """Return the last time of a series as an index of one that knows its freq."""
    last = index[-1:]
    if isinstance(index, pd.DatetimeIndex) and last.freq is None:
        return pd.DatetimeIndex(last, freq=frequency, name=index.name)
    return last


def check_kind(fh: Any, cutoff: pd.Index | None) -> None:
    """Raise if a horizon has times that those of the data are not compared with.

    Periods and datetimes, periods of two frequencies, times with and without a zone.
    """
    is_horizon = isinstance(fh, ForecastingHorizon)
    times = fh.to_pandas() if is_horizon else fh
    is_absolute = is_horizon and not fh.is_relative
    is_date = isinstance(times, pd.PeriodIndex | pd.DatetimeIndex)
    if cutoff is None or not (is_date or is_absolute):
        return
    given, known = kind_of(times), kind_of(cutoff)
    if given != known:
        raise InputError(
            f"fh has {given} such as {times[0]}, but the times of y are "
            f"{known} such as {cutoff[0]}; expected the same. Convert "
            "fh, or give the steps, such as fh=[1, 2, 3]."
        )


def forecast_times(
    fh: ForecastingHorizon, cutoff: pd.Index
) -> tuple[np.ndarray, pd.Index]:
    """Return the steps from a series' own last time on, and their times.

    A step of 0 is the last time itself, and those before it are negative. Raise an
    InputError if a step has no known length.
    """
    _check_frequency(fh, cutoff)
    fh = _on_steps_of(cutoff, fh)
    steps = steps_of(fh, cutoff)
    if fh.is_relative and _has_offsets(cutoff):
        first, last = min(0, int(steps.min())), max(0, int(steps.max()))
        grid = _grid(cutoff, {"periods": 1 - first}, {"periods": 1 + last})
        return steps, grid.take(steps - first)
    if _has_durations(fh):
        return steps, _later(cutoff, fh.to_pandas())
    return steps, fh.to_absolute_index(cutoff)


def _check_frequency(fh: ForecastingHorizon, cutoff: pd.Index) -> None:
    is_known = not isinstance(cutoff, pd.DatetimeIndex) or cutoff.freq is not None
    if not is_known and (fh.freq is None or not fh.is_relative):
        raise InputError(
            "fit saw no two rows of a series, so that no frequency is known; expected "
            f"one, to tell the times after {cutoff[0]}. Fit on more rows, or give "
            'steps that have it, such as ForecastingHorizon([1, 2], freq="D").'
        )


def _on_steps_of(cutoff: pd.Index, fh: ForecastingHorizon) -> ForecastingHorizon:
    """Replace the frequency that sktime guesses from the rows of the last update.

    Three business days in a row are days to it.
    """
    frequency = getattr(cutoff, "freq", None)
    if frequency is None or fh.freq in (None, frequency.freqstr):
        return fh
    times = fh.to_pandas()
    return ForecastingHorizon(times, is_relative=fh.is_relative, freq=frequency)


def steps_of(fh: ForecastingHorizon, cutoff: pd.Index | None) -> np.ndarray:
    """Count the steps of a horizon from a time that knows its frequency.

    Raise an InputError if a duration or a time is not a whole number of steps.
    """
    if not _has_durations(fh):
        return _count_times(fh, cutoff)
    durations = fh.to_pandas()
    if isinstance(cutoff, pd.DatetimeIndex | pd.PeriodIndex):
        steps = _count_durations(durations, cutoff)
        if steps is not None:
            return steps
    after = "" if cutoff is None else f" after {cutoff[0]}"
    raise InputError(
        f"fh has durations such as {durations[0]}, expected whole time steps of y"
        f"{after}. Give integers, such as fh=[1, 2, 3], or the times themselves."
    )


def _has_durations(fh: ForecastingHorizon) -> bool:
    return fh.is_relative and isinstance(fh.to_pandas(), pd.TimedeltaIndex)


def _count_times(fh: ForecastingHorizon, cutoff: Any) -> np.ndarray:
    times = fh.to_pandas()
    frequency = getattr(cutoff, "freq", None)
    is_dates = isinstance(times, pd.DatetimeIndex)
    if fh.is_relative or not is_dates or frequency is None:
        return np.asarray(fh.to_relative(cutoff).to_pandas(), dtype=np.int64)
    # not by sktime: it counts by the clock on the wall, and by periods, where a
    # Saturday is a business day
    if _is_clock(frequency):
        steps, is_whole = _divide(times - cutoff[0], frequency)
    else:
        steps, is_whole = _count_offsets(times, cutoff)
    if not is_whole.all():
        raise InputError(
            f"fh has the time {times[~is_whole][0]}, expected steps of "
            f"{frequency.freqstr!r} from {cutoff[0]} on. Give such times, or integers, "
            "such as fh=[1, 2, 3]."
        )
    return steps


def _count_durations(durations: pd.TimedeltaIndex, cutoff: Any) -> np.ndarray | None:
    """Count steps; None if one is not whole."""
    if isinstance(cutoff.freq, pd.offsets.Day):
        steps, is_whole = _divide(durations, pd.Timedelta(days=cutoff.freq.n))
    elif _is_clock(cutoff.freq):
        steps, is_whole = _divide(durations, cutoff.freq)
    elif _has_offsets(cutoff):
        steps, is_whole = _count_offsets(_later(cutoff, durations), cutoff)
    else:
        try:
            times = _later(cutoff, durations)
            absolute = ForecastingHorizon(times, is_relative=False, freq=cutoff.freq)
            steps = np.asarray(absolute.to_relative(cutoff).to_pandas(), dtype=np.int64)
        except (TypeError, ValueError):  # of pandas: a period and a fraction of one
            return None
        there = ForecastingHorizon(steps, is_relative=True).to_absolute_index(cutoff)
        is_whole = there == times
    return steps if is_whole.all() else None


def _divide(
    durations: pd.TimedeltaIndex, frequency: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps in durations, and whether they are whole."""
    step = pd.Timedelta(frequency)
    steps = np.asarray(durations // step, dtype=np.int64)
    return steps, np.asarray(durations % step == pd.Timedelta(0))


def _is_clock(frequency: pd.offsets.BaseOffset | None) -> bool:
    """Whether steps are hours or shorter, and so of one length wherever they are."""
    is_tick = isinstance(frequency, pd.tseries.offsets.Tick)
    return is_tick and not isinstance(frequency, pd.offsets.Day)


def _has_offsets(cutoff: Any) -> bool:
    """Whether steps are days or longer; sktime has periods of some of them only."""
    is_known = isinstance(cutoff, pd.DatetimeIndex) and cutoff.freq is not None
    return is_known and not _is_clock(cutoff.freq)


def _grid(cutoff: Any, before: dict[str, Any], after: dict[str, Any]) -> pd.Index:
    """Return all times from before a cutoff to after it, which is among them."""
    earlier = pd.date_range(cutoff[0], freq=-1 * cutoff.freq, **before)
    later = pd.date_range(cutoff[0], freq=cutoff.freq, **after)
    return earlier[:0:-1].append(later)


def _count_offsets(
    times: pd.DatetimeIndex, cutoff: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps to times, and whether they are whole."""
    first, last = min(times.min(), cutoff[0]), max(times.max(), cutoff[0])
    grid = _grid(cutoff, {"end": first}, {"end": last})
    at = grid.get_indexer(times)
    return at - grid.get_loc(cutoff[0]), at >= 0


def _later(cutoff: Any, durations: pd.TimedeltaIndex) -> Any:
    return type(cutoff)([cutoff[0] + one for one in durations])
