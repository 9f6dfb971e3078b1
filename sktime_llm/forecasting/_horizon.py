"""Which steps after the last row a forecasting horizon asks for."""

import numpy as np
import pandas as pd
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm.errors import InputError
from sktime_llm.forecasting._series import Key, of_series


def cutoff_of(index: pd.Index, frequency: pd.offsets.BaseOffset | None) -> pd.Index:
    """Give the last time of a series as an index of one element that knows its freq."""
    last = index[-1:]
    if isinstance(index, pd.DatetimeIndex) and last.freq is None:
        return pd.DatetimeIndex(last, freq=frequency, name=index.name)
    return last


def forecast_times(
    fh: ForecastingHorizon, cutoff: pd.Index, key: Key
) -> tuple[np.ndarray, pd.Index]:
    """Count the horizon from a series' own last time.

    Returns
    -------
    steps : array of int
        Steps after the last time, from 1.
    times : pandas.Index
        What is forecast at each step.

    Raises
    ------
    InputError
        If a step is not after the last time, or not on the time steps.
    """
    steps = steps_of(fh, cutoff)
    if len(steps) and steps.min() < 1:
        raise InputError(
            f"fh asks for step {steps.min()} relative to {cutoff[0]}, the last time of "
            f"y{of_series(key)}; expected steps after it, from 1 on. In-sample "
            "forecasts are not available."
        )
    if _has_durations(fh):
        return steps, _after(cutoff, steps)
    return steps, fh.to_absolute_index(cutoff)


def steps_of(fh: ForecastingHorizon, cutoff: pd.Index | None) -> np.ndarray:
    """Count the steps of a horizon from a time that knows its frequency.

    Raises
    ------
    InputError
        If it is of durations, and one is no whole number of steps.
    """
    if not _has_durations(fh):
        return np.asarray(fh.to_relative(cutoff).to_pandas(), dtype=np.int64)
    durations = fh.to_pandas()
    if cutoff is not None and isinstance(cutoff, pd.DatetimeIndex | pd.PeriodIndex):
        try:
            times = type(cutoff)([cutoff[0] + one for one in durations])
            steps = _count(times, cutoff)
            if _after(cutoff, steps).equals(times):
                return steps
        except ValueError:  # of pandas: a period and a fraction of one
            pass
    after = "" if cutoff is None else f" after {cutoff[0]}"
    raise InputError(
        f"fh has durations such as {durations[0]}, expected whole time steps of y"
        f"{after}. Give integers, such as fh=[1, 2, 3], or the times themselves."
    )


def _has_durations(fh: ForecastingHorizon) -> bool:
    return fh.is_relative and isinstance(fh.to_pandas(), pd.TimedeltaIndex)


def _count(times: pd.Index, cutoff: pd.Index) -> np.ndarray:
    fh = ForecastingHorizon(times, is_relative=False, freq=cutoff.freq)
    return np.asarray(fh.to_relative(cutoff).to_pandas(), dtype=np.int64)


def _after(cutoff: pd.Index, steps: np.ndarray) -> pd.Index:
    return ForecastingHorizon(steps, is_relative=True).to_absolute_index(cutoff)
