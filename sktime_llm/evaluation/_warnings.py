"""Which warnings of other libraries reach a user."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from sktime_llm.errors import TrainingInterruptedWarning


@contextmanager
def library_warnings_off(prefix: str = "") -> Iterator[None]:
    """Keep what libraries tell their developers from a user; pass on the rest.

    Warnings are recorded rather than filtered, because sktime and statsmodels put
    filters of their own in front while they run. Training that was stopped from outside
    is an interruption here: half a training says nothing about a forecaster.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", TrainingInterruptedWarning)
        try:
            yield
        except TrainingInterruptedWarning as warning:
            raise KeyboardInterrupt(str(warning)) from warning
    for_developers = (
        FutureWarning,
        DeprecationWarning,
        PendingDeprecationWarning,
        ResourceWarning,
    )
    messages = {
        (str(one.message), one.category)
        for one in caught
        if not issubclass(one.category, for_developers)
    }
    for message, category in sorted(messages, key=str):
        warnings.warn(prefix + message, category, stacklevel=5)
