"""Which columns of a table are targets, and the numbers in them."""

import re
import shlex
from collections.abc import Sequence

import numpy as np
import pandas as pd

from sktime_llm.datasets._source import Source
from sktime_llm.errors import InputError

_MISSING = ("", "-", "na", "nan", "n/a", "#n/a", "<na>", "none", "null", "nat")

# Decimal and thousands separators that are suggested if all cells fit them.
_NOTATIONS = ((".", ","), (",", None), (",", "."), (",", " "), (".", " "), (".", "'"))


def read_targets(
    source: Source,
    target: Sequence[object] | None,
    taken: Sequence[object],
    decimal: str,
    thousands: str | None,
) -> tuple[pd.DataFrame, dict[object, str]]:
    """Return the targets as numbers, NaN where missing, and why others are left out.

    Without `target`, each column that mostly holds numbers is a target.
    """
    others = [name for name in source.frame.columns if name not in taken]
    left_out, columns = {}, {}
    for name in others if target is None else target:
        cells = source.frame[name]
        numbers, bad = _parse(cells, decimal, thousands)
        position = int(bad.argmax())
        found = repr(str(cells.iloc[position]))
        if target is None and name in source.unnamed:
            left_out[name] = "has no name"
        elif target is None and bad.sum() >= max(numbers.notna().sum(), 1):
            reason = f"{source.row(position)}: {found} is not a number"
            left_out[name] = "; ".join([reason, *_fitting_options(cells)])
        elif target is None and numbers.isna().all():
            left_out[name] = "holds no values"
        elif bad.any():
            plain = "Write it as 1234.5, or leave the column out with --target"
            advice = "".join(f"Give {one}" for one in _fitting_options(cells)) or plain
            problem = f"got {found}, expected a finite number. {advice}."
            source.fail(name, position, problem)
        else:
            columns[name] = numbers
    if target is not None:
        left_out = {name: "not a target" for name in others if name not in target}
    if not columns:
        reasons = ", ".join(f"{name} ({why})" for name, why in left_out.items())
        raise InputError(
            f"{source.name} has no column of numbers to forecast. Left out: "
            f"{reasons or 'none'}."
        )
    return pd.DataFrame(columns), left_out


def _parse(
    cells: pd.Series, decimal: str, thousands: str | None
) -> tuple[pd.Series, pd.Series]:
    """Return numbers, NaN where there is none, and which cells hold something else."""
    is_type = pd.api.types
    if is_type.is_numeric_dtype(cells) and not is_type.is_bool_dtype(cells):
        numbers = cells.astype("float64")
        return numbers, np.isinf(numbers)
    if not (is_type.is_object_dtype(cells) or is_type.is_string_dtype(cells)):
        return pd.Series(np.nan, cells.index), cells.notna()
    if decimal == thousands:
        raise InputError(f"Got {decimal!r} as both decimal and thousands separator.")
    texts = cells.astype("object").map(str).str.strip()
    missing = texts.str.lower().isin(_MISSING)
    # Only the given separators count: with a decimal comma, '1.5' is not a number.
    marks: dict[str, str | None] = {".": "?"}
    if thousands is not None:
        marks[thousands] = None
        mark = re.escape(thousands)
        misplaced = texts.str.contains(rf"{mark}(?!\d{{3}}(?!\d)|\d\d{mark})")
        texts = texts.mask(misplaced, "?")
    plain = texts.str.translate(str.maketrans({**marks, decimal: "."}))
    numbers = pd.to_numeric(plain.mask(missing), errors="coerce").astype("float64")
    bad = ~missing & ~np.isfinite(numbers)
    return numbers.mask(bad), bad


def _fitting_options(cells: pd.Series) -> list[str]:
    """Return options with which all cells are numbers, at most two."""
    fitting = []
    texts = cells.map(str)
    for decimal, thousands in _NOTATIONS:
        is_used = thousands is None or texts.str.contains(thousands, regex=False).any()
        if is_used and not _parse(cells, decimal, thousands)[1].any():
            options = [] if decimal == "." else [f"--decimal {decimal}"]
            options += [f"--thousands {shlex.quote(thousands)}"] if thousands else []
            fitting.append(f"`{' '.join(options)}`")
    return [" or ".join(fitting[:2])] if fitting else []
