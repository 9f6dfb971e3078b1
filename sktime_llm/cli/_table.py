"""The options that say how a file is read, and the reading."""

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sktime_llm.cli._console import echo
from sktime_llm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from sktime.forecasting.base import BaseForecaster

_OPTIONS: dict[str, dict[str, Any]] = {
    "--time-column": {"metavar": "COLUMN", "help": "column with the times"},
    "--target": {
        "nargs": "+",
        "metavar": "COLUMN",
        "help": "columns to forecast (default: all named columns of numbers)",
    },
    "--id-column": {
        "nargs": "+",
        "metavar": "COLUMN",
        "help": "columns that tell several series apart",
    },
    "--frequency": {
        "metavar": "ALIAS",
        "help": "time between rows as a pandas alias, such as D, M or 15min "
        "(default: inferred)",
    },
    "--date-format": {
        "metavar": "FORMAT",
        "help": "notation of the times, such as %%d.%%m.%%Y (default: ISO 8601, "
        "2020Q1, 2020-W05 or row numbers)",
    },
    "--decimal": {"metavar": "CHAR", "help": "decimal separator (default: .)"},
    "--thousands": {"metavar": "CHAR", "help": "thousands separator (default: none)"},
    "--separator": {
        "metavar": "CHAR",
        "help": "separator of columns, such as ';' or '\\t' (default: ,)",
    },
    "--skip-rows": {
        "type": int,
        "metavar": "N",
        "help": "lines above the column names (default: 0)",
    },
    "--missing": {
        "choices": ("error", "values", "keep", "interpolate", "ffill"),
        "help": "what becomes of missing rows and values: error; values: NaN for "
        "values, rows are an error; keep: NaN for both; interpolate: linearly; ffill: "
        "the value before (default: values if all forecasters take them, else error)",
    },
    "--min-length": {
        "type": int,
        "metavar": "ROWS",
        "help": "leave out series with fewer rows (default: none)",
    },
}


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a table; each is None unless it is given."""
    group = parser.add_argument_group("how FILE is read")
    for name, settings in _OPTIONS.items():
        group.add_argument(name, **settings)


def given_table_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a table that were given, by the names of `read_table`."""
    names = (option.removeprefix("--").replace("-", "_") for option in _OPTIONS)
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def read_file(
    options: argparse.Namespace, forecasters: "Iterable[BaseForecaster]"
) -> "pd.Series | pd.DataFrame":
    """Read the file of a command, and print what its columns were taken for."""
    from sktime_llm.datasets import read_table

    given = given_table_options(options)
    if "time_column" not in given:
        raise InputError(
            f"Name the column of {options.file} that holds the times with "
            f"--time-column."
        )
    take_missing = all(one.get_tag("capability:missing_values") for one in forecasters)
    given.setdefault("missing", "values" if take_missing else "error")

    def report(line: str) -> None:
        echo(line, file=sys.stderr)

    return read_table(options.file, report=report, **given)
