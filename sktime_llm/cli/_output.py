"""What the command prints while it runs, and the files that it writes."""

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from sktime_llm import _files
from sktime_llm.errors import InputError

STDOUT = Path("-")


def echo(text: str = "", file: TextIO | None = None, end: str = "\n") -> None:
    """Print at once, to standard output by default, or say why that is impossible.

    Characters that the encoding of the stream lacks are written as in Python's code.
    """
    stream = sys.stdout if file is None else file
    encoding = stream.encoding or "utf-8"
    shown = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(shown, file=stream, end=end, flush=True)
    except OSError as error:
        # What is left in the stream must go somewhere, lest Python fails at its exit.
        with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        name = "error" if stream is sys.stderr else "output"
        raise InputError(
            f"Cannot write to standard {name}: {error.strerror}."
        ) from error


def echo_table(text: str) -> None:
    """Print a table to standard output as it would be in a file: in UTF-8."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    echo(text, end="")


def echo_error(text: str) -> None:
    """Write a message to standard error, if anybody still reads it."""
    with suppress(InputError):
        echo(f"sktime-llm: {text}", file=sys.stderr)


class Progress:
    """A line per step on standard error: what runs, how long it took, what remains."""

    def __init__(self, *, show: bool) -> None:
        self.show = show
        self._step = ""
        self._started = 0.0
        self._is_line_open = False

    def __call__(self, done: int, total: int, label: str) -> None:
        if self._step:
            seconds = time.perf_counter() - self._started
            # On a terminal, bars of the step itself may have overwritten the line.
            again = f"\r{self._step}" if sys.stderr.isatty() else ""
            if not self._is_line_open:
                again = self._step
            left = f", {total - done} to go" if done < total else ""
            self._write(f"{again}{seconds:.1f} s{left}\n")
        self._is_line_open = done < total
        if done < total:
            self._step = f"[{done + 1}/{total}] {label} ... "
            self._started = time.perf_counter()
            self._write(self._step)

    def end_line(self) -> None:
        """Make room for other text."""
        if self._is_line_open:
            self._write("\n")
        self._is_line_open = False

    def _write(self, text: str) -> None:
        if self.show:
            echo(text, file=sys.stderr, end="")


@contextmanager
def shown_progress(*, show: bool) -> Iterator[Progress]:
    """Show progress if asked to, and each warning as a line of its own without code."""
    progress = Progress(show=show)

    def show_warning(message: Warning | str, *details: object, **more: object) -> None:
        progress.end_line()
        echo(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", category)  # of libraries, for developers
        warnings.showwarning = show_warning
        try:
            yield progress
        finally:
            progress.end_line()


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


def make_folder(folder: Path) -> None:
    """Make a folder, or say why nothing can be written to it."""
    with explained(f"to the folder {str(folder)!r}"):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def check_not_input(file: Path | None, outputs: Iterable[Path]) -> None:
    """Raise an InputError if one of the files to write is the one that is read."""
    for output in outputs:
        if file and file.exists() and output.exists() and output.samefile(file):
            raise InputError(
                f"{output} would be written over the FILE that is read, {file}. Name "
                "another place with --output."
            )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; what is written there replaces the file at the end."""
    with explained(str(path)), _files.replacing(path) as beside:
        yield beside
