"""Warnings of other libraries."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def library_warnings_off(prefix: str = "") -> Iterator[None]:
    """Drop the warnings that libraries address to developers; repeat the others once.

    Warnings are recorded rather than filtered, because sktime and statsmodels set
    filters of their own while they run.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
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
