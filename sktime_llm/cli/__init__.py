"""The command ``sktime-llm``: forecasts and comparisons without writing Python."""

from collections.abc import Sequence

from sktime_llm.cli._arguments import make_parser
from sktime_llm.cli._output import echo, echo_error
from sktime_llm.errors import SktimeLLMError


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
        the data cannot be used or the output cannot be written, 130 if interrupted.

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
    try:
        return 0 if _run(argv) else 1
    except (SktimeLLMError, ImportError, OSError) as error:
        echo_error(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        echo_error("interrupted")
        return 130


def _run(argv: Sequence[str] | None) -> bool:
    try:
        options = make_parser().parse_args(argv)
    except SystemExit:
        echo(end="")  # a stream that fails should not do so at exit
        raise
    # They import pandas, which --help does not need.
    from sktime_llm.cli._ablation import ablate
    from sktime_llm.cli._comparison import compare
    from sktime_llm.cli._forecast import forecast

    run = {"ablate": ablate, "compare": compare, "forecast": forecast}
    return run[options.command](options)
