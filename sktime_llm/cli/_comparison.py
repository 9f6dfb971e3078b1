"""The command ``compare``."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sktime_llm.cli._output import (
    echo,
    make_folder,
    make_progress,
    plain_warnings,
    print_scores,
    print_summary,
    write_tables,
)
from sktime_llm.cli._table import given_table_options, read_file
from sktime_llm.errors import InputError

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

    from sktime_llm.datasets import Dataset


def compare(options: argparse.Namespace) -> bool:
    """Run it; tell whether all forecasters ran."""
    from sktime_llm.evaluation import compare_forecasters, default_forecasters
    from sktime_llm.plotting import plot_comparison, require_matplotlib

    make_forecasters = partial(
        default_forecasters,
        names=options.forecasters,
        backbone=options.backbone,
        max_epochs=options.max_epochs,
        random_state=options.random_state,
        device=options.device,
        verbose=0 if options.quiet else None,
    )
    with plain_warnings():
        datasets = _load(options, make_forecasters)
    if not options.no_plot:
        require_matplotlib()
    make_folder(options.output)
    with plain_warnings():
        comparison = compare_forecasters(
            datasets,
            make_forecasters,
            n_folds=options.folds,
            on_error="record",
            progress=None if options.quiet else make_progress(),
        )
    scores, forecasts = comparison.scores, comparison.forecasts
    for dataset in datasets:
        print_scores(dataset, scores, options.folds)
    print_summary(comparison)
    written = write_tables(options.output, scores, forecasts)
    if not options.no_plot and not forecasts.empty:
        data = {dataset.name: dataset.y for dataset in datasets}
        plottable = {name: data[name] for name in forecasts["dataset"].unique()}
        figure = plot_comparison(plottable, forecasts, scores)
        figure.savefig(options.output / "forecasts.png")
        written.append("forecasts.png")
    echo(f"Written to {options.output}: {', '.join(written)}")
    return bool((scores["error"] == "").all())


def _load(
    options: argparse.Namespace,
    make_forecasters: "Callable[[int], dict[str, BaseForecaster]]",
) -> "list[Dataset]":
    """Load the data sets that the arguments ask for, as they ask for them."""
    from dataclasses import replace

    from sktime_llm.datasets import dataset_names, load_dataset

    if options.file is not None:
        return [_load_file(options, make_forecasters)]
    for name in given_table_options(options):
        raise InputError(
            f"--{name.replace('_', '-')} says how a FILE is read, and none was given. "
            f"Put the FILE first: sktime-llm compare FILE ..."
        )
    datasets = [load_dataset(name) for name in options.dataset or dataset_names()]
    changes = {"horizon": options.horizon, "seasonal_period": options.seasonal_period}
    given = {key: value for key, value in changes.items() if value is not None}
    return [replace(dataset, **given) for dataset in datasets]


def _load_file(
    options: argparse.Namespace,
    make_forecasters: "Callable[[int], dict[str, BaseForecaster]]",
) -> "Dataset":
    from sktime_llm.datasets import Dataset, infer_seasonal_period

    if options.dataset is not None:
        raise InputError("Got both a FILE and --dataset; expected one of them.")
    y = read_file(options, make_forecasters(1).values())
    season = options.seasonal_period or infer_seasonal_period(y)
    horizon = options.horizon or season
    if horizon == 1 and options.horizon is None:
        raise InputError(
            f"The data in {options.file} have no season to forecast by default. Give "
            f"the number of steps with --horizon."
        )
    return Dataset(options.file.stem, y, season, horizon)
