"""Checks of parameters against tables of constraints."""

import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from sktime_llm.errors import InputError


@dataclass(frozen=True)
class Constraint:
    """What a parameter may be, in words and as a check of a value.

    ``integer(1) | None`` also allows None.
    """

    expected: str
    accepts: Callable[[object], bool]

    def __or__(self, other: "Constraint | None") -> "Constraint":
        second = other or Constraint("None", lambda value: value is None)
        return Constraint(
            f"{self.expected}, or {second.expected}",
            lambda value: self.accepts(value) or second.accepts(value),
        )

    def check(self, name: str, value: object) -> None:
        """Raise an InputError that names the parameter if the value is not allowed."""
        if not self.accepts(value):
            shown = repr(value)
            if len(shown) > 100:
                shown = f"{shown[:100]}..."
            raise InputError(f"{name}={shown}, expected {self.expected}.")


def check_parameters(
    values: Mapping[str, object], constraints: Mapping[str, Constraint]
) -> None:
    """Check parameters against a table; those without a constraint are not checked."""
    for name, constraint in constraints.items():
        constraint.check(name, values[name])


def plain(value: Any) -> Any:
    """Return a scalar of numpy as Python's, which JSON and torch take everywhere."""
    return value.item() if isinstance(value, np.generic) else value


def integer(minimum: int, maximum: int | None = None) -> Constraint:
    """Allow integers, also those of numpy, but not booleans."""

    def accepts(value: Any) -> bool:
        return (
            _is_number(value, numbers.Integral)
            and value >= minimum
            and (maximum is None or value <= maximum)
        )

    if maximum is None:
        return Constraint(f"an integer of at least {minimum}", accepts)
    return Constraint(f"an integer from {minimum} to {maximum}", accepts)


def real(
    minimum: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
) -> Constraint:
    """Allow finite numbers, also those of numpy, but not booleans."""
    bounds = {"of at least": minimum, "above": above, "below": below}
    within = " and ".join(f"{k} {v}" for k, v in bounds.items() if v is not None)

    def accepts(value: Any) -> bool:
        return (
            _is_number(value, numbers.Real)
            and (minimum is None or value >= minimum)
            and (above is None or value > above)
            and (below is None or value < below)
        )

    return Constraint(f"a number {within}", accepts)


def _is_number(value: Any, kind: type[Any]) -> bool:
    try:
        return (
            isinstance(value, kind)
            and not isinstance(value, bool)
            and math.isfinite(value)
        )
    except OverflowError:  # an integer beyond all floats
        return False


def one_of(*choices: str) -> Constraint:
    """Allow some strings."""
    return Constraint(
        f"one of {choices}" if len(choices) > 1 else repr(choices[0]),
        lambda value: isinstance(value, str) and value in choices,
    )


def instance_of(*types: type, expected: str | None = None) -> Constraint:
    """Allow instances of some types."""
    names = " or ".join(one.__name__ for one in types)
    return Constraint(expected or f"a {names}", lambda value: isinstance(value, types))


BOOLEAN = instance_of(bool, np.bool_, expected="True or False")
STRING = instance_of(str, expected="a string")
PATH = instance_of(str, os.PathLike, expected="a str or a Path")
VERBOSE = integer(0) | BOOLEAN
RANDOM_STATE = (
    integer(0, 2**32 - 1)
    | instance_of(np.random.RandomState, expected="a numpy.random.RandomState")
    | None
)


def sequence_of(constraint: Constraint, expected: str) -> Constraint:
    """Allow sequences and sets, but no strings, of what a constraint allows."""

    def accepts(value: Any) -> bool:
        is_known = isinstance(value, Sequence | Set) and not isinstance(value, str)
        return is_known and all(map(constraint.accepts, value))

    return Constraint(expected, accepts)


LEVELS = sequence_of(
    real(1, below=100),
    "a sequence of levels in percent, of at least 1 and below 100: 80, not 0.8",
)
