"""Files that are written as a whole or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sktime_llm import _files
from sktime_llm.errors import InputError


def make_folder(folder: Path) -> None:
    """Make a folder, or say why nothing can be written to it."""
    with explained(f"to the folder {str(folder)!r}"):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; what was written there replaces the file at the end."""
    with explained(str(path)), _files.replacing(path) as beside:
        yield beside


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn errors of the system into messages of what cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Cannot write {what}: {error.strerror or error}. Make room or get access, "
            f"or choose another place."
        ) from error
