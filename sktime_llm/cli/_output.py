"""What the command shows: progress, warnings, tables; and the files it writes."""

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sktime_llm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from sktime_llm.datasets import Dataset
    from sktime_llm.evaluation import Comparison

_FORMATS = {
    "forecaster": ("forecaster", "{}"),
    "MASE": ("MASE", "{:.3f}"),
    "sMAPE": ("sMAPE", "{:.3f}"),
    "MAE": ("MAE", "{:.4g}"),
    "fit_seconds": ("fit [s]", "{:.2f}"),
    "predict_seconds": ("predict [s]", "{:.2f}"),
}


def echo(text: str = "", file: TextIO | None = None) -> None:
    print(text, file=file, flush=True)


def make_progress() -> Callable[[int, int, str], None]:
    """Show a bar on a terminal, and a line for every step elsewhere."""
    if not sys.stderr.isatty():

        def write_line(done: int, total: int, label: str) -> None:
            if done < total:
                echo(f"[{done + 1}/{total}] {label}", file=sys.stderr)

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
def plain_warnings() -> Iterator[None]:
    """Show warnings as a line of their own rather than with a line of code."""

    def show(message: Warning | str, *details: object, **more: object) -> None:
        echo(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


def print_scores(dataset: "Dataset", scores: "pd.DataFrame", n_folds: int) -> None:
    rows = scores[scores["dataset"] == dataset.name]
    variates = f", {dataset.n_variates} variates" if dataset.n_variates > 1 else ""
    echo(
        f"{dataset.name}: {n_folds} fold{'s' * (n_folds > 1)}, horizon "
        f"{dataset.horizon}, seasonal period {dataset.seasonal_period}{variates}"
    )
    _print_table(rows)
    for failed in rows[rows["error"] != ""].itertuples():
        echo(f"  {failed.forecaster} failed: {failed.error}")
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


def print_summary(comparison: "Comparison") -> None:
    means = comparison.mean_mase()
    if means.empty:
        return
    n_datasets = means["n_datasets"].max()
    echo(f"mean MASE over the univariate data sets ({n_datasets}):")
    _print_table(means)
    for failed in means[means["n_failed"] > 0].itertuples():
        echo(
            f"  {failed.forecaster} has no mean: it failed on {failed.n_failed} of "
            f"{failed.n_datasets}"
        )
    mase = dict(zip(means["forecaster"], means["MASE"], strict=True))
    calf, naive = mase.get("calf", math.nan), mase.get("seasonal-naive", math.nan)
    if calf >= 0 and naive > 0:
        change = round(100 * (calf / naive - 1))
        echo(
            f"  calf {calf:.3f} versus seasonal-naive {naive:.3f}: {abs(change)} % "
            f"{'lower' if change < 0 else 'higher'}"
        )
    echo()


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Cannot write to the folder {str(folder)!r}: {error.strerror}. Choose "
            f"another one with --output."
        ) from error


def write_tables(
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
