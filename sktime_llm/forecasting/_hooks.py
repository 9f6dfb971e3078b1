"""Where the methods differ: what a forecaster may override."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sktime_llm.forecasting._checkpoint import TensorInfo
from sktime_llm.forecasting._checks import check_observed, warn_empty
from sktime_llm.forecasting._contract import SktimeForecaster
from sktime_llm.forecasting._known import KnownSeries, Registered
from sktime_llm.forecasting._panel import Key
from sktime_llm.forecasting._training import SeriesSplit
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.config import MAX_BATCH_SIZE, TrainingConfig
from sktime_llm.training.processes import on_main_process
from sktime_llm.training.windows import WindowShape

_MAX_SEED = 2**31 - 1


class MethodHooks(SktimeForecaster):
    """Hooks of `BaseLLMForecaster`, and what parameters are in its training.

    Every hook except `_build_network` has a default. `_max_variates` is the most that
    is computed at once if `batch_size` is None.
    """

    _max_variates: int | None = None
    _is_transferred = False  # to series of which one may have no value

    def _build_network(self, shape: WindowShape) -> ForecastNetwork:
        """Return the untrained network, on the CPU."""
        raise NotImplementedError

    def _rebuild_network(
        self, shape: WindowShape, tensors: Mapping[str, TensorInfo]
    ) -> ForecastNetwork:
        """Return a network with the structure of one whose tensors are known."""
        return self._build_network(shape)

    def _register_series(
        self,
        network: ForecastNetwork,
        split: SeriesSplit,
        columns: pd.Index,
        *,
        known: KnownSeries | None = None,
        trains: bool = False,
    ) -> Registered:
        """Make a network know series, in place; return numbers, and all descriptions.

        Series `known` from before remain; all others are forgotten. `trains` says
        whether the network is trained on the series next.
        """
        return Registered(split.numbers(0 if known is None else len(known.numbers)))

    def _drop_unneeded(self, network: ForecastNetwork) -> None:
        """Remove from a network, in place, what only `fit` needs."""

    def _restore_dropped(self, network: ForecastNetwork) -> None:
        """Undo `_drop_unneeded`, in place, before `pretrain` trains further."""

    def _validation_loss(self) -> str:
        """Return the name of the distance by which epochs are compared."""
        return "mse"

    def _needs_level(self) -> bool:
        """Whether a loss depends on the level of the data, as percentages do."""
        return False

    def _subtracts_last(self, by_default: bool) -> bool:
        """Return whether windows are to be relative to their last value."""
        subtract_last = getattr(self, "subtract_last", False)  # not all have a choice
        return by_default if subtract_last is None else bool(subtract_last)

    def _check_values(
        self, series: Mapping[Key, np.ndarray], columns: pd.Index
    ) -> None:
        """Raise if there is no value that a pretrained network can forecast from."""
        check = warn_empty if self._is_transferred else check_observed
        check(series, columns)

    # parameters, as training takes them

    def _training_config(self, n_channels: int, n_epochs: int) -> TrainingConfig:
        parameters = self.get_params(deep=False)
        settings = {
            field.name: parameters[field.name]
            for field in fields(TrainingConfig)
            if field.name in parameters
        } | {
            "max_epochs": n_epochs,
            "max_batch_size": self._max_batch_size(n_channels),
            "validation_loss": self._validation_loss(),
            "seed": self._seed(),
        }
        return TrainingConfig(**settings)

    def _max_batch_size(self, n_channels: int) -> int:
        """Return the maximum of windows computed at once if `batch_size` is None.

        Covariates count as channels.
        """
        if self._max_variates is None:
            return MAX_BATCH_SIZE
        return max(1, min(MAX_BATCH_SIZE, self._max_variates // n_channels))

    def _seed(self) -> int:
        state = check_random_state(self.random_state)
        return on_main_process(lambda: int(state.randint(_MAX_SEED)))
