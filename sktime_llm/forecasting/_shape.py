"""How long context and forecast of a window are, given the data."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from sktime_llm._warn import warn
from sktime_llm.errors import ClippedParameterWarning, SeriesTooShortError
from sktime_llm.forecasting._panel import Panel
from sktime_llm.forecasting._regular import frequency_of
from sktime_llm.training.windows import WindowShape

# As in the M3 and M4 competitions, but for two days of hours.
_CUSTOMARY_HORIZONS = {"Y": 6, "Q": 8, "M": 18, "W": 13, "D": 14, "B": 14, "h": 48}
_OTHER_HORIZON = 24
MIN_CONTEXT, MAX_CONTEXT = 24, 96
DEFAULT_SHARE, MIN_WINDOWS = 0.1, 32
FEW_VALUES = 1_500
"""With fewer, short windows forecast better; of one series, about their last value."""


def choose_shape(
    n_rows: Sequence[int],
    *,
    context_length: int | None,
    default_context: int | None = None,
    prediction_length: int | None,
    longest_step: int | None,
    default_horizon: int = _OTHER_HORIZON,
    validation_fraction: float | None,
    calibration_fraction: float | None = 0.0,
) -> WindowShape:
    """Choose the lengths of a window, given the lengths of the series.

    What the user has set is kept; a context that does not fit is clipped, with a
    warning. `default_context` is the default; None is twice the prediction, as
    published for M4, but at least 24, and at most 96, as for ETT. Both are at most half
    of the room. `longest_step` is the largest step of the horizon, where it is known;
    without it, `default_horizon` counts. Raise a SeriesTooShortError if no window fits,
    whatever the context.
    """
    longest = max(n_rows)
    if prediction_length is None:
        wanted = longest_step or default_horizon
        prediction_length = max(1, min(wanted, longest // 4))
    held_out = rows_to_hold_out(n_rows, prediction_length, calibration_fraction)
    n_rows = [n - held for n, held in zip(n_rows, held_out, strict=True)]
    longest = max(n_rows)
    share = share_held_out(n_rows, prediction_length, validation_fraction)
    room = _room(longest, prediction_length, share)
    half = max(1, (room + 1) // 2)  # as much for windows as the context takes
    if context_length is None:
        usual = min(MAX_CONTEXT, max(MIN_CONTEXT, 2 * prediction_length))
        context_length = min(default_context or usual, half)
    elif context_length > room:
        warn(
            f"context_length={context_length} does not fit: of the {longest} rows of "
            f"the longest series, {longest - room - prediction_length} are for "
            f"validation and {prediction_length} for the forecast, which leaves "
            f"{room}. It is clipped to {half}, so that there are some windows.",
            ClippedParameterWarning,
        )
        context_length = half
    return WindowShape(int(context_length), int(prediction_length))


def are_few(series: Collection[np.ndarray]) -> bool:
    """Return whether series, each (time, channel), have few values in total."""
    return sum(values.size for values in series) < FEW_VALUES


def customary_horizon(panel: Panel) -> int:
    """Return how many steps are usually forecast at once, by the frequency of data."""
    is_periods = isinstance(panel.times, pd.PeriodIndex)
    frequency = panel.times.freq if is_periods else frequency_of(panel)
    if frequency is None or frequency.n != 1:
        return _OTHER_HORIZON
    name = frequency.freqstr.split("-")[0].removesuffix("E").removesuffix("S")
    of_business = len(name) == 2 and name[0] in "BC"
    return _CUSTOMARY_HORIZONS.get(name[of_business:], _OTHER_HORIZON)


def share_held_out(
    n_rows: Sequence[int], prediction_length: int, fraction: float | None
) -> float:
    """Return the share of every series, from its end, that is not trained on.

    None is a tenth where that makes at least 32 windows over all series, else nothing:
    so few windows choose an epoch by chance, or calibrate no interval, and a short
    series needs its last rows to train on.
    """
    if fraction is not None:
        return fraction
    n_windows = sum(
        max(0, round(DEFAULT_SHARE * n) - prediction_length + 1) for n in n_rows
    )
    return DEFAULT_SHARE if n_windows >= MIN_WINDOWS else 0.0


def rows_to_hold_out(
    n_rows: Sequence[int], prediction_length: int, fraction: float | None
) -> list[int]:
    """Return how many rows at the end of each series are to calibrate intervals.

    Those of one forecast at least; none of a series that is too short for both.
    """
    share = share_held_out(n_rows, prediction_length, fraction)
    if not share:
        return [0] * len(n_rows)
    wanted = [max(prediction_length, round(share * n)) for n in n_rows]
    return [
        rows if n - rows > prediction_length else 0
        for n, rows in zip(n_rows, wanted, strict=True)
    ]


def _room(longest: int, prediction_length: int, share: float) -> int:
    """Return the longest context with which at least one training window fits."""
    if longest < prediction_length + 1:
        raise SeriesTooShortError(
            f"the longest series has {longest} row(s), expected at least "
            f"{prediction_length + 1}: 1 of context and prediction_length="
            f"{prediction_length} to forecast. Set a shorter prediction_length: longer "
            "horizons are forecast by rolling forward."
        )
    n_validation = max(prediction_length, round(share * longest)) if share else 0
    room = longest - n_validation - prediction_length
    return room if room >= 1 else longest - prediction_length
