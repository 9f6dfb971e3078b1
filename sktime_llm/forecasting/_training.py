"""From series to windows that a forecaster's network is trained on."""

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sktime_llm.errors import ClippedParameterWarning, TrainingInterrupted
from sktime_llm.forecasting._saving import device_of
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import Key, lengths_of, pad_start
from sktime_llm.forecasting._shape import validation_share
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.trainer import TrainingConfig, train
from sktime_llm.training.windows import (
    Windows,
    WindowShape,
    has_both_parts,
    shape_of,
    split_windows,
    stack_windows,
    train_rows,
    with_target,
)

_MIN_BATCH, MAX_BATCH = 16, 256
_STEPS_OF_AN_EPOCH = 32


class TrainingMixin:
    """Of forecasters with the parameters of training, and series that they scaled."""

    network_: ForecastNetwork
    history_: pd.DataFrame
    _scalings: dict[Key, Scaling]
    _numbers: dict[Key, int]
    # parameters and methods of the base
    learning_rate: float
    batch_size: int | None
    validation_fraction: float | None
    patience: int | None
    optimizer: str
    weight_decay: float
    lr_schedule: str
    cosine_epochs: int
    gradient_clip: float | None
    steps_per_epoch: int | None
    standardize: bool
    update_epochs: int
    precision: str
    verbose: int
    _seed: Any
    _validation_loss: Any
    _largest_batch: Any
    _interruption: TrainingInterrupted | None

    def _make_scalings(
        self,
        series: dict[Key, np.ndarray],
        shape: WindowShape,
        known: Mapping[Key, Scaling] | None = None,
    ) -> dict[Key, Scaling]:
        """Take the statistics of each series' training part; or one scale for all."""
        if not series:
            return {}
        share = self._validation_share(series, shape)
        n_train = {k: train_rows(len(v), shape, share) for k, v in series.items()}
        if known and not self.standardize:
            return dict.fromkeys(series, next(iter(known.values())))
        each = {k: Scaling.of(v, n_train[k]) for k, v in series.items()}
        if self.standardize:
            return each
        return dict.fromkeys(series, Scaling.common(list(each.values())))

    def _validation_share(
        self, series: dict[Key, np.ndarray], shape: WindowShape
    ) -> float:
        """Share of rows to validate on; 0 if they or the others have no window."""
        share = self._wanted_share(series, shape)
        padded = [pad_start(values, shape.total) for values in series.values()]
        return share if share and has_both_parts(padded, shape, share) else 0.0

    def _wanted_share(self, series: dict[Key, np.ndarray], shape: WindowShape) -> float:
        return validation_share(
            lengths_of(series), shape.prediction_length, self.validation_fraction
        )

    def _train_on_all(
        self,
        network: ForecastNetwork,
        series: dict[Key, np.ndarray],
        scalings: dict[Key, Scaling],
        max_epochs: int,
    ) -> pd.DataFrame:
        """Train in place on all windows of all series; give the history."""
        shape = shape_of(network)
        scaled = [
            pad_start(scalings[key].apply(values), shape.total)
            for key, values in series.items()
        ]
        share = self._validation_share(series, shape)
        windows = split_windows(scaled, shape, share, device_of(network))
        if not share and self._wanted_share(series, shape):
            warnings.warn(
                f"validation_fraction={self.validation_fraction} leaves no window to "
                "train on, or none to validate on; the longest series has "
                f"{max(lengths_of(series))} rows{_of_which(series)}. All {max_epochs} "
                "epochs are trained, on all rows.",
                ClippedParameterWarning,
                stacklevel=2,
            )
        return self._train(network, *windows, max_epochs).assign(stage="fit")

    def _train_on_recent(
        self,
        series: dict[Key, np.ndarray],
        n_new: list[int],
        firsts: list[np.ndarray | None],
    ) -> None:
        """Train on the windows that end in the new rows; append to the history."""
        # a fitted copy of a forecaster may hold the same network
        network = copy.deepcopy(self.network_)
        shape = shape_of(network)
        scaled = [
            pad_start(self._scalings[key].apply(values), shape.total)
            for key, values in series.items()
        ]
        starts = [
            with_target(values, _last_starts(len(values), new, shape), shape)
            for values, new in zip(scaled, n_new, strict=True)
        ]
        if not sum(map(len, starts)):
            return
        (windows,) = stack_windows(
            scaled,
            [starts],
            shape,
            device_of(network),
            [self._numbers[key] for key in series],
            [
                None if first is None else self._scalings[key].apply(first)
                for key, first in zip(series, firsts, strict=True)
            ],
        )
        history = self._train(network, windows, None, self.update_epochs)
        history = history.assign(stage="update")
        self.network_ = network.eval()
        self.history_ = pd.concat([self.history_, history], ignore_index=True)

    def _train(
        self,
        network: ForecastNetwork,
        training: Windows,
        validation: Windows | None,
        max_epochs: int,
    ) -> pd.DataFrame:
        most = self._largest_batch(training.n_channels)
        config = TrainingConfig(
            learning_rate=self.learning_rate,
            max_epochs=max_epochs,
            batch_size=(
                _default_batch_size(len(training), most)
                if self.batch_size is None
                else self.batch_size
            ),
            patience=self.patience,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            lr_schedule=self.lr_schedule,
            cosine_epochs=self.cosine_epochs,
            gradient_clip=self.gradient_clip,
            steps_per_epoch=self.steps_per_epoch,
            validation_loss=self._validation_loss(),
            precision=self.precision,
            seed=self._seed(),
            verbose=self.verbose,
        )
        try:
            return pd.DataFrame(train(network, training, validation, config))
        except TrainingInterrupted as interruption:
            self._interruption = interruption
            return pd.DataFrame(interruption.records)


def _of_which(series: dict[Key, np.ndarray]) -> str:
    missing = np.mean(np.concatenate([np.isnan(v).ravel() for v in series.values()]))
    return f", and {missing:.0%} of all values are missing" if missing else ""


def _default_batch_size(n_windows: int, most: int) -> int:
    """Make some 32 steps an epoch, of 16 windows or more."""
    return min(most, max(_MIN_BATCH, n_windows // _STEPS_OF_AN_EPOCH))


def _last_starts(n_rows: int, n_new: int, shape: WindowShape) -> np.ndarray:
    """Starts of the windows that end in the last `n_new` rows of a series."""
    n_windows = n_rows - shape.total + 1
    return np.arange(max(0, n_windows - n_new), n_windows)
