"""Prompts that ask a language model to describe a series."""

from string import Formatter

import numpy as np
from numpy.typing import NDArray

from sktime_llm.errors import InputError
from sktime_llm.text._interface import NamedSeries, lone_surrogate
from sktime_llm.text._template import number, statistics_in_words

DEFAULT_PROMPT = """\
Describe the trend of a time series for someone who has to forecast it: level, \
direction and strength of the trend, seasonality, volatility, peaks and troughs, \
sudden changes. Use at most 60 words of plain English, in complete sentences. State \
only what the numbers show, forecast nothing, and answer with the description alone.

Statistics: {statistics}
Means of {n_values} equal parts, oldest first: {values}

Description:"""
"""Prompt of the describers that ask a language model."""

_FIELDS = ("name", "step", "statistics", "values")
_COUNTS = ("n_steps", "n_values")


def check_prompt(template: str) -> None:
    """Raise an error if a template is malformed or says nothing of the series."""
    try:
        fields = {field for _, field, _, _ in Formatter().parse(template) if field}
        unknown = sorted(fields.difference(_FIELDS, _COUNTS))
        if not unknown:
            template.format(**dict.fromkeys(_FIELDS, ""), **dict.fromkeys(_COUNTS, 1))
    except (ValueError, LookupError, TypeError) as error:
        problem = f"the prompt template cannot be read ({error})"
        raise InputError(f"{problem}; write a literal brace twice.") from error
    if unknown:
        raise InputError(
            f"the prompt template has the fields {unknown}; expected some of "
            f"{[*_FIELDS, *_COUNTS]}. Write a literal brace twice."
        )
    if not fields & {"statistics", "values"}:
        raise InputError(
            "the prompt template has neither {statistics} nor {values}, so the prompt "
            "would say nothing of the series; add one of them."
        )


def make_prompt(template: str, series: NamedSeries, n_values: int) -> str:
    """Fill a template that `check_prompt` accepts, with at most `n_values` means."""
    parts = np.array_split(series.values, min(n_values, len(series.values)))
    prompt = template.format(
        name=series.name,
        n_steps=len(series.values),
        step=series.step or "unknown length",
        statistics=statistics_in_words(series),
        values=", ".join(_mean(part) for part in parts),
        n_values=len(parts),
    )
    if surrogate := lone_surrogate(prompt):
        raise InputError(
            f"series {series.name!r}: its prompt has {surrogate}, half of a character, "
            "which cannot be sent; expected text that UTF-8 can encode."
        )
    return prompt


def _mean(part: NDArray[np.float64]) -> str:
    observed = part[~np.isnan(part)]
    if len(observed) == 0:
        return "missing"
    # divided first: the sum of very large values would overflow
    return number(float((observed / len(observed)).sum()))
