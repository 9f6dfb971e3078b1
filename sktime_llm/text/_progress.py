"""A progress bar for descriptions that take long."""

from tqdm import tqdm

_SHOW_AFTER_SECONDS = 2.0


def progress_bar(total: int, verbose: int) -> "tqdm[None]":
    """Make a bar; on a terminal or in a notebook it appears if the work takes long.

    Parameters
    ----------
    total : int
        Number of series.
    verbose : int
        0 for no bar at all.
    """
    return tqdm(
        total=total,
        desc="describing",
        unit="series",
        disable=None if verbose else True,  # None: off where nobody watches
        delay=_SHOW_AFTER_SECONDS,
        leave=False,
    )
