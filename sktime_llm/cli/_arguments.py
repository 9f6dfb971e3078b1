"""Arguments of the commands, and what their help says."""

import argparse
import ast
from pathlib import Path
from typing import Any

from sktime_llm._version import __version__

_MAX_SEED = 2**32 - 1

_EXAMPLES = """\
examples:
  sktime-llm forecast sales.csv --time-column date --target units --horizon 12
  sktime-llm compare sales.csv --time-column date --target units --horizon 12

Each command has a help of its own: sktime-llm forecast --help
"""

_COMPARE = """\
Compare language-model forecasters with classical baselines.

Without FILE, the forecasters are compared on real data sets that come with sktime.
With FILE, they are compared on your own data. Every forecaster is fitted anew on
each of several expanding windows and forecasts the steps that follow it.

MASE divides by the change of a series over one season. It leaves out series without
such a change in the first training rows, with a warning; if no series has one, the
comparison does not start. Over five or more series, forecasters are also ranked, and a
sentence says which cannot be told apart; to tell eight apart takes eleven or more.
"""

_COMPARE_EXAMPLES = """\
examples:
  sktime-llm compare
  sktime-llm compare --dataset airline lynx --forecasters calf theta
  sktime-llm compare sales.csv --time-column date --target units --horizon 12
  sktime-llm compare sales.csv --time-column date --id-column store item
  sktime-llm compare sales.csv --time-column date --date-format %d.%m.%Y
"""

_FORECAST = """\
Forecast the steps after the end of your own data.

The forecaster is fitted on FILE. Of long data ours take a tenth of the rows to choose
the epoch, and --levels a fifth to calibrate. The output has one row per value, with
the columns series, time, variate and forecast, and lower_80, upper_80 and so on for
methods that give intervals. A picture of the recent history and the forecasts is
written beside it, with the suffix .png.

With --engine, FILE need not fit into memory: a Parquet file, or a folder of them, whose
series the forecaster of --load forecasts by partition. It is not trained on them. The
rows of a series are consecutive, as in a table sorted by --id-column; a series that
comes back after others is an error. --output names a folder that gets a Parquet file
for each partition. The same command again goes on where one was killed; a folder of
another run is an error.
"""

_FORECAST_EXAMPLES = """\
examples:
  sktime-llm forecast sales.csv --time-column date --target units --horizon 12
  sktime-llm forecast sales.csv --time-column date --method auto-ets --levels 50 90
  sktime-llm forecast sales.csv --time-column date --target units --covariates price
  sktime-llm forecast sales.csv --time-column date --save model
  sktime-llm forecast --load model --output -
  sktime-llm forecast new.csv --time-column date --load model
  sktime-llm forecast panel.parquet --engine dask --load model --horizon 12 \\
      --time-column month --id-column shop --output forecasts
"""

_ABLATE = """\
Find out whether the language model helps: a method with its pretrained language model,
with random weights, with one trained layer instead, and without any, on several folds
and seeds. Prints errors, the gain over each with a 95 % interval, sizes and seconds,
and a sentence: it helps, it does not help, or the data cannot tell.
"""

_ABLATE_EXAMPLES = """
examples:
  sktime-llm ablate --dataset airline
  sktime-llm ablate sales.csv --time-column date --method llm-ts-net --parts
"""

_EXIT_CODES = """
exit codes:
  0 all went well, 1 a forecaster failed, 2 something is wrong with the input, or the
  output cannot be written
"""

# How FILE is read, by the parameters of `read_table`; each is None unless it is given.
TABLE_OPTIONS: dict[str, dict[str, Any]] = {
    "time_column": {
        "metavar": "COLUMN",
        "help": "column with the times; those with an offset from UTC are written in "
        "UTC, or as local dates for steps of a day or longer",
    },
    "target": {
        "nargs": "+",
        "metavar": "COLUMN",
        "help": "columns to forecast (default: all named columns of numbers)",
    },
    "id_column": {
        "nargs": "+",
        "metavar": "COLUMN",
        "help": "columns that tell several series apart",
    },
    "covariates": {
        "nargs": "+",
        "metavar": "COLUMN",
        "help": "columns that are known in the future, such as prices, which calf, "
        "llm-ts-net and auto-arima use; forecast needs rows with them, without a value "
        "of the target, at the steps to forecast (default: none)",
    },
    "frequency": {
        "metavar": "ALIAS",
        "help": "time between rows as a pandas alias, such as D, M or 15min "
        "(default: inferred)",
    },
    "date_format": {
        "metavar": "FORMAT",
        "help": "notation of the times, such as %%d.%%m.%%Y (default: ISO 8601, "
        "2020Q1, 2020-W05 or row numbers)",
    },
    "decimal": {"metavar": "CHAR", "help": "decimal separator (default: .)"},
    "thousands": {"metavar": "CHAR", "help": "thousands separator (default: none)"},
    "separator": {
        "metavar": "CHAR",
        "help": "separator of columns, such as ';' or '\\t' (default: ,)",
    },
    "skip_rows": {
        "type": int,
        "metavar": "N",
        "help": "lines above the column names (default: 0)",
    },
    "missing": {
        "choices": ("error", "values", "keep", "interpolate", "ffill"),
        "help": "what becomes of missing rows and values: error; values: NaN for "
        "values, rows are an error; keep: NaN for both; interpolate: linearly; ffill: "
        "the value before (default: values if all forecasters take them, else error)",
    },
    "min_length": {
        "type": int,
        "metavar": "ROWS",
        "help": "leave out series with fewer rows (default: none)",
    },
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command; `command` holds the name of its subcommand."""
    raw: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(
        prog="sktime-llm",
        description="Forecasting with pretrained language models.",
        epilog=_EXAMPLES,
        **raw,
    )
    version = f"sktime-llm {__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    forecasting = commands.add_parser(
        "forecast",
        help="forecast your own data",
        description=_FORECAST,
        epilog=_FORECAST_EXAMPLES + _EXIT_CODES,
        **raw,
    )
    _add_forecast_arguments(forecasting)
    comparing = commands.add_parser(
        "compare",
        help="compare forecasters on data sets or on your own data",
        description=_COMPARE,
        epilog=_COMPARE_EXAMPLES + _EXIT_CODES,
        **raw,
    )
    _add_compare_arguments(comparing)
    ablating = commands.add_parser(
        "ablate",
        help="find out whether the language model helps on your data",
        description=_ABLATE,
        epilog=_ABLATE_EXAMPLES + _EXIT_CODES,
        **raw,
    )
    _add_ablate_arguments(ablating)
    return parser


def _add_forecast_arguments(parser: argparse.ArgumentParser) -> None:
    _add_data_arguments(parser, "one season of FILE, or as fitted")
    _add_table_arguments(parser)
    add = parser.add_argument_group("forecaster").add_argument
    add(
        "--method",
        metavar="NAME",
        help="a forecaster that compare knows, such as calf, balm-tsf, llm-ts-net, "
        "auto-ets or seasonal-naive (default: calf)",
    )
    add(
        "--levels",
        nargs="*",
        type=_percent,
        metavar="PERCENT",
        help="levels of the intervals; without a number no intervals (default: 80 95, "
        "but none of calf, balm-tsf and llm-ts-net; if levels are given, these hold "
        "out a fifth of the rows for them)",
    )
    add(
        "--save",
        type=Path,
        metavar="DIR",
        help="keep the fitted calf, balm-tsf or llm-ts-net in DIR",
    )
    add(
        "--load",
        type=Path,
        metavar="DIR",
        help="forecast by the fitted forecaster in DIR, without training: after the "
        "data that it was fitted on, or after those of FILE",
    )
    _add_training_arguments(add)
    _add_seed(add)
    _add_engine_arguments(parser)
    what = "CSV or Parquet file, or - for standard output; with --engine a folder"
    _add_output_arguments(parser, "forecast.csv", "FILE", what, "the picture")


def _add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a Parquet file that does not fit into memory")
    add = group.add_argument
    add(
        "--engine",
        choices=("local", "dask", "ray"),
        help="forecast FILE by partition, on this machine or on a cluster",
    )
    size = "series in a partition (default: 1000)"
    add("--partition-size", type=_positive, metavar="N", help=size)
    what = "processes that forecast (default: 1 if local, else one per CPU)"
    add("--workers", type=_positive, metavar="N", help=what)
    what = "of a running cluster of dask or ray (default: one for this run)"
    add("--scheduler", metavar="ADDRESS", help=f"address {what}")


def _add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    add = _add_data_arguments(parser, "that of the data set; one season of FILE")
    add(
        "--dataset",
        nargs="+",
        metavar="NAME",
        help="instead of FILE: airline, lynx, shampoo_sales, pbs, us_consumption or "
        "us_change (default: all)",
    )
    add(
        "--folds",
        type=_positive,
        default=3,
        metavar="N",
        help="times that every forecaster is fitted and scored (default: 3)",
    )
    add(
        "--levels",
        nargs="+",
        type=_percent,
        metavar="PERCENT",
        help="score prediction intervals of these levels, too, for which the language "
        "models hold out a fifth of the rows",
    )
    _add_table_arguments(parser)
    add = parser.add_argument_group("forecasters").add_argument
    add(
        "--forecasters",
        nargs="+",
        metavar="NAME",
        help="some of calf, balm-tsf, llm-ts-net, naive, seasonal-naive, auto-ets, "
        "auto-arima, theta (default: these); and, to show how much the language "
        "model gains, calf-random-llm, calf-no-llm, balm-tsf-random-llm, "
        "balm-tsf-no-llm, llm-ts-net-random-llm, llm-ts-net-no-llm",
    )
    _add_training_arguments(add)
    _add_seed(add)
    what = "folder for results.csv, errors.csv, forecasts.csv and the pictures"
    pictures = "forecasts.png and ranks.png"
    _add_output_arguments(parser, "compare_results", "DIR", what, pictures)


def _add_ablate_arguments(parser: argparse.ArgumentParser) -> None:
    add = _add_data_arguments(parser, "that of the data set; one season of FILE")
    add("--dataset", metavar="NAME", help="instead of FILE: a data set of compare")
    folds: dict[str, Any] = {"type": _positive, "default": 3, "metavar": "N"}
    add("--folds", **folds, help="folds of every seed (default: 3)")
    seeds: dict[str, Any] = {"nargs": "+", "type": _seed, "default": [0, 1, 2]}
    add("--seeds", **seeds, metavar="SEED", help="seeds (default: 0 1 2)")
    _add_table_arguments(parser)
    add = parser.add_argument_group("forecaster").add_argument
    what = "calf, balm-tsf or llm-ts-net (default: calf)"
    add("--method", default="calf", metavar="NAME", help=what)
    add("--parts", action="store_true", help="leave out the method's own parts, too")
    _add_training_arguments(add)
    what = "folder for errors.csv, effects.csv and ablation.png"
    _add_output_arguments(parser, "ablate_results", "DIR", what, "ablation.png")
    parser.set_defaults(levels=None, random_state=None)


def _add_data_arguments(parser: argparse.ArgumentParser, horizon: str) -> Any:
    add = parser.add_argument_group("data").add_argument
    add("file", nargs="?", metavar="FILE", type=Path, help="CSV or Parquet file")
    steps: dict[str, Any] = {"type": _positive, "metavar": "STEPS"}
    add("--horizon", **steps, help=f"steps to forecast (default: {horizon})")
    season = "steps in one season, 1 for none (default: from the data)"
    add("--seasonal-period", **steps, help=season)
    return add


def _add_table_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how FILE is read")
    for name, settings in TABLE_OPTIONS.items():
        group.add_argument(f"--{name.replace('_', '-')}", **settings)


def _add_training_arguments(add: Any) -> None:
    backbone = "language model: a name on the Hugging Face Hub or a path"
    add("--backbone", metavar="NAME", help=backbone)
    add("--max-epochs", type=_positive, metavar="N", help="training epochs")
    add("--device", metavar="NAME", help="device, such as cpu or cuda")
    what = "further parameters of calf, balm-tsf and llm-ts-net, such as ema_decay=0.99"
    settings: dict[str, Any] = {"nargs": "+", "action": "extend", "type": _setting}
    add("--set", **settings, metavar="NAME=VALUE", help=what)


def _add_seed(add: Any) -> None:
    add("--random-state", type=_seed, metavar="SEED", help="seed (default: 0)")


def _add_output_arguments(
    parser: argparse.ArgumentParser, default: str, metavar: str, what: str, picture: str
) -> None:
    add = parser.add_argument_group("output").add_argument
    place: dict[str, Any] = {"type": Path, "default": Path(default), "metavar": metavar}
    add("--output", **place, help=f"{what} (default: {default})")
    add("--no-plot", action="store_true", help=f"do not draw {picture}")
    add("--quiet", action="store_true", help="show no progress")


def _setting(text: str) -> tuple[str, object]:
    """Return name and value; a value that is not Python's is text."""
    name, is_given, value = text.partition("=")
    if not (name and is_given):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return name, value


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    # as NumPy takes them, whose error would come only after other forecasters ran
    if not text.isdecimal() or int(text) > _MAX_SEED:
        raise argparse.ArgumentTypeError(
            f"expected an integer from 0 to {_MAX_SEED}, got {text!r}"
        )
    return int(text)


def _percent(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = 0.0
    if not 1 <= level < 100:
        raise argparse.ArgumentTypeError(
            "expected a percentage of at least 1 and below 100, such as 80 (not 0.8), "
            f"got {text!r}"
        )
    return level
