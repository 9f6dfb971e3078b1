"""What all forecasters share: sktime's contract, from series to forecast."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm._devices import own_random_numbers, resolve_device
from sktime_llm.errors import InputError
from sktime_llm.forecasting._checks import (
    check_observed,
    check_quantiles,
    check_times,
    check_varies,
    in_time_zone_of,
    warn_empty,
    warn_outliers,
    warn_short,
    with_columns_of,
)
from sktime_llm.forecasting._conformal import Calibration, errors_of
from sktime_llm.forecasting._covariates import (
    Covariates,
    count,
    covariates_of,
    further_covariates,
)
from sktime_llm.forecasting._hooks import MethodHooks
from sktime_llm.forecasting._horizon import steps_of
from sktime_llm.forecasting._known import (
    OF_FIT,
    Extension,
    KnownSeries,
    LastObserved,
    Registered,
    extend,
)
from sktime_llm.forecasting._panel import Key, Panel
from sktime_llm.forecasting._predicting import SeriesForecasts, forecast_series
from sktime_llm.forecasting._pretrained import network_of_checkpoint
from sktime_llm.forecasting._regular import check_frequency, frequency_of
from sktime_llm.forecasting._resuming import resume_of
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import last_rows, to_arrays, with_all_rows
from sktime_llm.forecasting._shape import (
    are_few,
    choose_shape,
    customary_horizon,
    rows_to_hold_out,
)
from sktime_llm.forecasting._training import (
    SeriesSplit,
    TrainingResult,
    held_out_windows,
    make_scalings,
    new_windows,
    split_in_time,
    train_on_all,
    train_on_new,
)
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.windows import Windows, shape_of


class BaseLLMForecaster(MethodHooks):
    """Base of the forecasters: fit, predict, update and pretrain.

    A subclass has the parameters that are read here as ``self.<name>`` in its
    constructor, implements `_build_network`, and overrides the other hooks where its
    method differs. `_default_context` is used where data are not few, and
    leaves as many rows for windows.
    """

    network_: ForecastNetwork
    history_: pd.DataFrame
    _known: KnownSeries
    pretrained_covariates_: Covariates | None
    _default_context: int | None = None

    # fit

    def _fit(
        self, y: pd.DataFrame, X: Any = None, fh: ForecastingHorizon | None = None
    ) -> "BaseLLMForecaster":
        y = self._with_rows(y)
        panel = Panel.of(y)
        series = to_arrays(panel)
        frequency = frequency_of(panel)
        check_frequency(panel, frequency)
        warn_outliers(panel, series)
        network, known = self._pretrained()
        covariates = covariates_of(self, X, y, network, known)
        is_new, n_epochs = network is None, self.fine_tune_epochs
        if network is None:
            network = self._new_network(panel, series, fh, covariates)
            n_epochs = self.max_epochs
        else:
            self._check_values(series, y.columns)
        lengths = [len(values) for values in series.values()]
        fraction = self._calibration_fraction()
        n_held_out = rows_to_hold_out(lengths, network.prediction_length, fraction)
        held_out = dict(zip(series, n_held_out, strict=True))
        training = {key: v[: len(v) - held_out[key]] for key, v in series.items()}
        split = self._split(training, network, covariates)
        scalings = self._make_scalings(split, whole=series)
        registered = self._register_series(
            network, split, y.columns, trains=n_epochs > 0
        )
        trained = self._train(
            network, split, scalings, registered, n_epochs, "fit", is_new=is_new
        )
        self._drop_unneeded(network)
        shape = shape_of(network)
        self.context_length_ = shape.context_length
        self.prediction_length_ = shape.prediction_length
        self.network_, self.history_ = network.eval(), trained.history
        self._known = KnownSeries(
            rows=last_rows(y, shape.total),
            past=y.copy(),
            last_observed=LastObserved.of_each(panel, series, shape.total),
            scalings=scalings,
            numbers=registered.last_numbers,
            row_numbers=registered.row_numbers(
                {k: len(v) for k, v in training.items()}
            ),
            frequency=frequency,
            descriptions=registered.descriptions,
            covariates=split.covariates,
        )
        windows = held_out_windows(
            self.network_, series, held_out, self._known, split.covariates
        )
        self._calibration = Calibration(self._errors(windows))
        self._n_rows = max(lengths)
        return self

    def _pretrained(self) -> tuple[ForecastNetwork | None, Covariates | None]:
        """Return what fit starts from: a copy of its own, or of the checkpoint's."""
        network = copy.deepcopy(getattr(self, "pretrained_network_", None))
        covariates = getattr(self, "pretrained_covariates_", None)
        if network is None and self.checkpoint is not None:
            network, covariates = network_of_checkpoint(self)
        if network is not None:
            check_quantiles(network, self.intervals)
        return network, covariates

    def _new_network(
        self,
        panel: Panel,
        series: Mapping[Key, np.ndarray],
        fh: ForecastingHorizon | None,
        covariates: Covariates | None,
    ) -> ForecastNetwork:
        if fh is not None and not fh.is_relative and self.cutoff is None:
            raise InputError(
                "pretrain was given an absolute fh, expected a relative one, such as "
                "[1, 2, 3]: a panel to pretrain on has no single last time."
            )
        last = 0 if fh is None else int(np.max(steps_of(fh, self.cutoff)))
        longest_step = last if last > 0 else None  # else it is all in the past
        few = are_few(series.values())
        shape = choose_shape(
            [len(values) for values in series.values()],
            context_length=self.context_length,
            default_context=None if few else self._default_context,
            prediction_length=self.prediction_length,
            longest_step=longest_step,
            default_horizon=customary_horizon(panel),
            validation_fraction=self.validation_fraction,
            calibration_fraction=self._calibration_fraction(),
        )
        check_observed(series, panel.rows.columns)
        check_varies(series)
        device = resolve_device(self.device)
        with own_random_numbers(self._seed()):
            network = self._build_network(shape)
            if covariates is not None:
                network.add_covariates(covariates.past_only.tolist())
        network.subtract_last = self._subtracts_last(few and len(series) == 1)
        return network.to(device)

    def _errors(self, windows: Windows | None) -> np.ndarray:
        """Return the errors of the network on windows that it does not know yet."""
        return errors_of(
            self.network_,
            windows,
            batch_size=self._prediction_batch_size(),
            precision=self.precision,
        )

    def _split(
        self,
        series: Mapping[Key, np.ndarray],
        network: ForecastNetwork,
        covariates: Covariates | None,
    ) -> SeriesSplit:
        shape = shape_of(network)
        warn_short(series, shape)
        split = split_in_time(series, shape, self.validation_fraction)
        if covariates is None:
            return split
        return split._replace(covariates=covariates.with_series(split.n_training_rows))

    def _make_scalings(self, split: SeriesSplit, **others: Any) -> dict[Key, Scaling]:
        return make_scalings(
            split,
            standardize=self.standardize,
            keep_level=self._needs_level(),
            **others,
        )

    def _train(
        self,
        network: ForecastNetwork,
        split: SeriesSplit,
        scalings: dict[Key, Scaling],
        registered: Registered,
        n_epochs: int,
        stage: str,
        *,
        is_new: bool,
    ) -> TrainingResult:
        if n_epochs == 0:
            return TrainingResult(pd.DataFrame())
        n_channels = next(iter(split.series.values())).shape[1]
        n_channels += count(split.covariates)
        config = self._training_config(n_channels, n_epochs)
        trained = train_on_all(
            network,
            split,
            scalings,
            registered.numbers,
            config,
            stage=stage,
            callbacks=self.callbacks or (),
            resume=resume_of(self, network, split, registered, stage, is_new=is_new),
        )
        self._interruption = trained.interruption
        return trained

    def _with_rows(
        self, y: pd.DataFrame, known: KnownSeries | None = None
    ) -> pd.DataFrame:
        """Add missing rows, if they are to count as missing values."""
        if self.missing != "mask":
            return y
        frequency = known and known.frequency
        return with_all_rows(y, frequency, goes_on=known is not None)

    # predict

    def _predict(self, fh: ForecastingHorizon, X: Any = None) -> pd.DataFrame:
        return self._forecast(fh, X).point_forecasts()

    def _forecast(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None
    ) -> SeriesForecasts:
        return forecast_series(
            self.network_,
            self._known,
            fh,
            X,
            batch_size=self._prediction_batch_size(),
            precision=self.precision,
        )

    def _prediction_batch_size(self) -> int:
        n_channels = self._known.rows.shape[1] + count(self._known.covariates)
        return int(self.batch_size or self._max_batch_size(n_channels))

    # update

    def _update(
        self, y: pd.DataFrame, X: Any = None, update_params: bool = True
    ) -> "BaseLLMForecaster":
        y = with_columns_of(self._known.rows, y)
        check_times(y, self._known.rows)
        y = in_time_zone_of(self._known.rows, y)
        y = self._with_rows(y, self._known)
        fills_gaps = self.missing == "mask"
        X = further_covariates(X, y, self._known.covariates, fills_gaps=fills_gaps)
        n_kept = shape_of(self.network_).total
        extension = extend(self._known, y, n_kept, fills_gaps=fills_gaps, X=X)
        seen = Panel.of(extension.seen)
        warn_outliers(seen, dict(zip(seen.keys, seen.arrays(), strict=True)), y.index)
        # of series that are known, and before any training on the new rows
        news = extension.of_known() if self._calibration.n else None
        errors = self._errors(news and new_windows(self.network_, news))
        trains = update_params and self.update_epochs > 0
        # a copy, since a fitted copy of this forecaster may hold the same network
        changes = trains or extension.new
        network = copy.deepcopy(self.network_) if changes else self.network_
        known, trained = extension.known, TrainingResult(pd.DataFrame())
        registered = Registered({})
        if extension.new:
            known, registered = self._register_new(network, extension, y.columns)
        if trains:
            n_channels = y.shape[1] + count(known.covariates)
            config = self._training_config(n_channels, self.update_epochs).of_update()
            extension = extension._replace(known=known)
            trained = train_on_new(
                network,
                extension,
                registered.numbers,
                config,
                callbacks=self.callbacks or (),
            )
        # nothing fails from here on
        self._known, self.network_ = known, network.eval()
        self._calibration = self._calibration.with_errors(errors)
        if len(trained.history):
            self.history_ = pd.concat(
                [self.history_, trained.history], ignore_index=True
            )
        self._interruption = trained.interruption
        self._move_cutoff(y)
        return self

    def _register_new(
        self, network: ForecastNetwork, extension: Extension, columns: pd.Index
    ) -> tuple[KnownSeries, Registered]:
        """Return what is known, new series included, and how these were registered."""
        warn_empty(extension.new, columns)
        split = split_in_time(
            extension.new, shape_of(network), self.validation_fraction
        )
        scalings = self._make_scalings(split, known=self._known.scalings)
        registered = self._register_series(network, split, columns, known=self._known)
        covariates = extension.known.covariates
        if covariates is not None:
            covariates = covariates.with_series(split.n_training_rows)
        known = replace(
            extension.known,
            covariates=covariates,
            scalings=extension.known.scalings | scalings,
            numbers=extension.known.numbers | registered.last_numbers,
            row_numbers=extension.known.row_numbers
            | registered.row_numbers({k: len(v) for k, v in extension.new.items()}),
            descriptions=registered.descriptions,
        )
        return known, registered

    # pretrain

    def _pretrain(
        self, y: pd.DataFrame, X: Any = None, fh: ForecastingHorizon | None = None
    ) -> "BaseLLMForecaster":
        y = self._with_rows(y)
        panel = Panel.of(y)
        network, known = self._pretrained()
        covariates = covariates_of(self, X, y, network, known)
        is_new = network is None
        if network is None:
            network = self._new_network(panel, to_arrays(panel), fh, covariates)
        return self._pretrain_network(network, panel, covariates, is_new=is_new)

    def _pretrain_update(
        self, y: pd.DataFrame, X: Any = None, fh: ForecastingHorizon | None = None
    ) -> "BaseLLMForecaster":
        if hasattr(self, "pretrained_network_"):
            known, covariates = self.pretrained_network_, self.pretrained_covariates_
        else:
            known, covariates = self.network_, self._known.covariates
        network, y = copy.deepcopy(known), self._with_rows(y)
        covariates = covariates_of(self, X, y, network, covariates)
        return self._pretrain_network(network, Panel.of(y), covariates, is_new=False)

    def _pretrain_network(
        self,
        network: ForecastNetwork,
        panel: Panel,
        covariates: Covariates | None,
        *,
        is_new: bool,
    ) -> "BaseLLMForecaster":
        series, columns = to_arrays(panel), panel.rows.columns
        if not is_new:
            check_observed(series, columns)
            self._restore_dropped(network)
        warn_outliers(panel, series)
        split = self._split(series, network, covariates)
        scalings = self._make_scalings(split)
        registered = self._register_series(network, split, columns, trains=True)
        n_epochs = self.max_epochs
        trained = self._train(
            network, split, scalings, registered, n_epochs, "pretrain", is_new=is_new
        )
        self.pretrain_history_ = trained.history
        self.pretrained_network_ = network.eval()
        self.pretrained_covariates_ = (
            split.covariates and split.covariates.only_columns()
        )
        for name in OF_FIT & vars(self).keys():  # of a fit before, which is over
            delattr(self, name)
        return self
