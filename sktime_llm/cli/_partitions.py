"""The command ``forecast --engine``: a table that does not fit into memory."""

import argparse
import os
import sys
from contextlib import ExitStack
from functools import partial

from tqdm import tqdm

from sktime_llm.cli._arguments import TABLE_OPTIONS
from sktime_llm.cli._data import given_options
from sktime_llm.cli._output import STDOUT, echo, echo_error, shown_progress
from sktime_llm.engines import forecast_partitions
from sktime_llm.errors import InputError, SktimeLLMError

_NEEDED = ["file", "load", "time_column", "id_column", "horizon"]
_READING = ["time_column", "id_column", "target", "frequency", "date_format", "missing"]
# Of fitting, and of files other than Parquet.
_UNUSED = ["method", "backbone", "max_epochs", "random_state", "seasonal_period"]
_UNUSED += ["save", "set", *(name for name in TABLE_OPTIONS if name not in _READING)]
_OWN = ["workers", "scheduler", "partition_size"]


def check_no_engine(options: argparse.Namespace) -> None:
    """Raise an error if there are options of engines, but no engine."""
    for name in given_options(options, _OWN):
        raise InputError(f"Got {_spelled(name)}, which goes with --engine. Give both.")


def forecast_by_partition(options: argparse.Namespace) -> bool:
    """Run the command; return whether the forecaster did not fail."""
    _check(options)
    own = given_options(options, [*_READING, *_OWN, "device"])
    with shown_progress(show=not options.quiet), ExitStack() as stack:
        try:
            forecast_partitions(
                options.file,
                options.load,
                options.output,
                horizon=options.horizon,
                levels=options.levels or (),
                engine=options.engine,
                progress=_Bar(stack, show=not options.quiet),
                report=partial(echo, file=sys.stderr),
                **own,
            )
        except (SktimeLLMError, ImportError, OSError):
            raise
        except Exception as error:
            echo_error(f"the forecaster failed: {type(error).__name__}: {error}")
            return False
    echo(f"Written: {options.output}{os.sep}")
    return True


class _Bar:
    """A bar on standard error that begins with the series that were done before."""

    def __init__(self, stack: ExitStack, *, show: bool) -> None:
        self._stack = stack
        self._show = show
        self._bar: tqdm[None] | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            # a line now and then where no terminal overwrites it
            seconds = 0.1 if sys.stderr.isatty() else 10.0
            bar = tqdm(
                total=total,
                initial=done,
                unit=" series",
                mininterval=seconds,
                disable=not self._show,
                file=sys.stderr,
            )
            self._bar = self._stack.enter_context(bar)
        self._bar.update(done - self._bar.n)


def _check(options: argparse.Namespace) -> None:
    lacking = [name for name in _NEEDED if getattr(options, name) is None]
    if lacking:
        raise InputError(
            f"--engine also needs {', '.join(map(_spelled, lacking))}: a saved "
            "forecaster forecasts the series of a Parquet file."
        )
    for name in given_options(options, _UNUSED):
        raise InputError(
            f"Got --engine and {_spelled(name)}; a saved forecaster is not fitted, and "
            "reads Parquet files as they are. Leave one of them out."
        )
    if (
        options.output.suffix.lower() in (".csv", ".parquet")
        or options.output == STDOUT
    ):
        raise InputError(
            f"--engine writes a folder with a Parquet file for each partition, got "
            f"{options.output}. Name a folder with --output."
        )


def _spelled(name: str) -> str:
    return "FILE" if name == "file" else f"--{name.replace('_', '-')}"
