"""How long context and forecast of a window are, given the data."""

import warnings
from collections.abc import Sequence

from sktime_llm.errors import (
    ClippedParameterWarning,
    InputError,
    SeriesTooShortError,
)
from sktime_llm.training.windows import WindowShape

MOST_CONTEXT = 96
MOST_PREDICTION = 24


def choose_shape(
    n_rows: Sequence[int],
    *,
    context_length: int | None,
    prediction_length: int | None,
    longest_step: int | None,
    validation_fraction: float,
) -> WindowShape:
    """Choose the lengths of a window.

    Parameters
    ----------
    n_rows : sequence of int
        Lengths of the series; the longest counts.
    context_length, prediction_length : int, optional
        As the user set them. A context that does not fit is clipped, with a warning.
    longest_step : int, optional
        Largest step of the forecasting horizon, where it is known.
    validation_fraction : float
        Share of the series that is kept for validation.

    Raises
    ------
    InputError
        If a length is not positive.
    SeriesTooShortError
        If no window fits, whatever the context.
    """
    for name, value in (
        ("context_length", context_length),
        ("prediction_length", prediction_length),
    ):
        if value is not None and value < 1:
            raise InputError(f"{name}={value}, expected at least 1, or None.")
    longest = max(n_rows)
    if prediction_length is None:
        prediction_length = _default_prediction(longest, longest_step)
    room = _room(longest, prediction_length, validation_fraction)
    if context_length is None:
        return WindowShape(_default_context(room), prediction_length)
    if context_length > room:
        clipped = _half(room)
        warnings.warn(
            f"context_length={context_length} does not fit: the longest series has "
            f"{longest} rows, and the forecast takes {prediction_length} of a window. "
            f"It is clipped to {clipped}.",
            ClippedParameterWarning,
            stacklevel=2,
        )
        context_length = clipped
    return WindowShape(context_length, prediction_length)


def _room(longest: int, prediction_length: int, validation_fraction: float) -> int:
    """Longest context with which at least one training window fits."""
    if longest < prediction_length + 1:
        raise SeriesTooShortError(
            f"the longest series has {longest} row(s), expected at least "
            f"{prediction_length + 1}: 1 of context and prediction_length="
            f"{prediction_length} to forecast. Set a shorter prediction_length: longer "
            "horizons are forecast by rolling forward."
        )
    n_validation = 0
    if validation_fraction > 0:
        n_validation = max(prediction_length, round(validation_fraction * longest))
    room = longest - n_validation - prediction_length
    return room if room >= 1 else longest - prediction_length


def _default_prediction(longest: int, longest_step: int | None) -> int:
    wanted = longest_step or MOST_PREDICTION
    return max(1, min(wanted, longest // 4))


def _default_context(room: int) -> int:
    return min(MOST_CONTEXT, _half(room))


def _half(room: int) -> int:
    """Leave as much room for windows as the context takes."""
    return max(1, (room + 1) // 2)
