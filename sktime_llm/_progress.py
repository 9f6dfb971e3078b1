"""Progress bars of work that may take long."""

from tqdm.auto import tqdm

_SHOW_AFTER_SECONDS = 2.0


def progress_bar(total: int, description: str, unit: str, verbose: int) -> "tqdm[None]":
    """Make a bar that appears on a terminal or in a notebook if the work takes long."""
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        disable=None if verbose else True,  # None: off unless a person watches
        delay=_SHOW_AFTER_SECONDS,
        leave=False,
    )
