"""The command ``compare``."""

import argparse
from typing import TYPE_CHECKING

from sktime_llm.cli._console import Progress, echo, shown
from sktime_llm.cli._files import make_folder, replacing
from sktime_llm.cli._setup import ForecasterMaker, forecaster_maker, read_dataset
from sktime_llm.cli._table import given_table_options
from sktime_llm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from sktime_llm.datasets import Dataset
    from sktime_llm.evaluation import Comparison

_MAX_NAMES = 10
_FORMATS = {
    "forecaster": ("forecaster", "{}"),
    "MASE": ("MASE", "{:.3f}"),
    "sMAPE": ("sMAPE", "{:.3f}"),
    "MAE": ("MAE", "{:.4g}"),
    "fit_seconds": ("fit [s]", "{:.2f}"),
    "predict_seconds": ("predict [s]", "{:.2f}"),
}


def compare(options: argparse.Namespace) -> bool:
    """Run the command; return whether all forecasters ran."""
    from sktime_llm.evaluation import compare_forecasters
    from sktime_llm.plotting import require_matplotlib

    if not options.no_plot:
        require_matplotlib()
    make_forecasters = forecaster_maker(options, options.forecasters)
    with shown(Progress(show=not options.quiet)) as progress:
        datasets = _load(options, make_forecasters)
        make_folder(options.output)
        comparison = compare_forecasters(
            datasets,
            make_forecasters,
            n_folds=options.folds,
            on_error="record",
            progress=progress,
        )
    for dataset in comparison.datasets:
        _print_dataset(dataset, comparison)
    _print_summary(comparison)
    _write(comparison, options)
    return bool((comparison.scores["error"] == "").all())


def _load(
    options: argparse.Namespace, make_forecasters: ForecasterMaker
) -> "list[Dataset]":
    """Load the data sets that the arguments ask for, as they ask for them."""
    from dataclasses import replace

    from sktime_llm.datasets import dataset_names, load_dataset

    if options.file is not None:
        if options.dataset is not None:
            raise InputError("Got both a FILE and --dataset; expected one of them.")
        return [read_dataset(options, make_forecasters)]
    for name in given_table_options(options):
        raise InputError(
            f"--{name.replace('_', '-')} says how a FILE is read, and none was given. "
            f"Put the FILE first: sktime-llm compare FILE ..."
        )
    datasets = [load_dataset(name) for name in options.dataset or dataset_names()]
    changes = {"horizon": options.horizon, "seasonal_period": options.seasonal_period}
    given = {key: value for key, value in changes.items() if value is not None}
    return [replace(dataset, **given) for dataset in datasets]


def _print_dataset(dataset: "Dataset", comparison: "Comparison") -> None:
    n_folds, y = comparison.n_folds, dataset.y
    names = [y.name] if y.ndim == 1 else list(y.columns)
    variates = f", {len(names)} variates" if len(names) > 1 else ""
    echo(
        f"{dataset.name}: {n_folds} fold{'s' * (n_folds > 1)}, horizon "
        f"{dataset.horizon}, seasonal period {dataset.seasonal_period}{variates}"
    )
    more = len(names) - _MAX_NAMES
    listed = ", ".join(map(str, names[:_MAX_NAMES]))
    echo(f"  forecast: {listed}{f' and {more} more' if more > 0 else ''}")
    rows = comparison.scores[comparison.scores["dataset"] == dataset.name]
    _print_table(rows)
    for failed in rows[rows["error"] != ""].itertuples():
        echo(f"  {failed.forecaster} failed: {failed.error}")
    for sentence in comparison.standings(dataset.name):
        echo(f"  {sentence}")
    echo()


def _print_table(rows: "pd.DataFrame") -> None:
    """Print the columns that have a format, the first one to the left."""
    columns: list[list[str]] = []
    for name, (heading, form) in _FORMATS.items():
        if name in rows.columns:
            cells = [form.format(x) if x == x else "-" for x in rows[name]]
            width = max(map(len, [heading, *cells]))
            place = str.rjust if columns else str.ljust
            columns.append([place(cell, width) for cell in [heading, *cells]])
    for line in zip(*columns, strict=True):
        echo("  " + "  ".join(line))


def _print_summary(comparison: "Comparison") -> None:
    means = comparison.mean_mase()
    n_datasets = means["n_datasets"].max()
    if not n_datasets > 1:
        return
    echo(f"mean MASE over the univariate data sets ({n_datasets}):")
    _print_table(means)
    for failed in means[means["n_failed"] > 0].itertuples():
        echo(
            f"  {failed.forecaster} has no mean: it failed on {failed.n_failed} of "
            f"{failed.n_datasets}"
        )
    for sentence in comparison.standings():
        echo(f"  {sentence}")
    echo()


def _write(comparison: "Comparison", options: argparse.Namespace) -> None:
    """Write the tables and the picture."""
    from sktime_llm.datasets import format_time
    from sktime_llm.plotting import plot_comparison

    forecasts = comparison.forecasts
    times = forecasts["time"].map(format_time)
    tables = {
        "results.csv": comparison.scores,
        "forecasts.csv": forecasts.assign(time=times),
    }
    for name, table in tables.items():
        with replacing(options.output / name) as path:
            table.to_csv(path, index=False)
    written = list(tables)
    if not options.no_plot and not forecasts.empty:
        with replacing(options.output / "forecasts.png") as path:
            plot_comparison(comparison).savefig(path, format="png")
        written.append("forecasts.png")
    echo(f"Written to {options.output}: {', '.join(written)}")
