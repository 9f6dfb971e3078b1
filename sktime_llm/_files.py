"""Files that are written as a whole or not at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside a file; what is written there replaces the file at the end.

    Whenever the process is killed, the old file or the new one is whole. Something that
    is no regular file, such as ``/dev/null``, is written to directly.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.touch(exist_ok=False)
        if path.exists():
            beside.chmod(stat.S_IMODE(path.stat().st_mode))
        yield beside
        with beside.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside a path; at the end it takes the place of the path.

    An old folder is renamed to `kept_beside` for the moment in between, and removed
    after it, with the plain files in it. Whenever the process is killed, the old folder
    or the new one is whole, under its own name or, in that moment, under that one.
    """
    path = path.resolve()
    kept = kept_beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kept.exists() and not path.exists():  # killed in that moment
        os.rename(kept, path)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    new.mkdir()
    try:
        yield new
        for file in new.iterdir():
            with file.open("rb+") as written:
                os.fsync(written.fileno())
        _remove_folder(kept)
        if path.exists():
            os.rename(path, kept)
        os.rename(new, path)
        _remove_folder(kept)
    finally:
        if kept.exists() and not path.exists():
            os.rename(kept, path)
        _remove_folder(new)


def kept_beside(path: Path) -> Path:
    """Return where `replacing_folder` keeps an old folder while it is replaced."""
    path = path.resolve()
    return path.with_name(f".{path.name}.old")


def _remove_folder(path: Path) -> None:
    """Remove a folder and the files in it; one that has folders stays."""
    if not path.is_dir():
        return
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
