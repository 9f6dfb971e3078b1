"""Warnings that point at the code of users."""

import sys
import warnings

_INSIDE = frozenset({"sktime_llm", "sktime", "skbase", "joblib", "contextlib"})


def warn(message: str, category: type[Warning]) -> None:
    """Warn of the last line outside of this package and of sktime."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and _package(frame.f_globals) in _INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _package(names: dict[str, object]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
