"""The command ``sktime-llm``: compare forecasters without writing Python."""

import sys
from collections.abc import Sequence

from sktime_llm.cli._arguments import make_parser
from sktime_llm.cli._comparison import compare
from sktime_llm.cli._output import echo
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceNotAvailableError,
    InputError,
)

# Exit codes.
_OK, _FORECASTER_FAILED, _USER_ERROR, _INTERRUPTED = 0, 1, 2, 130

# What a user can put right, so that a message says more than a traceback.
_USER_ERRORS = (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceNotAvailableError,
    ImportError,
    InputError,
)


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
    options = make_parser().parse_args(argv)
    try:
        return _OK if compare(options) else _FORECASTER_FAILED
    except _USER_ERRORS as error:
        echo(f"sktime-llm: error: {error}", file=sys.stderr)
        return _USER_ERROR
    except KeyboardInterrupt:
        echo("sktime-llm: interrupted", file=sys.stderr)
        return _INTERRUPTED
