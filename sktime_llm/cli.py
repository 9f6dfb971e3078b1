"""The command ``sktime-llm``: compare forecasters without writing Python."""

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sktime_llm._version import __version__
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceNotAvailableError,
    InputError,
)

if TYPE_CHECKING:
    import pandas as pd

    from sktime_llm.datasets import Dataset

# Exit codes.
_OK, _FORECASTER_FAILED, _USER_ERROR, _INTERRUPTED = 0, 1, 2, 130

_LARGEST_SEED = 2**32 - 1

# What describes the columns of a file.
_COLUMN_OPTIONS = ("time_column", "target", "id_column", "frequency", "date_format")

# What a user can put right, so that a message says more than a traceback.
_USER_ERRORS = (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceNotAvailableError,
    ImportError,
    InputError,
)

_DESCRIPTION = """\
Compare a forecaster with a language model inside with the usual ones.

Without FILE, the forecasters are compared on real data sets that come with sktime.
With FILE, they are compared on your own data. Every forecaster is fitted anew on
each of several expanding windows and forecasts the steps that follow it.

MASE divides by the change of a series over one season. A series without any in the
rows that are trained on first is left out of it, with a warning; without any such
change at all, the comparison does not start.
"""

_EXAMPLES = """\
examples:
  sktime-llm compare
  sktime-llm compare --dataset airline lynx --forecasters calf theta
  sktime-llm compare sales.csv --time-column date --target units --horizon 12
  sktime-llm compare sales.csv --time-column date --id-column store --frequency D

exit codes:
  0 all forecasters ran, 1 a forecaster failed, 2 something is wrong with the input
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``sktime-llm``.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command. Default: those of the process.

    Returns
    -------
    int
        Exit code: 0 if all went well, 1 if a forecaster failed, 2 if the arguments or
        the data cannot be used, 130 if it was interrupted.

    Raises
    ------
    SystemExit
        After ``--help`` and ``--version``, and if the arguments cannot be parsed.

    Examples
    --------
    >>> from sktime_llm.cli import main
    >>> main(["compare", "--time-column", "date"])
    2
    """
    options = _make_parser().parse_args(argv)
    try:
        return _compare(options)
    except _USER_ERRORS as error:
        _echo(f"sktime-llm: error: {error}", file=sys.stderr)
        return _USER_ERROR
    except KeyboardInterrupt:
        _echo("sktime-llm: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _echo(text: str = "", file: TextIO | None = None) -> None:
    print(text, file=file, flush=True)


# -------------------------------------------------------------------------- arguments


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sktime-llm",
        description="Forecasting with pretrained language models.",
    )
    parser.add_argument(
        "--version", action="version", version=f"sktime-llm {__version__}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    compare = commands.add_parser(
        "compare",
        help="compare forecasters on data sets or on your own data",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data_arguments(compare)
    _add_forecaster_arguments(compare)
    _add_output_arguments(compare)
    return parser


def _add_data_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add("file", nargs="?", metavar="FILE", type=Path, help="CSV or Parquet file")
    add(
        "--dataset",
        nargs="+",
        metavar="NAME",
        help="instead of FILE: airline, lynx, shampoo_sales, pbs, us_consumption or "
        "us_change (default: all)",
    )
    add("--time-column", metavar="COLUMN", help="column of FILE with the time stamps")
    add(
        "--target",
        nargs="+",
        metavar="COLUMN",
        help="columns of FILE to forecast (default: all that hold numbers)",
    )
    add(
        "--id-column",
        metavar="COLUMN",
        help="column of FILE that tells several series apart",
    )
    add(
        "--frequency",
        metavar="ALIAS",
        help="time between rows of FILE, such as D, M or 15min (default: found)",
    )
    add(
        "--date-format",
        metavar="FORMAT",
        help="notation of the time stamps of FILE as strftime takes it, such as "
        "%%d.%%m.%%Y (default: found)",
    )
    add(
        "--horizon",
        type=_positive,
        metavar="STEPS",
        help="steps to forecast (default: that of the data set; one season of FILE)",
    )
    add(
        "--seasonal-period",
        type=_positive,
        metavar="STEPS",
        help="steps in one season, 1 for none (default: from the data)",
    )
    add(
        "--folds",
        type=_positive,
        default=3,
        metavar="N",
        help="times that every forecaster is fitted and scored (default: 3)",
    )


def _add_forecaster_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("forecasters").add_argument
    add(
        "--forecasters",
        nargs="+",
        metavar="NAME",
        help="some of calf, naive, seasonal-naive, auto-ets, auto-arima, theta "
        "(default: these), balm-tsf, llm-ts-net; and, to show what the language model "
        "is worth, calf-random-llm, calf-no-llm, balm-tsf-random-llm, balm-tsf-no-llm, "
        "llm-ts-net-random-llm, llm-ts-net-no-llm",
    )
    add(
        "--backbone",
        metavar="NAME",
        help="language model: a name on the Hugging Face Hub or a path",
    )
    add("--max-epochs", type=_positive, metavar="N", help="training epochs")
    add("--device", metavar="NAME", help="device, such as cpu or cuda")
    add(
        "--random-state",
        type=_seed,
        default=0,
        metavar="SEED",
        help="seed (default: 0)",
    )


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--output",
        type=Path,
        default=Path("compare_results"),
        metavar="DIR",
        help="folder for results.csv, forecasts.csv and forecasts.png "
        "(default: compare_results)",
    )
    add("--no-plot", action="store_true", help="do not draw forecasts.png")
    add("--quiet", action="store_true", help="show no progress")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    # as NumPy takes them, whose error would come only after other forecasters ran
    if not text.isdecimal() or int(text) > _LARGEST_SEED:
        raise argparse.ArgumentTypeError(
            f"expected an integer from 0 to {_LARGEST_SEED}, got {text!r}"
        )
    return int(text)


# ------------------------------------------------------------------------- comparison


def _compare(options: argparse.Namespace) -> int:
    from sktime_llm.evaluation import compare_forecasters, default_forecasters
    from sktime_llm.plotting import plot_comparison, require_matplotlib

    datasets = _load(options)
    if not options.no_plot:
        require_matplotlib()
    _make_folder(options.output)
    make_forecasters = partial(
        default_forecasters,
        names=options.forecasters,
        backbone=options.backbone,
        max_epochs=options.max_epochs,
        random_state=options.random_state,
        device=options.device,
        verbose=0 if options.quiet else None,
    )
    with _plain_warnings():
        scores, forecasts = compare_forecasters(
            datasets,
            make_forecasters,
            n_folds=options.folds,
            on_error="record",
            return_forecasts=True,
            progress=None if options.quiet else _make_progress(),
        )
    for dataset in datasets:
        _print_scores(dataset, scores, options.folds)
    _print_summary(scores)
    written = _write(options.output, scores, forecasts)
    if not options.no_plot and not forecasts.empty:
        data = {dataset.name: dataset.y for dataset in datasets}
        plottable = {name: data[name] for name in forecasts["dataset"].unique()}
        figure = plot_comparison(plottable, forecasts, scores)
        figure.savefig(options.output / "forecasts.png")
        written.append("forecasts.png")
    _echo(f"Written to {options.output}: {', '.join(written)}")
    return _FORECASTER_FAILED if (scores["error"] != "").any() else _OK


def _load(options: argparse.Namespace) -> "list[Dataset]":
    """Load the data sets that the arguments ask for, as they ask for them."""
    from dataclasses import replace

    from sktime_llm.datasets import dataset_names, load_dataset

    if options.file is not None:
        return [_load_file(options)]
    for option in _COLUMN_OPTIONS:
        if getattr(options, option) is not None:
            raise InputError(
                f"--{option.replace('_', '-')} describes the columns of a FILE, and "
                f"none was given. Put the FILE first: sktime-llm compare FILE ..."
            )
    datasets = [load_dataset(name) for name in options.dataset or dataset_names()]
    changes = {"horizon": options.horizon, "seasonal_period": options.seasonal_period}
    given = {key: value for key, value in changes.items() if value is not None}
    return [replace(dataset, **given) for dataset in datasets]


def _load_file(options: argparse.Namespace) -> "Dataset":
    from sktime_llm.datasets import Dataset, infer_seasonal_period, read_table

    if options.dataset is not None:
        raise InputError("Got both a FILE and --dataset; expected one of them.")
    if options.time_column is None:
        raise InputError(
            f"Name the column of {options.file} that holds the time stamps with "
            f"--time-column."
        )
    y = read_table(
        options.file,
        time_column=options.time_column,
        target=options.target,
        id_column=options.id_column,
        frequency=options.frequency,
        date_format=options.date_format,
    )
    season = options.seasonal_period or infer_seasonal_period(y)
    horizon = options.horizon or season
    if horizon == 1 and options.horizon is None:
        raise InputError(
            f"The data in {options.file} have no season to forecast by default. Give "
            f"the number of steps with --horizon."
        )
    return Dataset(options.file.stem, y, season, horizon)


def _make_progress() -> Callable[[int, int, str], None]:
    """Show a bar on a terminal, and a line for every step elsewhere."""
    if not sys.stderr.isatty():

        def write_line(done: int, total: int, label: str) -> None:
            if done < total:
                _echo(f"[{done + 1}/{total}] {label}", file=sys.stderr)

        return write_line

    from tqdm import tqdm

    bar = tqdm(file=sys.stderr, unit="fit", leave=False, dynamic_ncols=True)

    def move_bar(done: int, total: int, label: str) -> None:
        bar.total = total
        bar.set_description(label, refresh=False)
        bar.update(done - bar.n)
        bar.refresh()
        if done == total:
            bar.close()

    return move_bar


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as a line of their own rather than with a line of code."""

    def show(message: Warning | str, *details: object, **more: object) -> None:
        _echo(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


# ----------------------------------------------------------------------------- output

_FORMATS = {
    "forecaster": ("forecaster", "{}"),
    "MASE": ("MASE", "{:.3f}"),
    "sMAPE": ("sMAPE", "{:.3f}"),
    "MAE": ("MAE", "{:.4g}"),
    "fit_seconds": ("fit [s]", "{:.2f}"),
    "predict_seconds": ("predict [s]", "{:.2f}"),
}


def _print_scores(dataset: "Dataset", scores: "pd.DataFrame", n_folds: int) -> None:
    rows = scores[scores["dataset"] == dataset.name]
    variates = f", {dataset.n_variates} variates" if dataset.n_variates > 1 else ""
    _echo(
        f"{dataset.name}: {n_folds} fold{'s' * (n_folds > 1)}, horizon "
        f"{dataset.horizon}, seasonal period {dataset.seasonal_period}{variates}"
    )
    _print_table(rows)
    for failed in rows[rows["error"] != ""].itertuples():
        _echo(f"  {failed.forecaster} failed: {failed.error}")
    _echo()


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
        _echo("  " + "  ".join(line))


def _print_summary(scores: "pd.DataFrame") -> None:
    from sktime_llm.evaluation import mean_mase

    means = mean_mase(scores)
    if means.empty:
        return
    n_datasets = means["n_datasets"].max()
    _echo(f"mean MASE over the univariate data sets ({n_datasets}):")
    _print_table(means)
    for failed in means[means["n_failed"] > 0].itertuples():
        _echo(
            f"  {failed.forecaster} has no mean: it failed on {failed.n_failed} of "
            f"{failed.n_datasets}"
        )
    mase = dict(zip(means["forecaster"], means["MASE"], strict=True))
    calf, naive = mase.get("calf", math.nan), mase.get("seasonal-naive", math.nan)
    if calf >= 0 and naive > 0:
        change = round(100 * (calf / naive - 1))
        _echo(
            f"  calf {calf:.3f} versus seasonal-naive {naive:.3f}: {abs(change)} % "
            f"{'lower' if change < 0 else 'higher'}"
        )
    _echo()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Cannot write to the folder {str(folder)!r}: {error.strerror}. Choose "
            f"another one with --output."
        ) from error


def _write(
    output: Path, scores: "pd.DataFrame", forecasts: "pd.DataFrame"
) -> list[str]:
    from sktime_llm.datasets import format_time

    tables = {
        "results.csv": scores,
        "forecasts.csv": forecasts.assign(time=forecasts["time"].map(format_time)),
    }
    for name, table in tables.items():
        table.to_csv(output / name, index=False)
    return list(tables)


if __name__ == "__main__":
    sys.exit(main())
