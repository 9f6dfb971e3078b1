"""Arguments of the command, and what its help says."""

import argparse
from pathlib import Path

from sktime_llm._version import __version__
from sktime_llm.cli._table import add_table_arguments

_MAX_SEED = 2**32 - 1

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
  sktime-llm compare sales.csv --time-column date --id-column store item
  sktime-llm compare sales.csv --time-column date --date-format %d.%m.%Y

exit codes:
  0 all forecasters ran, 1 a forecaster failed, 2 something is wrong with the input
"""


def make_parser() -> argparse.ArgumentParser:
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
    add_table_arguments(compare)
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
    if not text.isdecimal() or int(text) > _MAX_SEED:
        raise argparse.ArgumentTypeError(
            f"expected an integer from 0 to {_MAX_SEED}, got {text!r}"
        )
    return int(text)
