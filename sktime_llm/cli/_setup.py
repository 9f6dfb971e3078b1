"""From the options that both commands have to data and forecasters."""

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sktime_llm.cli._table import read_file
from sktime_llm.errors import InputError

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

    from sktime_llm.datasets import Dataset

ForecasterMaker = Callable[[int], "dict[str, BaseForecaster]"]


def forecaster_maker(
    options: argparse.Namespace, names: Iterable[str] | None
) -> ForecasterMaker:
    """Return a function that makes the forecasters of these names for a season."""
    from functools import partial

    from sktime_llm.evaluation import default_forecasters

    return partial(
        default_forecasters,
        names=names,
        backbone=options.backbone,
        max_epochs=options.max_epochs,
        random_state=options.random_state,
        device=options.device,
        verbose=0 if options.quiet else None,
    )


def read_dataset(
    options: argparse.Namespace, make_forecasters: ForecasterMaker
) -> "Dataset":
    """Read FILE; find the season and the horizon where they are not given."""
    from sktime_llm.datasets import Dataset, infer_seasonal_period

    y = read_file(options, make_forecasters(1).values())
    season = options.seasonal_period or infer_seasonal_period(y)
    horizon = options.horizon or season
    if horizon == 1 and options.horizon is None:
        raise InputError(
            f"The data in {options.file} have no season to forecast by default. Give "
            f"the number of steps with --horizon."
        )
    return Dataset(options.file.stem, y, season, horizon)
