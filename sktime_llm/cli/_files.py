"""Files that are written as a whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sktime_llm.errors import InputError


def make_folder(folder: Path) -> None:
    with _explained(f"to the folder {str(folder)!r}"):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; what was written there replaces the file at the end."""
    with _explained(str(path)):
        path = path.resolve()
        if path.exists() and not path.is_file():  # such as /dev/null
            yield path
            return
        beside = path.with_name(f".{os.getpid()}.{path.name}")
        try:
            yield beside
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Cannot write {what}: {error.strerror or error}. Make room or get access, "
            f"or choose another place with --output."
        ) from error
