"""Arguments of the commands, and what their help says."""

import argparse
from pathlib import Path
from typing import Any

from sktime_llm._version import __version__
from sktime_llm.cli._comparison import compare
from sktime_llm.cli._forecast import forecast
from sktime_llm.cli._table import add_table_arguments

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
comparison does not start.
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

The forecaster is fitted on all rows of FILE. The output has one row per value, with
the columns series, time, variate and forecast, and lower_80, upper_80 and so on for
methods that give intervals. A picture of the recent history and the forecasts is
written beside it, with the suffix .png.
"""

_FORECAST_EXAMPLES = """\
examples:
  sktime-llm forecast sales.csv --time-column date --target units --horizon 12
  sktime-llm forecast sales.csv --time-column date --method auto-ets --levels 50 90
  sktime-llm forecast sales.csv --time-column date --save model
  sktime-llm forecast --load model --output -
"""

_EXIT_CODES = """
exit codes:
  0 all went well, 1 a forecaster failed, 2 something is wrong with the input, or the
  output cannot be written
"""


def make_parser() -> argparse.ArgumentParser:
    raw: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(
        prog="sktime-llm",
        description="Forecasting with pretrained language models.",
        epilog=_EXAMPLES,
        **raw,
    )
    version = f"sktime-llm {__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    forecasting = commands.add_parser(
        "forecast",
        help="forecast your own data",
        description=_FORECAST,
        epilog=_FORECAST_EXAMPLES + _EXIT_CODES,
        **raw,
    )
    forecasting.set_defaults(run=forecast)
    _add_forecast_arguments(forecasting)
    comparing = commands.add_parser(
        "compare",
        help="compare forecasters on data sets or on your own data",
        description=_COMPARE,
        epilog=_COMPARE_EXAMPLES + _EXIT_CODES,
        **raw,
    )
    comparing.set_defaults(run=compare)
    _add_compare_arguments(comparing)
    return parser


def _add_forecast_arguments(parser: argparse.ArgumentParser) -> None:
    _add_data_arguments(parser, "one season of FILE, or as fitted")
    add_table_arguments(parser)
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
        "but none of calf, balm-tsf and llm-ts-net; if levels are given, calf and "
        "balm-tsf hold out a fifth of the rows for them)",
    )
    add("--save", type=Path, metavar="DIR", help="keep the fitted forecaster in DIR")
    add(
        "--load",
        type=Path,
        metavar="DIR",
        help="instead of FILE: forecast after the data of the forecaster in DIR; this "
        "runs code from DIR, so load only what you trust",
    )
    _add_training_arguments(add)
    _add_output_arguments(
        parser,
        default="forecast.csv",
        metavar="FILE",
        help="CSV or Parquet file, or - for standard output",
        picture="the picture",
    )


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
    add_table_arguments(parser)
    add = parser.add_argument_group("forecasters").add_argument
    add(
        "--forecasters",
        nargs="+",
        metavar="NAME",
        help="some of calf, naive, seasonal-naive, auto-ets, auto-arima, theta "
        "(default: these), balm-tsf, llm-ts-net; and, to show how much the language "
        "model gains, calf-random-llm, calf-no-llm, balm-tsf-random-llm, "
        "balm-tsf-no-llm, llm-ts-net-random-llm, llm-ts-net-no-llm",
    )
    _add_training_arguments(add)
    _add_output_arguments(
        parser,
        default="compare_results",
        metavar="DIR",
        help="folder for results.csv, forecasts.csv and forecasts.png",
        picture="forecasts.png",
    )


def _add_data_arguments(parser: argparse.ArgumentParser, horizon: str) -> Any:
    add = parser.add_argument_group("data").add_argument
    add("file", nargs="?", metavar="FILE", type=Path, help="CSV or Parquet file")
    add(
        "--horizon",
        type=_positive,
        metavar="STEPS",
        help=f"steps to forecast (default: {horizon})",
    )
    add(
        "--seasonal-period",
        type=_positive,
        metavar="STEPS",
        help="steps in one season, 1 for none (default: from the data)",
    )
    return add


def _add_training_arguments(add: Any) -> None:
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


def _add_output_arguments(
    parser: argparse.ArgumentParser,
    *,
    default: str,
    metavar: str,
    help: str,
    picture: str,
) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--output",
        type=Path,
        default=Path(default),
        metavar=metavar,
        help=f"{help} (default: {default})",
    )
    add("--no-plot", action="store_true", help=f"do not draw {picture}")
    add("--quiet", action="store_true", help="show no progress")


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
    if not 0 < level < 100:
        raise argparse.ArgumentTypeError(
            f"expected a percentage between 0 and 100, got {text!r}"
        )
    return level
