"""The command ``ablate``."""

import argparse
from dataclasses import replace

from sktime_llm import evaluation
from sktime_llm.cli._data import (
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
from sktime_llm.datasets import Dataset, load_dataset
from sktime_llm.errors import InputError
from sktime_llm.evaluation._ablation import NONE
from sktime_llm.plotting import plot_ablation, require_matplotlib

_TABLES = ("errors.csv", "effects.csv")


def ablate(options: argparse.Namespace) -> bool:
    """Run the command."""
    if not options.no_plot:
        require_matplotlib()
    if options.method not in evaluation.METHODS:
        raise InputError(
            f"--method {options.method}, expected one of "
            f"{', '.join(evaluation.METHODS)}: others have no language model."
        )
    check_not_input(options.file, [options.output / name for name in _TABLES])
    dataset = _load(options)
    (forecaster,) = forecaster_maker(options, [options.method])(1).values()
    parts = evaluation.parts_of(forecaster)
    variants = parts if options.parts else evaluation.LANGUAGE_MODELS
    make_folder(options.output)
    with shown_progress(show=not options.quiet) as progress:
        ablation = evaluation.ablate(
            forecaster,
            dataset,
            n_folds=options.folds,
            seeds=options.seeds,
            variants=variants,
            progress=progress,
        )
    effects, costs = ablation.effects(), ablation.costs
    mase = ablation.errors.groupby("variant")["MASE"].mean().rename("MASE")
    shown = costs.assign(MASE=mase)[["MASE", *costs.columns]].join(effects.iloc[:, 1:])
    tables = [ablation.errors, shown.rename_axis("variant").reset_index()]
    for name, table in zip(_TABLES, tables, strict=True):  # before printing may fail
        with replacing(options.output / name) as path:
            table.to_csv(path, index=False)
    echo(shown.rename_axis(None).round(3).to_string(na_rep=""), end="\n\n")
    for variant in ablation.variants[1:]:
        if variant == NONE or options.parts:
            echo(ablation.verdict(variant))
    written = [*_TABLES, *_draw(ablation, options)]
    echo(f"Written to {options.output}: {', '.join(written)}")
    return True


def _load(options: argparse.Namespace) -> Dataset:
    if options.file is None and options.dataset is None:
        raise InputError(
            "Name a FILE, before the options, or a data set with --dataset."
        )
    if options.file is not None and options.dataset is not None:
        raise InputError("Got both a FILE and --dataset; expected one of them.")
    if options.file is not None:
        return read_dataset(options, forecaster_maker(options, [options.method]))
    check_no_file_options(options)
    given = given_options(options, ["horizon", "seasonal_period"])
    return replace(load_dataset(options.dataset), **given)


def _draw(ablation: evaluation.Ablation, options: argparse.Namespace) -> list[str]:
    if options.no_plot:
        return []
    with replacing(options.output / "ablation.png") as path:
        plot_ablation(ablation).savefig(path, format="png")
    return ["ablation.png"]
