"""Windows of given series, or the latest ones, which inspections look at."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sktime.datatypes import convert_to

from sktime_llm._validation import integer
from sktime_llm.errors import InputError
from sktime_llm.forecasting._checks import with_columns_of
from sktime_llm.forecasting._known import KnownSeries
from sktime_llm.forecasting._panel import Key, Panel
from sktime_llm.forecasting._predicting import Contexts, latest_contexts, on_device
from sktime_llm.forecasting._regular import are_all_on, of_series
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import MTYPES, to_arrays, with_all_rows
from sktime_llm.forecasting._training import split_in_time
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.windows import last_observed_before, shape_of


def contexts(
    forecaster: Any, y: Any, stride: int | None
) -> tuple[Contexts, pd.MultiIndex]:
    """Return contexts of `y`, or the most recent ones, and their labels."""
    (integer(1) | None).check("stride", stride)
    network, known = forecaster.network_, forecaster._known

    def scale_like_known(series: dict[Key, np.ndarray]) -> dict[Key, Scaling]:
        split = split_in_time(series, shape_of(network), forecaster.validation_fraction)
        return forecaster._make_scalings(split, known=known.scalings)

    if y is None:
        return latest_contexts(network, known), labels_of_latest(known)
    frame = with_columns_of(known.rows, convert_to(y, MTYPES))
    if forecaster.missing == "mask":
        frame = with_all_rows(frame, known.frequency)
    return contexts_of(
        network,
        frame,
        known,
        scale_like_known,
        stride=stride or forecaster.prediction_length_,
    )


def rows_seen(forecaster: Any, y: Any) -> Any:
    """Return `y`, or the rows of fit and update if it is None.

    Raise an InputError if they were not saved, or if the network needs covariates.
    """
    known: KnownSeries = forecaster._known
    check_no_covariates(known)
    if y is None and known.past is None:
        raise InputError(
            "y=None, but this forecaster was saved without its rows; expected a y. "
            "Give one, or save with keep_past=True."
        )
    return known.past if y is None else y


def check_no_covariates(known: KnownSeries) -> None:
    """Raise an InputError if the network needs covariates beside the windows."""
    if known.covariates is not None:
        raise InputError(
            "fit was given covariates (X), expected none: inspect_alignment shows only "
            "what is read in the series. Fit another forecaster without X."
        )


def contexts_of(
    network: ForecastNetwork,
    frame: pd.DataFrame,
    known: KnownSeries,
    scalings: Callable[[dict[Key, np.ndarray]], dict[Key, Scaling]],
    *,
    stride: int,
) -> tuple[Contexts, pd.MultiIndex]:
    """Return contexts of given series, every `stride` steps back from their ends.

    And their labels: series, last time and variate, window by window. `scalings` makes
    the scalings of series that are not known. Raise an InputError if times are not
    regular, or a series is shorter than a context.
    """
    length, panel = network.context_length, Panel.of(frame)
    series = to_arrays(panel, _known_frequency(panel, known))
    for key, values in series.items():
        if len(values) < length:
            raise InputError(
                f"y{of_series(key)} has {len(values)} row(s), expected at least the "
                f"{length} of a context. Give more of its rows, or leave it out."
            )
    new = {key: v for key, v in series.items() if key not in known.scalings}
    scaling_of = scalings(new) | known.scalings
    contexts, observed, labels = [], [], []
    for i, (key, values) in enumerate(series.items()):
        times = panel.index_of(i)
        scaling, last = scaling_of[key], last_observed_before(values)
        for end in range(len(values), length - 1, -stride):
            contexts.append(scaling.apply(values[end - length : end]))
            observed.append(scaling.apply(last[end - length]))
            labels += [(key, times[end - 1], name) for name in frame.columns]
    stacked = on_device(network, np.stack(contexts), np.stack(observed))
    return stacked, _window_index(labels, frame)


def _known_frequency(panel: Panel, known: KnownSeries) -> pd.offsets.BaseOffset | None:
    """Return the frequency of fit if the series have it; None lets it be inferred."""
    frequency = known.frequency
    is_known = frequency is not None and isinstance(panel.times, pd.DatetimeIndex)
    return frequency if is_known and are_all_on(panel, frequency) else None


def labels_of_latest(known: KnownSeries) -> pd.MultiIndex:
    """Return series, last time and variate of the most recent contexts."""
    panel = Panel.of(known.rows)
    ends = zip(panel.keys, panel.times[panel.last_codes], strict=True)
    labels = [(key, time, name) for key, time in ends for name in known.rows.columns]
    return _window_index(labels, known.rows)


def _window_index(labels: list[tuple[Any, ...]], like: pd.DataFrame) -> pd.MultiIndex:
    index = pd.MultiIndex.from_tuples(labels, names=["series", "time", "variate"])
    return index if isinstance(like.index, pd.MultiIndex) else index.droplevel("series")
