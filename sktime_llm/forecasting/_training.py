"""From series to windows, and from windows to a trained network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import NamedTuple

import numpy as np
import pandas as pd

from sktime_llm._warn import warn
from sktime_llm.errors import ClippedParameterWarning, TrainingInterrupted
from sktime_llm.forecasting._covariates import Covariates
from sktime_llm.forecasting._known import Extension, KnownSeries
from sktime_llm.forecasting._panel import Key
from sktime_llm.forecasting._scaling import Scaling, Typical, common_scale
from sktime_llm.forecasting._series import pad_start
from sktime_llm.forecasting._shape import share_held_out
from sktime_llm.forecasting.saving import device_of
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.callbacks import Callback
from sktime_llm.training.config import TrainingConfig
from sktime_llm.training.resuming import Resume
from sktime_llm.training.trainer import train
from sktime_llm.training.windows import (
    Split,
    Windows,
    WindowShape,
    shape_of,
    stack_windows,
    with_target,
)


class TrainingResult(NamedTuple):
    """The epochs of a training, and what interrupted it, if anything did.

    That is a TrainingInterrupted, or what a callback raised.
    """

    history: pd.DataFrame
    interruption: BaseException | None = None


class SeriesSplit(NamedTuple):
    """Several series and their split into training and validation windows.

    `series`, (time, channel), are in the data's units; `padded` are the same, repeated
    at the start up to the length of a window, and `split` is theirs. `wanted_share` is
    the share of rows to validate on, were there enough of them. `covariates` are those
    at all rows, also at the ends of series that are held out.
    """

    series: Mapping[Key, np.ndarray]
    padded: dict[Key, np.ndarray]
    split: Split
    wanted_share: float
    covariates: Covariates | None = None

    def first_ends(self) -> dict[Key, int]:
        """Rows of each series, at least one, before the first target of a window."""
        ends = {}
        starts = zip(self.split.training, self.split.validation, strict=True)
        for (key, values), each in zip(self.series.items(), starts, strict=True):
            padding = len(self.padded[key]) - len(values)
            first = min((int(at[0]) for at in each if len(at)), default=len(values))
            end = first + self.split.shape.context_length - padding
            ends[key] = min(max(1, end), len(values))
        return ends

    def numbers(self, first: int) -> dict[Key, np.ndarray]:
        """Number the series from `first` on, whatever the row."""
        return {
            key: np.full(len(values) + 1, first + i)
            for i, (key, values) in enumerate(self.padded.items())
        }

    @property
    def n_training_rows(self) -> dict[Key, int]:
        """Rows of each series that are for training."""
        return dict(zip(self.series, self.split.n_training_rows, strict=True))


def split_in_time(
    series: Mapping[Key, np.ndarray],
    shape: WindowShape,
    validation_fraction: float | None,
) -> SeriesSplit:
    """Split series; do not validate where either part would have no window."""
    lengths = [len(values) for values in series.values()]
    share = share_held_out(lengths, shape.prediction_length, validation_fraction)
    padded = {key: pad_start(values, shape.total) for key, values in series.items()}
    split = Split.of(list(padded.values()), shape, share)
    if share and not split.has_both:
        split = Split.of(list(padded.values()), shape, 0.0)
    return SeriesSplit(series, padded, split, share)


def make_scalings(
    parts: SeriesSplit,
    *,
    standardize: bool,
    keep_level: bool = False,
    known: Mapping[Key, Scaling] | None = None,
    whole: Mapping[Key, np.ndarray] | None = None,
) -> dict[Key, Scaling]:
    """Scale each series by its training part, or all by one number.

    That number is the one of the `known` scalings, if there are any. The level is
    subtracted in float64 all the same, unless it is to be kept: float32 would lose
    small changes at a high level. What stands still in the training part is scaled by
    all rows, those of the `whole` series, or else as `known` or other series are.
    """
    series, ends = list(parts.series.values()), parts.split.n_training_rows
    each = dict(zip(parts.series, Scaling.of_each(series, ends), strict=True))
    if whole:
        each |= {key: each[key].completed(whole[key]) for key in _still(each)}
    if standardize or not each:
        if still := _still(each):
            typical = Typical.of((known or each).values())
            each |= {key: each[key].filled(typical) for key in still}
        return each
    if known:
        scale = float(next(iter(known.values())).scale[0])
    else:
        scale = common_scale(each.values())
    return {
        key: scaling.rescaled(scale, keep_level=keep_level)
        for key, scaling in each.items()
    }


def _still(each: Mapping[Key, Scaling]) -> list[Key]:
    """Return the series of which some variate does not vary."""
    if not each:
        return []
    # np.stack has a call for each series
    varies = np.concatenate([one.known for one in each.values()])
    varies = varies.reshape(len(each), -1)
    return list(compress(each, np.atleast_1d(~varies.all(axis=1))))


def train_on_all(
    network: ForecastNetwork,
    parts: SeriesSplit,
    scalings: Mapping[Key, Scaling],
    numbers: Mapping[Key, np.ndarray],
    config: TrainingConfig,
    *,
    stage: str = "fit",
    callbacks: Sequence[Callback] = (),
    resume: Resume | None = None,
) -> TrainingResult:
    """Train a network in place on all training windows of all series."""
    scaled = [scalings[key].apply(values) for key, values in parts.padded.items()]
    training, validation = parts.split.windows(
        scaled,
        device_of(network),
        [numbers[key] for key in parts.padded],
        _padded_covariates(parts.covariates, parts.series, parts.split.shape),
        max_validation=config.max_validation_windows,
    )
    if parts.wanted_share and not len(validation):
        _warn_no_validation(parts, config.max_epochs)
    return _train(network, training, validation, config, stage, callbacks, resume)


def train_on_new(
    network: ForecastNetwork,
    extension: Extension,
    numbers: Mapping[Key, np.ndarray],
    config: TrainingConfig,
    *,
    callbacks: Sequence[Callback] = (),
) -> TrainingResult:
    """Train a network in place on the windows that end in new rows, if any do.

    `numbers` are those of new series.
    """
    windows = new_windows(network, extension, numbers)
    if windows is None:
        return TrainingResult(pd.DataFrame())
    return _train(network, windows, None, config, "update", callbacks)


def new_windows(
    network: ForecastNetwork,
    extension: Extension,
    numbers: Mapping[Key, np.ndarray] | None = None,
) -> Windows | None:
    """Return the windows that end in new rows, if any do."""
    known, shape = extension.known, shape_of(network)
    starts = {
        key: _last_starts(max(len(values), shape.total), new, shape)
        for (key, values), new in zip(
            extension.series.items(), extension.n_new, strict=True
        )
    }
    firsts = dict(zip(extension.series, extension.first_observed, strict=True))
    covariates = extension.covariates
    if covariates is not None and known.covariates is not None:  # with new series
        covariates = replace(covariates, scalings=known.covariates.scalings)
    return windows_of(
        network, extension.series, starts, known, firsts, numbers, covariates
    )


def held_out_windows(
    network: ForecastNetwork,
    series: Mapping[Key, np.ndarray],
    n_held_out: Mapping[Key, int],
    known: KnownSeries,
    covariates: Covariates | None = None,
) -> Windows | None:
    """Return the windows whose targets are in the last rows of series, if any are."""
    shape = shape_of(network)
    starts = {
        key: _last_starts(
            max(len(values), shape.total),
            n_held_out[key] - shape.prediction_length + 1,
            shape,
        )
        for key, values in series.items()
        if n_held_out[key]
    }
    held_out = {key: series[key] for key in starts}
    return windows_of(network, held_out, starts, known, covariates=covariates)


def windows_of(
    network: ForecastNetwork,
    series: Mapping[Key, np.ndarray],
    starts: Mapping[Key, np.ndarray],
    known: KnownSeries,
    first_observed: Mapping[Key, np.ndarray | None] | None = None,
    numbers: Mapping[Key, np.ndarray] | None = None,
    covariates: Covariates | None = None,
) -> Windows | None:
    """Return windows of known series, given where they start once padded, if any."""
    shape, firsts = shape_of(network), first_observed or {}
    number_of: dict[Key, int | np.ndarray] = {**known.numbers, **(numbers or {})}
    scaled = {
        key: pad_start(known.scalings[key].apply(values), shape.total)
        for key, values in series.items()
    }
    with_targets = [with_target(scaled[key], starts[key], shape) for key in series]
    if not any(map(len, with_targets)):
        return None
    observed = (firsts.get(key) for key in series)
    (windows,) = stack_windows(
        list(scaled.values()),
        [with_targets],
        shape,
        device_of(network),
        [number_of[key] for key in series],
        [
            None if first is None else known.scalings[key].apply(first)
            for key, first in zip(series, observed, strict=True)
        ],
        _padded_covariates(covariates, series, shape),
    )
    return windows


def _padded_covariates(
    covariates: Covariates | None,
    series: Mapping[Key, np.ndarray],
    shape: WindowShape,
) -> list[np.ndarray] | None:
    """Return scaled covariates at the rows of series that are padded for windows."""
    if covariates is None:
        return None
    scaled = covariates.scaled()
    return [
        pad_start(scaled[key][: len(values)], shape.total)
        for key, values in series.items()
    ]


def _train(
    network: ForecastNetwork,
    training: Windows,
    validation: Windows | None,
    config: TrainingConfig,
    stage: str,
    callbacks: Sequence[Callback],
    resume: Resume | None = None,
) -> TrainingResult:
    if training.last_observed is not None:
        for weights in network.missing_weights():
            weights.requires_grad_(True)
    interruption: BaseException | None = None
    try:
        records = train(
            network,
            training,
            validation,
            config,
            stage=stage,
            callbacks=callbacks,
            resume=resume,
        )
    except TrainingInterrupted as raised:
        records = list(raised.records)
        interruption = raised if raised.__cause__ is None else raised.__cause__
    return TrainingResult(pd.DataFrame(records).assign(stage=stage), interruption)


def _warn_no_validation(parts: SeriesSplit, max_epochs: int) -> None:
    series = parts.series.values()
    missing = np.isnan(np.concatenate([values.ravel() for values in series])).mean()
    share = f", and {missing:.0%} of all values are missing" if missing else ""
    warn(
        f"validation_fraction={parts.wanted_share} leaves no window to train on, or "
        f"none to validate on; the longest series has {max(map(len, series))} "
        f"rows{share}. All {max_epochs} epochs are trained, on all rows.",
        ClippedParameterWarning,
    )


def _last_starts(n_rows: int, n_new: int, shape: WindowShape) -> np.ndarray:
    """Return the starts of the windows that end in the last `n_new` rows."""
    n_windows = n_rows - shape.total + 1
    return np.arange(max(0, n_windows - n_new), n_windows)
