"""Whether plots can be drawn."""

import importlib.util

from sktime_llm.errors import MissingPackageError


def require_matplotlib() -> None:
    """Raise an error that says what to install if matplotlib is missing.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sktime_llm.plotting import require_matplotlib
    >>> require_matplotlib()
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingPackageError(
            "Plots need matplotlib. Install it with `pip install sktime-llm[plots]`."
        )
