"""A forecaster that was fitted on some series, for other ones."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from sktime_llm.errors import InputError, NoIntervalsError
from sktime_llm.forecasting._scaling import Typical

_UNTRAINED = {
    "checkpoint": None,
    "fine_tune_epochs": 0,
    # without training nothing is held out: each series is scaled by all of its rows
    "validation_fraction": 0.0,
    "calibration_fraction": 0.0,
}


def transferred(forecaster: Any, y: pd.DataFrame) -> Any:
    """Return a forecaster with the network of another one, for the series of a panel.

    Nothing is trained, and what comes out for a series depends on its own rows only,
    not on the others: a scale that all series share, and the errors that calibrate
    intervals, are those of the given forecaster, which may be only pretrained.
    """
    is_fitted = forecaster.is_fitted
    network = forecaster.network_ if is_fitted else forecaster.pretrained_network_
    one = forecaster.clone().reset().set_params(**_UNTRAINED)
    one.pretrained_network_, one.pretrained_covariates_ = network, None
    one._state = "pretrained"
    one._pretrained_attrs = ["pretrained_network_", "pretrained_covariates_"]
    one._is_transferred = True
    if is_fitted:
        # the network, and the errors that calibrate, know variates by their places
        names = list(forecaster._known.rows.columns)
        y = y[names] if set(names) == set(y.columns) else y
    one.fit(y)
    known = forecaster._known.scalings if is_fitted else {}
    if one.standardize:
        typical = Typical.of(known.values())
        own = one._known.scalings
        before = Typical.of(own.values())  # by series that happen to be beside it
        scalings = {key: each.filled(typical, before) for key, each in own.items()}
    else:  # then it is fitted, see `check_transferable`
        scale = float(next(iter(known.values())).scale[0])
        scalings = {
            key: scaling.rescaled(scale, keep_level=False)
            for key, scaling in one._known.scalings.items()
        }
    one._known = replace(one._known, scalings=scalings)
    if not is_fitted:
        return one
    one._calibration, one._n_rows = forecaster._calibration, forecaster._n_rows
    return one


def check_intervals(forecaster: Any) -> None:
    """Raise an error unless a forecaster has intervals for other series."""
    forecaster._check_intervals("prediction intervals")
    if forecaster.intervals != "conformal" or forecaster._has_variance():
        return
    if vars(forecaster).get("_calibration") is None:
        raise NoIntervalsError(
            f"This {type(forecaster).__name__} is only pretrained, so that nothing "
            'calibrates its intervals. Fit it on a panel, or set intervals="quantiles" '
            "before it is pretrained."
        )


def check_transferable(forecaster: Any, targets: Sequence[str]) -> None:
    """Raise an InputError if a forecaster cannot forecast these of other series."""
    name = type(forecaster).__name__
    known = vars(forecaster).get("_known")
    covariates = vars(forecaster).get("pretrained_covariates_")
    if (known is not None and known.covariates is not None) or covariates is not None:
        raise InputError(
            f"This {name} was fitted with covariates X, expected one without: the "
            "future of covariates is not known here. Fit it without X."
        )
    if known is None and not forecaster.standardize:
        raise InputError(
            f"This {name} is only pretrained, with standardize=False: it has no scale "
            "that all series share. Fit it on a panel, or pretrain it with "
            "standardize=True."
        )
    if known is not None and (n_fitted := known.rows.shape[1]) != len(targets):
        raise InputError(
            f"This {name} was fitted on {n_fitted} variate(s), but the data have "
            f"{len(targets)}: {', '.join(targets)}; expected as many. Name those that "
            "it was fitted on as the target."
        )
