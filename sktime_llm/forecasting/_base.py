"""What all forecasters share: sktime's contract, from series to forecast."""

import copy
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from sktime_llm._devices import resolve_device, seeded
from sktime_llm.errors import InputError
from sktime_llm.forecasting._checks import (
    check_columns,
    check_complete,
    check_times,
    check_varies,
    columns_of,
    in_time_zone_of,
    naming_text_columns,
    warn_empty,
    warn_short,
)
from sktime_llm.forecasting._horizon import steps_of
from sktime_llm.forecasting._interrupting import InterruptMixin
from sktime_llm.forecasting._parameters import ParameterMixin
from sktime_llm.forecasting._predicting import PredictMixin
from sktime_llm.forecasting._recent import Earlier, extend_rows
from sktime_llm.forecasting._saving import SavingMixin
from sktime_llm.forecasting._series import (
    MTYPES,
    Key,
    check_frequency,
    frequency_of,
    last_rows,
    lengths_of,
    split_series,
    to_array,
)
from sktime_llm.forecasting._shape import choose_shape
from sktime_llm.forecasting._training import MAX_BATCH, TrainingMixin
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.trainer import on_main_process
from sktime_llm.training.windows import WindowShape, shape_of

_MAX_SEED = 2**31 - 1
_CHANGED_BY_UPDATE = (
    "network_",
    "history_",
    "_tail",
    "_earlier",
    "_scalings",
    "_numbers",
)


class BaseLLMForecaster(
    InterruptMixin,
    PredictMixin,
    TrainingMixin,
    SavingMixin,
    ParameterMixin,
    BaseForecaster,
):
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

    _default_context: int | None = None
    _X_columns: list[Any] | None = []
    _cutoff: Any  # of sktime

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

    def _drop_unneeded(self, network: ForecastNetwork) -> None:
        """Take out of a network, in place, what is of no use after `fit`."""

    def _put_back(self, network: ForecastNetwork) -> None:
        """Undo `_drop_unneeded`, in place, before `pretrain` trains on."""

    def _validation_loss(self) -> str:
        """Name of the distance by which epochs are compared."""
        return "mse"

    def _largest_batch(self, n_channels: int) -> int:
        """Most windows computed at once, unless `batch_size` says."""
        return MAX_BATCH

    # fitting

    def _fit(
        self,
        y: pd.DataFrame,
        X: pd.DataFrame | None = None,
        fh: ForecastingHorizon | None = None,
    ) -> "BaseLLMForecaster":
        parts = dict(split_series(y))
        series = self._read_parts(parts)
        frequency = frequency_of(y)
        check_frequency(parts, frequency)
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
            with network.training_context():
                pass  # what is kept for training alone is dropped
            self.history_ = pd.DataFrame()
        else:
            self.history_ = self._train_on_all(network, series, self._scalings, epochs)
        self._drop_unneeded(network)
        self._frequency = frequency
        self._known_cutoff = self._cutoff
        self.network_ = network.eval()
        self.context_length_ = shape.context_length
        self.prediction_length_ = shape.prediction_length
        # an update trains on windows that end in new rows, and begin in these
        self._tail = last_rows(y, shape.total)
        self._earlier = {
            key: Earlier.of(series[key], rows.index, shape.total)
            for key, rows in parts.items()
        }
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
        network = copy.deepcopy(known)
        self._put_back(network)
        return self._pretrain_further(network, self._read(y), y.columns)

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
        known = {name: getattr(self, name) for name in _CHANGED_BY_UPDATE}
        try:
            n_new, series, firsts = self._learn_rows(y)
            if update_params and self.update_epochs:
                self._train_on_recent(series, n_new, firsts)
        except BaseException:
            self.__dict__.update(known)
            self._cutoff = self._known_cutoff  # sktime has moved it already
            raise
        self._known_cutoff = self._cutoff
        return self

    def _learn_rows(
        self, y: pd.DataFrame
    ) -> tuple[list[int], dict[Key, np.ndarray], list[np.ndarray | None]]:
        """Take up new rows, and new series.

        Gives by series the number of new rows; all that is known now, oldest rows
        first; and what was observed before these.
        """
        check_columns(y, self._tail)
        check_times(y, self._tail)
        y = in_time_zone_of(self._tail, y)
        shape = shape_of(self.network_)
        before = {key: rows.index[-1] for key, rows in split_series(self._tail)}
        missing = self.get_tag("capability:missing_values")
        known = extend_rows(self._tail, y, self._frequency, allow_missing=missing)
        parts = dict(split_series(known))
        series = self._read_parts(parts)
        check_frequency(parts, self._frequency)
        times = {key: rows.index for key, rows in parts.items()}
        new = {key: values for key, values in series.items() if key not in before}
        scalings = {
            key: self._scalings[key].completed(series[key]) for key in before
        } | self._make_scalings(new, shape, self._scalings)
        if new:
            self._meet(new, y.columns)
        firsts = {key: self._earlier[key].until(times[key][0]) for key in before}
        self._scalings = scalings
        self._tail = last_rows(known, shape.total)
        self._earlier = {
            key: Earlier.of(values, times[key], shape.total, firsts.get(key))
            for key, values in series.items()
        }
        n_new = [
            int((index > before[key]).sum()) if key in before else len(index)
            for key, index in times.items()
        ]
        given = [firsts[key].values if key in firsts else None for key in series]
        return n_new, series, given

    def _meet(self, new: dict[Key, np.ndarray], columns: pd.Index) -> None:
        """Take up series that are not known yet."""
        warn_empty(new, columns)
        # a fitted copy of a forecaster may hold the same network
        network = copy.deepcopy(self.network_)
        self._introduce(network, new, columns, list(self._numbers))
        self.network_ = network.eval()
        numbers = {key: len(self._numbers) + i for i, key in enumerate(new)}
        self._numbers = {**self._numbers, **numbers}

    def _read(self, y: pd.DataFrame) -> dict[Key, np.ndarray]:
        return self._read_parts(dict(split_series(y)))

    def _read_parts(self, parts: dict[Key, pd.DataFrame]) -> dict[Key, np.ndarray]:
        missing = self.get_tag("capability:missing_values")
        return {
            key: to_array(rows, key, allow_missing=missing)
            for key, rows in parts.items()
        }

    def _set_cutoff_from_y(self, y: Any) -> None:
        """Let the cutoff know its frequency, which an absolute fh is counted by."""
        super()._set_cutoff_from_y(y)
        cutoff = self.cutoff
        if isinstance(cutoff, pd.DatetimeIndex) and cutoff.freq is None:
            with suppress(ValueError):  # of an irregular index, which _read explains
                known = getattr(self, "_frequency", None) or frequency_of(y)
                self._cutoff = pd.DatetimeIndex(cutoff, freq=known)

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
            longest_step = int(np.max(steps_of(fh, self.cutoff)))
        return choose_shape(
            lengths_of(series),
            context_length=self.context_length,
            default_context=self._default_context,
            prediction_length=self.prediction_length,
            longest_step=longest_step,
            validation_fraction=self.validation_fraction,
        )

    def _new_network(self, shape: WindowShape, n_channels: int) -> ForecastNetwork:
        device = resolve_device(self.device)
        with seeded(self._seed(), device):
            return self._build_network(shape, n_channels).to(device)

    def _seed(self) -> int:
        state = check_random_state(self.random_state)
        return on_main_process(lambda: int(state.randint(_MAX_SEED)))

    # input checks

    def _check_X_y(self, X: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Refuse columns of X in predict that fit did not see; else as sktime.

        What sktime refuses too, but without saying where, is named.
        """
        columns = columns_of(X)
        if not self.is_fitted:
            self._X_columns = columns
        elif y is None and columns is not None and self._X_columns is not None:
            unseen = [name for name in columns if name not in self._X_columns]
            if unseen:
                raise InputError(
                    f"X has the column(s) {unseen} in predict, which fit did not see; "
                    f"expected {self._X_columns}. (X is not used by "
                    f"{type(self).__name__}.)"
                )
        if not self.get_tag("capability:missing_values"):
            check_complete(y)
        with naming_text_columns(y):
            return super()._check_X_y(X=X, y=y, **kwargs)
