"""sktime's contract, kept for all forecasters in one place."""

import importlib
import numbers
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from sktime_llm._devices import autocast, resolve_device
from sktime_llm._validation import Constraint, check_parameters, one_of
from sktime_llm._warn import warn
from sktime_llm.backbone.make import BackboneChoice, BackboneSizes
from sktime_llm.errors import (
    ClippedParameterWarning,
    NoIntervalsError,
    PretrainingLostWarning,
)
from sktime_llm.forecasting._conformal import Calibration
from sktime_llm.forecasting._given import (
    check_ids,
    check_numeric,
    check_shares,
    check_unused_covariates,
    columns_of,
    explaining,
    with_plain_ids,
)
from sktime_llm.forecasting._horizon import check_kind
from sktime_llm.forecasting._known import KnownSeries
from sktime_llm.forecasting._panel import Panel
from sktime_llm.forecasting._parameters import SHARED_CONSTRAINTS
from sktime_llm.forecasting._regular import frequency_of
from sktime_llm.forecasting._resuming import check_seeded
from sktime_llm.forecasting._series import MTYPES
from sktime_llm.forecasting.pretrained import PretrainedFolders
from sktime_llm.forecasting.saving import (
    load,
    move_networks,
    with_networks_on_cpu,
    write_zip,
)

_TINY = {
    "backbone": "tiny-random",
    "context_length": 4,
    "prediction_length": 2,
    "calibration_fraction": 0.3,
    "max_epochs": 1,
    "random_state": 0,
    "verbose": 0,
}
_ENCODER = {"validation_fraction": 0.0, "intervals": "quantiles"}
_DECODER = {
    "backbone": "tiny-random-decoder",
    "steps_per_epoch": 2,
    "fine_tune_epochs": 1,
}


class SktimeForecaster(PretrainedFolders, BaseForecaster):
    """What sktime asks of a forecaster beside `_fit`, `_predict` and `_update`."""

    _tags = {
        "authors": ["sktime-llm developers"],
        "maintainers": ["sktime-llm developers"],
        "python_dependencies": ["torch", "transformers", "peft", "accelerate"],
        "y_inner_mtype": MTYPES,
        "X_inner_mtype": MTYPES,
        "capability:multivariate": True,
        "capability:exogenous": False,
        "capability:insample": True,
        "capability:pred_int": True,
        "capability:missing_values": True,
        "capability:update": True,
        "capability:unequal_length": True,
        "capability:pretrain": True,
        "capability:random_state": True,
        "property:randomness": "derandomized",
        "pretrain:fitted_params": [
            "pretrained_network_",
            "pretrain_history_",
            "pretrained_covariates_",
        ],
        "requires-fh-in-fit": False,
        "X-y-must-have-same-index": False,
    }
    # rows are kept in `_known`, once
    _config = {"remember_data": False}

    _parameter_constraints: ClassVar[Mapping[str, Constraint]] = SHARED_CONSTRAINTS
    _test_params: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    """A method's own parameters for sktime's tests, and more for those of a decoder."""
    _known: KnownSeries
    _forecast: Any
    _calibration: Calibration
    calibration_fraction: float | None
    intervals: str | None
    missing: str
    _backbone_sizes: BackboneSizes | None = None  # while a checkpoint is read
    _X_columns: list[Any] | None = []
    _interruption: BaseException | None = None
    _cutoff: Any  # of sktime

    def __init__(self) -> None:
        super().__init__()
        # sktime makes these only if remember_data is on at this point
        self._y = self._X = None

    def __dynamic_tags__(self) -> None:
        """Let forecasters without intervals say so."""
        has_intervals = self.intervals is not None or self._has_variance()
        self.set_tags(**{"capability:pred_int": has_intervals})

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's tests: encoder with quantiles, and decoder."""
        own, of_decoder = cls._test_params
        encoder = {**_TINY, **_ENCODER, **own}
        decoder = {**_TINY, **_DECODER, **own, **of_decoder}
        return [encoder, decoder]

    # parameters

    def _backbone_choice(self) -> BackboneChoice:
        # what is random and frozen must be the same in every process
        seed = self.random_state
        return BackboneChoice(
            name=self.backbone,
            revision=self.revision,
            n_layers=self.n_backbone_layers,
            mode=self.backbone_mode,
            random_seed=int(seed) if isinstance(seed, numbers.Integral) else 0,
            sizes=self._backbone_sizes,
            quantization=self.quantization,
        )

    def _clip(self, name: str, default: int, maximum: int, why: str) -> int:
        """Return a parameter, or the maximum if it is larger.

        Only a parameter that a user has set is clipped with a warning.
        """
        value = getattr(self, name)
        if value is None:
            return min(default, maximum)
        if value > maximum:
            warn(
                f"{name}={value}, but {why}; it is clipped to {maximum}.",
                ClippedParameterWarning,
            )
        return min(int(value), maximum)

    def set_params(self, **params: Any) -> "SktimeForecaster":
        """Set parameters as sktime does, which resets the forecaster."""
        if params and hasattr(self, "pretrained_network_"):
            warn(
                f"set_params({', '.join(params)}) resets the forecaster, as in all of "
                "sktime: what it was pretrained on is lost, and fit will train new "
                "weights. Set parameters before pretrain, or with the parameter "
                "checkpoint, which is kept.",
                PretrainingLostWarning,
            )
        return super().set_params(**params)

    # fit, pretrain and update, which Ctrl-C may interrupt

    def fit(self, y: Any, X: Any = None, fh: Any = None) -> "SktimeForecaster":
        """Fit as sktime does; what interrupts is raised once the state is whole."""
        return self._raising_interruption(super().fit(y=y, X=X, fh=fh))

    def fit_predict(self, y: Any, X: Any = None, fh: Any = None, X_pred: Any = None):  # type: ignore[no-untyped-def]
        """Fit and predict as sktime does; see `fit`."""
        forecast = super().fit_predict(y=y, X=X, fh=fh, X_pred=X_pred)
        return self._raising_interruption(forecast)

    def pretrain(self, y: Any, X: Any = None, fh: Any = None) -> "SktimeForecaster":
        """Pretrain as sktime does; see `fit`."""
        with self._as_before_if_it_fails():
            pretrained = super().pretrain(y=y, X=X, fh=fh)
        return self._raising_interruption(pretrained)

    def update(
        self, y: Any, X: Any = None, update_params: bool = True
    ) -> "SktimeForecaster":
        """Update as sktime does; see `fit`."""
        with self._as_before_if_it_fails():
            updated = super().update(y=y, X=X, update_params=update_params)
        return self._raising_interruption(updated)

    def update_predict_single(  # type: ignore[no-untyped-def]
        self, y: Any = None, fh: Any = None, X: Any = None, update_params: bool = True
    ):
        """Update and predict as sktime does, in the format of `y`."""
        return self.update(y=y, X=X, update_params=update_params).predict(fh=fh, X=X)

    @contextmanager
    def _as_before_if_it_fails(self) -> Iterator[None]:
        # sktime keeps the columns and the format of data before they are checked here
        state = vars(self) | {"_converter_store_y": {**self._converter_store_y}}
        try:
            yield
        except BaseException:
            self.__dict__ = state
            raise

    def _raising_interruption(self, result: Any) -> Any:
        # sktime calls a forecaster fitted after its `_fit`: raised there, Ctrl-C would
        # lose the best epoch, and loops such as `evaluate` would go on
        interruption, self._interruption = self._interruption, None
        if interruption is not None:
            raise interruption
        return result

    # pickles and files

    def save(
        self, path: str | Path | None = None, serialization_format: str = "pickle"
    ) -> Any:
        """Save to a zip file, written under another name and renamed at the end.

        The frozen weights of the backbone are not saved; where the file is loaded they
        are looked for by the backbone's name.

        Parameters
        ----------
        path : str or Path, optional
            The file; ``.zip`` is added if it does not end so. None returns the saved
            forecaster instead of writing it.
        serialization_format : {"pickle", "cloudpickle"}, default="pickle"
            Both run code when they are loaded, so load only files that you trust.

        Returns
        -------
        zipfile.ZipFile, or a tuple for `sktime.base.load` without a `path`

        See Also
        --------
        sktime_llm.load : Load the file; `sktime.base.load` does, too.
        """
        if path is None:
            return super().save(serialization_format=serialization_format)
        one_of("pickle", "cloudpickle").check(
            "serialization_format", serialization_format
        )
        dumps = importlib.import_module(serialization_format).dumps
        return write_zip(self, path, dumps)

    @classmethod
    def load_from_path(cls, serial: Any) -> Any:
        """Load from a zip file, for `sktime.base.load`."""
        return load(serial)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with networks on the CPU, which any machine can load."""
        return with_networks_on_cpu(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put networks on the device that the parameter `device` names.

        Parameters that were unknown when the state was saved have their defaults.
        """
        self.__dict__.update(self.get_param_defaults() | state)
        move_networks(state, type(self).__name__)

    # cutoff and input

    def _set_cutoff_from_y(self, y: Any) -> None:
        """Set the cutoff in fit only: `_update` moves it once nothing can fail."""
        if not self.is_fitted:
            self._move_cutoff(y)

    def _move_cutoff(self, y: Any) -> None:
        """Let the cutoff know its frequency, by which an absolute fh is counted."""
        super()._set_cutoff_from_y(y)
        cutoff = self.cutoff
        if isinstance(cutoff, pd.DatetimeIndex) and cutoff.freq is None:
            with suppress(ValueError):  # of an irregular index, which _read explains
                fitted = self.is_fitted
                freq = self._known.frequency if fitted else frequency_of(Panel.of(y))
                self._cutoff = pd.DatetimeIndex(cutoff, freq=freq)

    def _check_X_y(self, X: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Check what is given, before any training; then as sktime.

        sktime calls this first in fit, pretrain and update.
        """
        if self.get_tag("capability:exogenous"):
            check_numeric(X)
        else:
            self._check_unused(X, y)
        check_ids(y)
        check_parameters(self.get_params(deep=False), self._parameter_constraints)
        check_seeded(self)
        if not (self.is_fitted or hasattr(self, "pretrained_network_")):
            autocast(self.precision, resolve_device(self.device))  # if they exist here
        with explaining(y, X):
            return super()._check_X_y(
                X=with_plain_ids(X), y=with_plain_ids(y), **kwargs
            )

    def _check_unused(self, X: Any, y: Any) -> None:
        check_unused_covariates(
            X if y is None or not self.is_fitted else None,
            self._X_columns,
            type(self).__name__,
            is_fitted=self.is_fitted,
        )
        if not self.is_fitted:
            self._X_columns = columns_of(X)

    def _check_fh(self, fh: Any, pred_int: bool = False) -> Any:
        check_kind(fh, self._cutoff)
        return super()._check_fh(fh, pred_int)

    # intervals

    def predict_interval(self, fh: Any = None, X: Any = None, coverage: Any = 0.90):  # type: ignore[no-untyped-def]
        """Forecast intervals as sktime does."""
        self._check_intervals("prediction intervals")
        check_shares("coverage", coverage)
        return super().predict_interval(fh=fh, X=X, coverage=coverage)

    def predict_quantiles(self, fh: Any = None, X: Any = None, alpha: Any = None):  # type: ignore[no-untyped-def]
        """Forecast quantiles as sktime does."""
        self._check_intervals("quantile predictions")
        check_shares("alpha", alpha)
        return super().predict_quantiles(fh=fh, X=X, alpha=alpha)

    def predict_var(self, fh: Any = None, X: Any = None, cov: bool = False):  # type: ignore[no-untyped-def]
        """Forecast variances as sktime does."""
        self._check_intervals("variance predictions")
        return super().predict_var(fh=fh, X=X, cov=cov)

    def predict_proba(self, fh: Any = None, X: Any = None, marginal: bool = True):  # type: ignore[no-untyped-def]
        """Forecast distributions as sktime does."""
        self._check_intervals("probabilistic predictions")
        return super().predict_proba(fh=fh, X=X, marginal=marginal)

    def _check_intervals(self, what: str) -> None:
        """Raise if there are no intervals, and say what to do."""
        name = type(self).__name__
        if not self.get_tag("capability:pred_int"):
            raise NoIntervalsError(
                f"{name} has no {what}, since intervals=None. Set "
                'intervals="conformal" or "quantiles" and fit again.'
            )
        is_conformal = self.intervals == "conformal" and not self._has_variance()
        if self.is_fitted and is_conformal and not self._calibration.n:
            advice = (
                f"The series are too short for prediction_length="
                f"{self.prediction_length_}; set a shorter one, or fit on more rows."
                if self.calibration_fraction
                else "Set calibration_fraction, such as 0.2, and fit again; None holds "
                "out a tenth where that makes at least 32 windows."
            )
            raise NoIntervalsError(
                f"{name} has no {what}: nothing was held out to calibrate them, with "
                f"calibration_fraction={self.calibration_fraction} and at most "
                f"{self._n_rows} rows. {advice}"
            )

    def _has_variance(self) -> bool:
        return bool(self.get_params(deep=False).get("uncertainty"))

    def _calibration_fraction(self) -> float | None:
        calibrates = self.intervals == "conformal" and not self._has_variance()
        return self.calibration_fraction if calibrates else 0.0

    def _predict_var(
        self, fh: ForecastingHorizon, X: Any = None, cov: bool = False
    ) -> pd.DataFrame | None:
        if cov:
            raise NotImplementedError(
                f"{type(self).__name__} does not forecast covariances between time "
                "steps; use cov=False for their variances."
            )
        if self._has_variance():
            return self._forecast(fh, X).variances()
        return super()._predict_var(fh=fh, X=X, cov=cov)  # from quantiles

    def _predict_quantiles(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]
    ) -> pd.DataFrame:
        forecasts = self._forecast(fh, X)
        if self._has_variance():
            parts = forecasts.gaussian_quantiles(alpha)
        elif self.intervals == "quantiles":
            parts = forecasts.network_quantiles(alpha)
        else:
            parts = forecasts.conformal_quantiles(self._calibration, alpha)
        columns = self._get_columns(method="predict_quantiles", alpha=alpha)
        values = np.stack([part.to_numpy() for part in parts], axis=-1)
        index = parts[0].index
        return pd.DataFrame(values.reshape(len(index), -1), index, columns)
