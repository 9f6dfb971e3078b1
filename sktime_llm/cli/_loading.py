"""A forecaster that ``--save`` kept, for the rows that it was fitted on or others."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sktime_llm.cli._arguments import TABLE_OPTIONS
from sktime_llm.cli._data import given_options, read_rows
from sktime_llm.errors import InputError, SavedForecasterError
from sktime_llm.evaluation._data import as_frame
from sktime_llm.evaluation._folds import library_warnings_off

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

# Options of fitting, which cannot change a forecaster that is loaded.
_FITTING = ["method", "backbone", "max_epochs", "device", "seasonal_period"]
_FITTING += ["random_state", "save", "set", "covariates"]


def check_not_fitting(options: argparse.Namespace) -> None:
    """Raise an error if there are options that a loaded forecaster has no use for."""
    without_file = () if options.file else TABLE_OPTIONS
    for name in given_options(options, [*_FITTING, *without_file]):
        raise InputError(
            f"Got --load and --{name.replace('_', '-')}; a forecaster that is loaded "
            "forecasts after the data that it was fitted on, or after those of a FILE, "
            "as it is. Leave one of them out."
        )


def load_fitted(
    options: argparse.Namespace,
) -> tuple["BaseForecaster", pd.Series | pd.DataFrame, str]:
    """Load what --save wrote; return it, the rows to forecast after, and a title.

    The rows are those of FILE, on which nothing is trained, or those that it keeps.
    """
    from sktime_llm.forecasting._transfer import check_transferable, transferred
    from sktime_llm.forecasting.pretrained import answer_in_frames, rows_of

    forecaster, folder = _load(options.load), options.load.resolve()
    if options.file is None:
        _check_needs_no_covariates(forecaster, options.load)
        answer_in_frames(forecaster)
        return forecaster, rows_of(forecaster), folder.name
    y, _ = read_rows(options, takes_missing=True)
    check_transferable(forecaster, list(as_frame(y).columns))
    with library_warnings_off():
        other = transferred(forecaster, as_frame(y))
    if forecaster._fh is not None:
        other._fh = forecaster._fh.to_relative(forecaster.cutoff)
    return other, y, options.file.stem


def _load(folder: Path) -> Any:
    from sktime_llm.forecasting.pretrained import load_pretrained

    if not folder.is_dir():
        raise InputError(
            f"There is no fitted forecaster in {str(folder)!r}. Make one with --save."
        )
    try:
        forecaster = load_pretrained(folder)
    except SavedForecasterError as error:
        raise InputError(
            f"Cannot load the forecaster in {str(folder)!r}: {error} Make it anew with "
            "--save."
        ) from error
    if not forecaster.is_fitted:
        raise InputError(
            f"The forecaster in {str(folder)!r} is only pretrained. Fit it on a series "
            "in Python, or make one with --save."
        )
    return forecaster


def _check_needs_no_covariates(forecaster: Any, folder: Path) -> None:
    from sktime_llm.forecasting.pretrained import covariates_ahead_of

    if covariates := covariates_ahead_of(forecaster):
        raise InputError(
            f"The forecaster in {str(folder)!r} needs the future of its covariates "
            f"{', '.join(map(str, covariates))}, which --load cannot give. Forecast in "
            "Python: sktime_llm.load_pretrained(DIR).predict(X=...)."
        )
