"""Data and forecasters from the options that all commands have."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from sktime_llm import evaluation
from sktime_llm.cli._arguments import TABLE_OPTIONS
from sktime_llm.cli._output import echo
from sktime_llm.datasets import Dataset, infer_seasonal_period, read_table
from sktime_llm.errors import InputError

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

CALIBRATION_FRACTION = 0.2
"""Share of the rows that language models hold out where intervals are asked for."""
ForecasterMaker = Callable[[int], "dict[str, BaseForecaster]"]


def forecaster_maker(
    options: argparse.Namespace, names: Iterable[str] | None
) -> ForecasterMaker:
    """Return a function that makes the forecasters of these names for a season."""
    return partial(
        evaluation.default_forecasters,
        names=names,
        backbone=options.backbone,
        max_epochs=options.max_epochs,
        random_state=options.random_state or 0,
        device=options.device,
        verbose=0 if options.quiet else None,
        calibration_fraction=CALIBRATION_FRACTION if options.levels else None,
        parameters=_parameters(options.set or ()),
    )


def _parameters(settings: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return the values of --set by name."""
    parameters = dict(settings)
    if len(parameters) < len(settings):
        names = [name for name, _ in settings]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"Got --set {twice} twice; expected each parameter once.")
    return parameters


def given_options(
    options: argparse.Namespace, names: Iterable[str] = TABLE_OPTIONS
) -> dict[str, Any]:
    """Return the options of these names that were given; by default, of a table."""
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def check_no_file_options(options: argparse.Namespace) -> None:
    """Raise an error if there are options of how a FILE is read, but no FILE."""
    for name in given_options(options):
        raise InputError(
            f"--{name.replace('_', '-')} says how a FILE is read, and none was given. "
            f"Put the FILE first: sktime-llm {options.command} FILE ..."
        )


def read_rows(
    options: argparse.Namespace, *, takes_missing: bool
) -> tuple[pd.Series | pd.DataFrame, pd.DataFrame | None]:
    """Read FILE, and print what its columns were taken for."""
    given = given_options(options)
    if "time_column" not in given:
        raise InputError(
            f"Name the column of {options.file} that holds the times with "
            f"--time-column."
        )
    given.setdefault("missing", "values" if takes_missing else "error")
    found = read_table(options.file, report=partial(echo, file=sys.stderr), **given)
    return found if "covariates" in given else (found, None)


def read_dataset(
    options: argparse.Namespace, make_forecasters: ForecasterMaker
) -> Dataset:
    """Read FILE, and find its season and horizon."""
    forecasters = make_forecasters(1).values()
    takes_missing = all(one.get_tag("capability:missing_values") for one in forecasters)
    y, X = read_rows(options, takes_missing=takes_missing)
    season = options.seasonal_period or infer_seasonal_period(y)
    horizon = options.horizon or season
    if horizon == 1 and options.horizon is None:
        raise InputError(
            f"The data in {options.file} have no season to forecast by default. Give "
            f"the number of steps with --horizon."
        )
    return Dataset(options.file.stem, y, season, horizon, X)
