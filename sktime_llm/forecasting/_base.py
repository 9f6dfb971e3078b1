"""What all forecasters share: sktime's contract, from series to forecast."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sktime.datatypes import update_data
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from sktime_llm.errors import (
    ClippedParameterWarning,
    InputError,
)
from sktime_llm.forecasting._checks import (
    check_columns,
    check_varies,
    warn_short,
)
from sktime_llm.forecasting._parameters import ParameterMixin
from sktime_llm.forecasting._predicting import PredictMixin
from sktime_llm.forecasting._saving import SavingMixin, device_of
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import (
    MTYPES,
    Key,
    frequency_of,
    last_rows,
    pad_start,
    split_series,
    to_array,
)
from sktime_llm.forecasting._shape import choose_shape, validation_share
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.devices import resolve_device, seeded
from sktime_llm.training.trainer import TrainingConfig, train
from sktime_llm.training.windows import (
    Windows,
    WindowShape,
    shape_of,
    split_windows,
    stack_windows,
    train_rows,
    with_target,
)

_LARGEST_SEED = 2**31 - 1
_LEAST_BATCH, LARGEST_BATCH = 16, 256
_STEPS_OF_AN_EPOCH = 32


class BaseLLMForecaster(PredictMixin, SavingMixin, ParameterMixin, BaseForecaster):
    """Base of the forecasters; the only place that knows sktime's contract.

    A subclass has the parameters that are read here as ``self.<name>`` in its
    constructor, and implements `_build_network`.
    """

    _tags = {
        "authors": ["sktime-llm developers"],
        "maintainers": ["sktime-llm developers"],
        "python_dependencies": ["torch", "transformers", "peft", "accelerate"],
        "y_inner_mtype": MTYPES,
        "X_inner_mtype": MTYPES,
        "capability:multivariate": True,
        "capability:exogenous": False,
        "capability:insample": False,
        "capability:pred_int": False,
        "capability:missing_values": False,
        "capability:update": True,
        "capability:unequal_length": True,
        "capability:pretrain": True,
        "capability:random_state": True,
        "property:randomness": "derandomized",
        "pretrain:fitted_params": ["pretrained_network_", "pretrain_history_"],
        "requires-fh-in-fit": False,
        "X-y-must-have-same-index": False,
    }
    # the recent rows that a forecast needs are kept here, the rest is not
    _config = {"remember_data": False}

    _X_columns: list[Any] = []

    def __init__(self) -> None:
        super().__init__()
        # sktime makes these only if remember_data is on at this point
        self._y = self._X = None

    def _build_network(self, shape: WindowShape, n_channels: int) -> ForecastNetwork:
        """Make the untrained network, on the CPU."""
        raise NotImplementedError

    def _introduce(
        self,
        network: ForecastNetwork,
        new: dict[Key, np.ndarray],
        columns: pd.Index,
        known: Sequence[Key] = (),
    ) -> None:
        """Tell a network of series that it is to forecast, before it trains on them.

        Parameters
        ----------
        network : ForecastNetwork
            Changed in place.
        new : dict of key to array of shape (time, channel)
            In the data's units; their numbers follow those of the known.
        columns : pandas.Index
            Names of the channels.
        known : sequence of key
            Series that the network keeps, the first ones; it forgets all others.
        """

    def _validation_loss(self) -> str:
        """Name of the distance by which epochs are compared."""
        return "mse"

    def _largest_batch(self, n_channels: int) -> int:
        """Most windows computed at once, unless `batch_size` says."""
        return LARGEST_BATCH

    # fitting

    def _fit(
        self,
        y: pd.DataFrame,
        X: pd.DataFrame | None = None,
        fh: ForecastingHorizon | None = None,
    ) -> "BaseLLMForecaster":
        series = self._read(y)
        pretrained = getattr(self, "pretrained_network_", None)
        if pretrained is None:
            shape = self._choose_shape(series, fh)
            check_varies(series, y.columns)
            network = self._new_network(shape, y.shape[1])
            epochs = self.max_epochs
        else:
            shape = shape_of(pretrained)
            network = copy.deepcopy(pretrained)
            epochs = self.fine_tune_epochs
        warn_short(series, shape)
        self._scalings = self._make_scalings(series, shape)
        self._numbers = {key: i for i, key in enumerate(series)}
        self._introduce(network, series, y.columns)
        if pretrained is not None and epochs == 0:
            with network.remember():
                pass  # what is kept for training alone is dropped
            self.history_ = pd.DataFrame()
        else:
            self.history_ = self._train_on_all(network, series, self._scalings, epochs)
        self._frequency = frequency_of(y)
        self.network_ = network.eval()
        self.context_length_ = shape.context_length
        self.prediction_length_ = shape.prediction_length
        # an update trains on windows that end in new rows, and begin in these
        self._tail = last_rows(y, shape.total)
        return self

    def _pretrain(
        self,
        y: pd.DataFrame,
        X: pd.DataFrame | None = None,
        fh: ForecastingHorizon | None = None,
    ) -> "BaseLLMForecaster":
        series = self._read(y)
        shape = self._choose_shape(series, fh)
        check_varies(series, y.columns)
        warn_short(series, shape)
        network = self._new_network(shape, y.shape[1])
        return self._pretrain_further(network, series, y.columns)

    def _pretrain_update(
        self,
        y: pd.DataFrame,
        X: pd.DataFrame | None = None,
        fh: ForecastingHorizon | None = None,
    ) -> "BaseLLMForecaster":
        known = getattr(self, "pretrained_network_", None) or self.network_
        return self._pretrain_further(copy.deepcopy(known), self._read(y), y.columns)

    def _pretrain_further(
        self, network: ForecastNetwork, series: dict[Key, np.ndarray], columns: pd.Index
    ) -> "BaseLLMForecaster":
        scalings = self._make_scalings(series, shape_of(network))
        self._introduce(network, series, columns)
        self.pretrain_history_ = self._train_on_all(
            network, series, scalings, self.max_epochs
        )
        self.pretrained_network_ = network.eval()
        return self

    def _update(
        self,
        y: pd.DataFrame,
        X: pd.DataFrame | None = None,
        update_params: bool = True,
    ) -> "BaseLLMForecaster":
        check_columns(y, self._tail)
        shape = shape_of(self.network_)
        before = {key: rows.index[-1] for key, rows in split_series(self._tail)}
        known = update_data(self._tail, y)
        series = self._read(known)
        new = {key: values for key, values in series.items() if key not in before}
        if new:
            self._scalings = {**self._scalings, **self._make_scalings(new, shape)}
            numbers = {key: len(self._numbers) + i for i, key in enumerate(new)}
            # a fitted copy of a forecaster may hold the same network
            network = copy.deepcopy(self.network_)
            self._introduce(network, new, y.columns, list(self._numbers))
            self.network_ = network.eval()
            self._numbers = {**self._numbers, **numbers}
        # before training, so that an interrupted one leaves rows and cutoff in step
        self._tail = last_rows(known, shape.total)
        if update_params and self.update_epochs:
            n_new = [
                int((rows.index > before[key]).sum()) if key in before else len(rows)
                for key, rows in split_series(known)
            ]
            self._train_on_recent(series, n_new)
        return self

    def _read(self, y: pd.DataFrame) -> dict[Key, np.ndarray]:
        missing = self.get_tag("capability:missing_values")
        return {
            key: to_array(rows, key, allow_missing=missing)
            for key, rows in split_series(y)
        }

    def _choose_shape(
        self, series: dict[Key, np.ndarray], fh: ForecastingHorizon | None
    ) -> WindowShape:
        longest_step = None
        if fh is not None and not fh.is_relative and self.cutoff is None:
            raise InputError(
                "pretrain was given an absolute fh, expected a relative one, such as "
                "[1, 2, 3]: a panel to pretrain on has no single last time."
            )
        if fh is not None:
            longest_step = int(np.max(fh.to_relative(self.cutoff).to_pandas()))
        return choose_shape(
            _lengths(series),
            context_length=self.context_length,
            prediction_length=self.prediction_length,
            longest_step=longest_step,
            validation_fraction=self.validation_fraction,
        )

    def _new_network(self, shape: WindowShape, n_channels: int) -> ForecastNetwork:
        device = resolve_device(self.device)
        with seeded(self._seed(), device):
            return self._build_network(shape, n_channels).to(device)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(_LARGEST_SEED))

    def _make_scalings(
        self, series: dict[Key, np.ndarray], shape: WindowShape
    ) -> dict[Key, Scaling]:
        """Take the statistics of each series' training part."""
        if not self.standardize:
            return {key: Scaling.identity(v.shape[1]) for key, v in series.items()}
        share = self._validation_share(series, shape)
        return {
            key: Scaling.of(values[: train_rows(len(values), shape, share)])
            for key, values in series.items()
        }

    def _validation_share(
        self, series: dict[Key, np.ndarray], shape: WindowShape
    ) -> float:
        return validation_share(
            _lengths(series), shape.prediction_length, self.validation_fraction
        )

    # training

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
        if share and not len(windows[1]):
            warnings.warn(
                f"validation_fraction={self.validation_fraction} leaves no window to "
                f"train on; the longest series has {max(_lengths(series))} rows. All "
                f"{max_epochs} epochs are trained, on all rows.",
                ClippedParameterWarning,
                stacklevel=2,
            )
        return self._train(network, *windows, max_epochs).assign(stage="fit")

    def _train_on_recent(self, series: dict[Key, np.ndarray], n_new: list[int]) -> None:
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
        numbers = [self._numbers[key] for key in series]
        (windows,) = stack_windows(scaled, [starts], shape, device_of(network), numbers)
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
            schedule=self.lr_schedule,
            schedule_epochs=self.cosine_epochs,
            gradient_clip=self.gradient_clip,
            steps_per_epoch=self.steps_per_epoch,
            validation_loss=self._validation_loss(),
            precision=self.precision,
            seed=self._seed(),
            verbose=self.verbose,
        )
        return pd.DataFrame(train(network, training, validation, config))

    # input checks

    def _check_X_y(
        self, X: pd.DataFrame | None = None, y: Any = None, **kwargs: Any
    ) -> tuple[Any, Any]:
        """Refuse columns of X in predict that fit did not see; else as sktime."""
        columns = list(X.columns) if isinstance(X, pd.DataFrame) else []
        if not self.is_fitted:
            self._X_columns = columns
        elif y is None:
            unseen = [name for name in columns if name not in self._X_columns]
            if unseen:
                raise InputError(
                    f"X has the column(s) {unseen} in predict, which fit did not see; "
                    f"expected {self._X_columns}. (X is not used by "
                    f"{type(self).__name__}.)"
                )
        return super()._check_X_y(X=X, y=y, **kwargs)


def _lengths(series: dict[Key, np.ndarray]) -> list[int]:
    return [len(values) for values in series.values()]


def _default_batch_size(n_windows: int, most: int) -> int:
    """Make some 32 steps an epoch, of 16 windows or more."""
    return min(most, max(_LEAST_BATCH, n_windows // _STEPS_OF_AN_EPOCH))


def _last_starts(n_rows: int, n_new: int, shape: WindowShape) -> np.ndarray:
    """Starts of the windows that end in the last `n_new` rows of a series."""
    n_windows = n_rows - shape.total + 1
    return np.arange(max(0, n_windows - n_new), n_windows)
