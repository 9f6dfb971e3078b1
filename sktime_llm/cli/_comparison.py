"""The command ``compare``."""

import argparse
from dataclasses import replace

import pandas as pd

from sktime_llm import evaluation
from sktime_llm.cli._data import (
    ForecasterMaker,
    check_no_file_options,
    forecaster_maker,
    given_options,
    read_dataset,
)
from sktime_llm.cli._output import (
    check_not_input,
    echo,
    make_folder,
    replacing,
    shown_progress,
)
from sktime_llm.datasets import Dataset, dataset_names, load_dataset
from sktime_llm.datasets._frequency import format_times
from sktime_llm.datasets._source import listed
from sktime_llm.errors import InputError
from sktime_llm.evaluation import Comparison, Ranks
from sktime_llm.plotting import plot_comparison, plot_ranks, require_matplotlib

_TABLES = ("results.csv", "errors.csv", "forecasts.csv")
_PICTURES = ("forecasts.png", "ranks.png")
_FORMATS = {
    "forecaster": ("forecaster", "{}"),
    "MASE": ("MASE", "{:.3f}"),
    "sMAPE": ("sMAPE", "{:.3f}"),
    "rank": ("mean rank", "{:.2f}"),
    "MAE": ("MAE", "{:.4g}"),
    "fit_seconds": ("fit [s]", "{:.2f}"),
    "predict_seconds": ("predict [s]", "{:.2f}"),
}


def compare(options: argparse.Namespace) -> bool:
    """Run the command; return whether all forecasters ran."""
    if not options.no_plot:
        require_matplotlib()
    check_not_input(options.file, [options.output / name for name in _TABLES])
    make_forecasters = forecaster_maker(options, options.forecasters)
    with shown_progress(show=not options.quiet) as progress:
        datasets = _load(options, make_forecasters)
        make_folder(options.output)
        comparison = evaluation.compare_forecasters(
            datasets,
            make_forecasters,
            n_folds=options.folds,
            levels=sorted(set(options.levels or ())),
            on_error="record",
            progress=progress,
        )
    _write_tables(comparison, options)  # before printing may fail
    for dataset in comparison.datasets:
        _print_dataset(dataset, comparison)
    _print_means(comparison)
    ranks = _print_ranks(comparison)
    written = [*_TABLES, *_draw(comparison, ranks, options)]
    echo(f"Written to {options.output}: {', '.join(written)}")
    return bool((comparison.scores["error"] == "").all())


def _load(
    options: argparse.Namespace, make_forecasters: ForecasterMaker
) -> list[Dataset]:
    """Load the data sets that the arguments ask for, as they ask for them."""
    if options.file is not None:
        if options.dataset is not None:
            raise InputError("Got both a FILE and --dataset; expected one of them.")
        return [read_dataset(options, make_forecasters)]
    check_no_file_options(options)
    given = given_options(options, ["horizon", "seasonal_period"])
    names = options.dataset or dataset_names()
    return [replace(load_dataset(name), **given) for name in names]


def _print_dataset(dataset: Dataset, comparison: Comparison) -> None:
    n_folds, y = comparison.n_folds, dataset.y
    names = [y.name] if y.ndim == 1 else list(y.columns)
    variates = f", {len(names)} variates" if len(names) > 1 else ""
    echo(
        f"{dataset.name}: {n_folds} fold{'s' * (n_folds > 1)}, horizon "
        f"{dataset.horizon}, seasonal period {dataset.seasonal_period}{variates}"
    )
    echo(f"  forecast: {listed(names)}")
    rows = comparison.scores[comparison.scores["dataset"] == dataset.name]
    _print_table(rows)
    for failed in rows[rows["error"] != ""].itertuples():
        echo(f"  {failed.forecaster} failed: {failed.error}")
    if "balm-tsf" in set(rows["forecaster"]):
        _print_context(y)
    _print_standings(comparison.standings(dataset.name))


def _print_context(y: pd.Series | pd.DataFrame) -> None:
    """Say so where BALM-TSF cannot have the context that it was published with."""
    from sktime_llm.forecasting._shape import FEW_VALUES
    from sktime_llm.forecasting.balm_tsf import DEFAULT_CONTEXT

    keys = y.index.droplevel(-1) if y.index.nlevels > 1 else pd.Index([0] * len(y))
    if y.size < FEW_VALUES or keys.value_counts().max() < 2 * DEFAULT_CONTEXT:
        echo(
            f"  balm-tsf was published for contexts of {DEFAULT_CONTEXT} steps; here "
            "it sees less, as there are few values, or only short series"
        )


def _print_standings(sentences: list[str]) -> None:
    for sentence in sentences:
        echo(f"  {sentence}")
    echo()


def _print_table(rows: pd.DataFrame) -> None:
    """Print the columns that have a format, the first one to the left."""
    columns: list[list[str]] = []
    formats = dict(_FORMATS)
    for name in rows.columns:
        kind, _, level = str(name).partition("_")
        if kind == "coverage":
            formats[name] = (f"within {level} %", "{:.0%}")
        elif kind == "MSIS":
            formats[name] = (f"MSIS {level}", "{:.2f}")
    for name, (heading, form) in formats.items():
        if name in rows.columns:
            cells = [form.format(x) if x == x else "-" for x in rows[name]]
            width = max(map(len, [heading, *cells]))
            place = str.rjust if columns else str.ljust
            columns.append([place(cell, width) for cell in [heading, *cells]])
    for line in zip(*columns, strict=True):
        echo("  " + "  ".join(line))


def _print_means(comparison: Comparison) -> None:
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
    _print_standings(comparison.standings())


def _print_ranks(comparison: Comparison) -> Ranks | None:
    """Print mean ranks over series and what they tell, or why there are none."""
    if comparison.scores["forecaster"].nunique() < 2:
        return None
    try:
        ranks = comparison.ranks()
    except InputError as error:
        echo(f"no ranks: {error}\n")
        return None
    echo(f"mean rank by MASE over all series ({ranks.n_series}):")
    _print_table(ranks.mean_ranks.rename_axis("forecaster").reset_index(name="rank"))
    if ranks.left_out:
        echo(f"  not ranked, as it failed somewhere: {listed(ranks.left_out)}")
    echo(f"  {ranks.verdict()}\n")
    return ranks


def _write_tables(comparison: Comparison, options: argparse.Namespace) -> None:
    forecasts = comparison.forecasts
    named = forecasts.assign(time=format_times(forecasts["time"]))
    tables = [comparison.scores, comparison.errors, named]
    for name, table in zip(_TABLES, tables, strict=True):
        with replacing(options.output / name) as path:
            table.to_csv(path, index=False)


def _draw(
    comparison: Comparison, ranks: Ranks | None, options: argparse.Namespace
) -> list[str]:
    """Draw the pictures; return the names of the files.

    A picture of an earlier run, which these results do not have, is removed; with
    --no-plot, what is there stays as it is.
    """
    if options.no_plot:
        return []
    drawn = {}
    if not comparison.forecasts.empty:
        drawn["forecasts.png"] = plot_comparison(comparison)
    if ranks is not None:
        drawn["ranks.png"] = plot_ranks(ranks)
    for name in _PICTURES:
        if name in drawn:
            with replacing(options.output / name) as path:
                drawn[name].savefig(path, format="png")
        else:
            (options.output / name).unlink(missing_ok=True)
    return list(drawn)
