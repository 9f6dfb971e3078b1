"""Whether times are regular, and with which frequency."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from sktime_llm._frequency import advice_on_clocks
from sktime_llm.errors import InputError
from sktime_llm.forecasting._panel import Key, Panel

_PERIODS = ("M", "Q", "Y", "W")
_SHORTEST_MONTH = pd.Timedelta(days=28)


def of_series(key: Key) -> str:
    """Name a series in a message; a single one has no name."""
    return "" if key is None else f" (series {key!r})"


def are_all_regular(
    panel: Panel, frequency: pd.offsets.BaseOffset | None = None
) -> bool:
    """Tell quickly that the times of all series are regular; False if unsure.

    Datetimes have to be on their frequency, if it is known.
    """
    times = panel.times
    earlier, later = panel.steps()
    if panel.is_single or (panel.codes < 0).any():
        return False
    if isinstance(times, pd.DatetimeIndex):
        if frequency is not None:
            return are_all_on(panel, frequency)
        is_grid = len(times) < 3 or _freq_or_inferred(times) is not None
        return is_grid and bool((panel.codes[later] - panel.codes[earlier] == 1).all())
    positions = _positions(times)
    if positions is None:
        return False
    at, step = positions[0][panel.codes], positions[1]
    return bool((at[later] - at[earlier] == step).all())


def _positions(times: pd.Index) -> tuple[np.ndarray, int] | None:
    """Return the positions of periods or integers, and their step."""
    if isinstance(times, pd.PeriodIndex):
        return times.asi8, times.freq.n
    if pd.api.types.is_integer_dtype(times):
        return times.to_numpy(), 1
    return None


def check_regular(
    index: pd.Index, key: Key, frequency: pd.offsets.BaseOffset | None = None
) -> None:
    """Raise an InputError if the times of a series are not regular.

    Or, of datetimes, not on their frequency, if it is known.
    """
    if index.has_duplicates:
        twice = index[index.duplicated()][0]
        raise InputError(
            f"the time index of y{of_series(key)} has {twice} more than once; expected "
            "every time once. Aggregate the rows of one time first"
            f"{advice_on_clocks(index)}."
        )
    if isinstance(index, pd.DatetimeIndex):
        if frequency is not None:
            _check_known_frequency(index, key, frequency)
        elif index.freq is None and len(index) >= 3:
            _infer_frequency(index, key)
        return
    found = _positions(index)
    if found is None:
        raise InputError(
            f"the time index of y{of_series(key)} is a {type(index).__name__} of "
            f"{index.dtype}; expected datetimes, periods or integers. Number the rows, "
            "for example by y.reset_index(drop=True)."
        )
    gaps = np.flatnonzero(np.diff(found[0]) != found[1])
    if len(gaps):
        raise _irregular(index, int(gaps[0]), key)


def check_unit_steps(panel: Panel) -> None:
    """Raise if integers only lie on multiples of a longer step: no row is missing."""
    if not pd.api.types.is_integer_dtype(panel.times):
        return
    times = panel.times.to_numpy(dtype=np.int64)[panel.codes]
    earlier, later = panel.steps()
    steps = times[later] - times[earlier]
    step = int(np.gcd.reduce(steps)) if len(steps) else 1
    if step < 2 or (panel.codes < 0).any():
        return
    what_to_do = f"divide the level of times by {step}."
    if panel.is_single:
        what_to_do = f"number them, as by y.set_axis(y.index // {step})."
    i = int(np.argmax(panel.lengths > 1))
    raise _irregular(
        panel.index_of(i),
        0,
        panel.keys[i],
        f"All steps are multiples of {step}: {what_to_do}",
    )


def _irregular(
    index: pd.Index,
    at: int,
    key: Key,
    what_to_do: str = "If only rows are missing, and all times are on one grid, set "
    'missing="mask"; else resample y, for example by y.asfreq(...).',
) -> InputError:
    alias = _period_of(index)
    if alias is not None:
        where = "" if key is None else " on each series, or on the level of times"
        what_to_do = (
            "Each is in the period after the last one's: use "
            f"y.to_period({alias!r}){where}."
        )
    return InputError(
        f"the time index of y{of_series(key)} is not regular: {index[at + 1]} follows "
        f"{index[at]} (rows {at} and {at + 1}); expected equal steps, of 1 for an "
        f"integer index. {what_to_do}"
    )


def _period_of(index: pd.Index) -> str | None:
    """Return the periods that datetimes have one each of, if there are such."""
    if isinstance(index, pd.DatetimeIndex):
        for alias in _PERIODS:
            periods = index.tz_localize(None).to_period(alias)
            if (np.diff(periods.asi8) == 1).all():
                return alias
    return None


# frequencies of datetimes


def frequency_of(panel: Panel) -> pd.offsets.BaseOffset | None:
    """Return the frequency of datetimes, from the longest series.

    A shorter series decides if only its frequency fits all: five business days in a row
    are days, too. None for other kinds of index, which do not need one, and where no
    series has two rows.
    """
    if not isinstance(panel.times, pd.DatetimeIndex):
        return None
    lengths = panel.lengths
    order = np.argsort(lengths, kind="stable")[::-1].tolist()
    longest = _frequency_of_one(panel.index_of(order[0]))

    if longest is None or are_all_on(panel, longest):
        return longest
    others = dict.fromkeys(
        _frequency_of_one(panel.index_of(i))
        for i in panel.distinct(order[1:])
        if lengths[i] > 2
    )
    return next((one for one in others if are_all_on(panel, one)), longest)


def _frequency_of_one(index: pd.DatetimeIndex) -> pd.offsets.BaseOffset | None:
    if index.freq is not None or len(index) < 2:
        return index.freq
    return _infer_frequency(index)


def _infer_frequency(index: pd.DatetimeIndex, key: Key = None) -> pd.offsets.BaseOffset:
    """Infer the frequency of at least two datetimes that do not carry it."""
    if len(index) == 2:
        step = index[1] - index[0]
        if step >= _SHORTEST_MONTH:
            raise InputError(
                f"y{of_series(key)} has two rows, {step.days} days apart, which may be "
                "so many days, or months, quarters or years; expected times whose "
                'frequency is known. Use periods, as by y.to_period("M") on each '
                "series."
            )
        return pd.tseries.frequencies.to_offset(step)
    frequency = _freq_or_inferred(index)
    if frequency is not None:
        return frequency
    steps = np.diff(index.asi8)
    raise _irregular(index, int(np.abs(steps / np.median(steps) - 1).argmax()), key)


def _freq_or_inferred(index: pd.DatetimeIndex) -> pd.offsets.BaseOffset | None:
    if index.freq is not None:
        return index.freq
    alias = pd.infer_freq(index)
    return pd.tseries.frequencies.to_offset(alias) if alias else None


def _first_other_step(
    index: pd.DatetimeIndex, frequency: pd.offsets.BaseOffset
) -> tuple[int, pd.Timestamp] | None:
    """Return the first row that is not on a frequency, and the time expected there."""
    if not len(index):
        return None
    steps = pd.date_range(index[0], periods=len(index), freq=frequency)
    same = np.asarray(steps == index)
    if same.all():
        return None
    at = int(np.argmin(same))
    return at, steps[at]


def _others(panel: Panel, frequency: pd.offsets.BaseOffset) -> Iterator[int]:
    """Yield the series that are not on a frequency."""
    times, (earlier, later) = panel.times, panel.steps()
    in_a_row = (panel.codes[later] - panel.codes[earlier] == 1).all()
    # all series are parts of one grid
    if in_a_row and len(times) and _first_other_step(times, frequency) is None:
        return
    for i in panel.distinct():
        if _first_other_step(panel.index_of(i), frequency) is not None:
            yield i


def are_all_on(panel: Panel, frequency: pd.offsets.BaseOffset) -> bool:
    """Tell whether the datetimes of all series are on a frequency."""
    return next(_others(panel, frequency), None) is None


def _check_known_frequency(
    index: pd.DatetimeIndex, key: Key, frequency: pd.offsets.BaseOffset
) -> None:
    other = _first_other_step(index, frequency)
    if other is not None:
        at, expected = other
        raise InputError(
            f"y{of_series(key)} has {index[at]}, expected {expected}: fit saw the "
            f"frequency {frequency.freqstr!r}. If only rows are missing, and all times "
            'are on it, set missing="mask"; else bring y to it, for example by '
            "resampling, or fit again."
        )


def check_frequency(panel: Panel, frequency: pd.offsets.BaseOffset | None) -> None:
    """Raise if the datetimes of a series are not on the frequency of the others."""
    # two rows tell no frequency, and there is nothing to compare one series with
    if frequency is None or len(panel) == 1 or panel.lengths.max() < 3:
        return
    for i in _others(panel, frequency):
        index = panel.index_of(i)
        other = _first_other_step(index, frequency)
        assert other is not None
        at, expected = other
        raise InputError(
            f"y{of_series(panel.keys[i])} has {index[at]} in row {at}, expected "
            f"{expected}: the longest series has the frequency "
            f"{frequency.freqstr!r}, and all have to share it. Bring them to one "
            "frequency, for example by resampling, or fit a forecaster on each."
        )
