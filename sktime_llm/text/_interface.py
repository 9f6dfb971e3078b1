"""The base of describers, which put the trend of a series into words."""

import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from sktime_llm._validation import STRING, Constraint, check_parameters, integer
from sktime_llm.errors import DescriptionError, InputError


@dataclass(frozen=True, eq=False)
class NamedSeries:
    """A checked series, (time,), NaN where missing, and what else `describe` got."""

    name: Hashable
    values: NDArray[np.float64]
    seasonal_period: int | None = None
    step: str | None = None


class Describer(BaseEstimator, ABC):
    """Base of all describers, which turn each series into a sentence or a few.

    A describer has parameters and no fitted state, so scikit-learn's and sktime's tools
    can clone, pickle and tune it. A subclass writes `_describe`; this class checks the
    series that it gets and the texts that it returns.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_llm.text.describers import Describer
    >>> class LengthDescriber(Describer):
    ...     def _describe(self, series):
    ...         return [f"{one.name} has {len(one.values)} steps." for one in series]
    >>> LengthDescriber().describe([np.zeros(3)], ["flow"])
    ['flow has 3 steps.']
    """

    _parameter_constraints: ClassVar[Mapping[str, Constraint]] = {}

    def describe(
        self,
        series: Sequence[ArrayLike],
        names: Sequence[Hashable] | None = None,
        *,
        seasonal_period: int | None = None,
        step: str | None = None,
    ) -> list[str]:
        """Describe each series in words.

        Parameters
        ----------
        series : sequence of array-like of shape (time,)
            Numbers in the data's own units, NaN where missing; lengths may differ. Pass
            only the training span, or the text describes the future.
        names : sequence of Hashable, optional
            One per series, for prompts and errors. Default is 0, 1, 2 and so on.
        seasonal_period : int, optional
            Steps per season, 2 or more. If None, seasons are looked for. A season that
            is longer than half the series is not described.
        step : str, optional
            Length of a step in words, such as ``"5 minutes"``.

        Returns
        -------
        list of str
            One text per series, none of them empty.

        Raises
        ------
        InputError
            If a series is not one-dimensional, is empty or has infinite values, if
            there are not as many names as series, or if a parameter is invalid.
        DescriptionError
            If a series could not be described.
        """
        check_parameters(vars(self), self._parameter_constraints)
        (integer(2) | None).check("seasonal_period", seasonal_period)
        (STRING | None).check("step", step)
        names = list(range(len(series))) if names is None else list(names)
        if len(names) != len(series):
            raise InputError(
                f"got {len(names)} names for {len(series)} series; expected one each."
            )
        subjects = [
            NamedSeries(name, _checked_values(values, name), seasonal_period, step)
            for name, values in zip(names, series, strict=True)
        ]
        texts = self._describe(subjects)
        check_texts(texts, names, origin=type(self).__name__)
        return texts

    def __eq__(self, other: object) -> bool:
        # sktime compares the parameters of a forecaster with those of its clone
        if type(self) is not type(other):
            return NotImplemented
        return bool(self.get_params() == other.get_params())

    def __hash__(self) -> int:
        return hash(type(self))  # parameters can be set, and need not be hashable

    @abstractmethod
    def _describe(self, series: Sequence[NamedSeries]) -> list[str]:
        """Return one text per series, or raise a `DescriptionError`."""


def _checked_values(values: ArrayLike, name: Hashable) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "biuf":
        raise InputError(
            f"series {name!r} has shape {array.shape} and dtype {array.dtype}; "
            "expected numbers of shape (time,), at least one step."
        )
    if np.isinf(array).any():
        raise InputError(
            f"series {name!r} has {np.isinf(array).sum()} infinite values; expected "
            "finite ones, or NaN where a value is missing."
        )
    return array.astype(np.float64)


def check_texts(
    texts: Sequence[object], names: Sequence[Hashable], *, origin: str
) -> None:
    """Raise an error if a series has no text, or one that UTF-8 cannot encode."""
    if len(texts) != len(names):
        raise DescriptionError(
            f"{origin} gave {len(texts)} texts for {len(names)} series; expected one "
            "each."
        )
    for name, text in zip(names, texts, strict=True):
        if not isinstance(text, str) or not text.strip():
            raise DescriptionError(
                f"series {name!r}: {origin} gave {text!r}; expected a text that is not "
                "empty."
            )
        if surrogate := lone_surrogate(text):
            raise DescriptionError(
                f"series {name!r}: {origin} gave a text with {surrogate}, half of a "
                "character; expected text that UTF-8 can encode."
            )


def lone_surrogate(text: str) -> str | None:
    """Return the code of the first lone surrogate, which no encoding has, if any."""
    found = re.search("[\ud800-\udfff]", text)
    return f"U+{ord(found[0]):04X}" if found else None
