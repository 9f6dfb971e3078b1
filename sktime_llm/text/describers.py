"""Trend descriptions: a few sentences per series, from a template or a language model.

A describer turns the training span of each series into a text. `TemplateDescriber` is
the default; the others ask a language model.
"""

from collections.abc import Hashable, Mapping, Sequence

from sktime_llm.errors import InputError
from sktime_llm.text._description_prompt import DEFAULT_PROMPT
from sktime_llm.text._endpoint import EndpointDescriber
from sktime_llm.text._generation import GenerationDescriber, clear_generation_cache
from sktime_llm.text._interface import Describer, check_texts
from sktime_llm.text._template import TemplateDescriber

__all__ = [
    "DEFAULT_PROMPT",
    "Describer",
    "EndpointDescriber",
    "GenerationDescriber",
    "TemplateDescriber",
    "clear_generation_cache",
    "resolve_describer",
    "texts_of",
]

_MAX_NAMES = 5
"""Names that an error lists; it counts the others."""


def resolve_describer(describer: str | Describer) -> Describer:
    """Turn the parameter `describer` of a forecaster into a describer.

    Parameters
    ----------
    describer : {"template"} or Describer
        ``"template"`` is a `TemplateDescriber`; a describer is returned as it is.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> from sktime_llm.text.describers import resolve_describer
    >>> resolve_describer("template")
    TemplateDescriber()
    """
    if isinstance(describer, Describer):
        return describer
    if describer == "template":
        return TemplateDescriber()
    raise InputError(
        f"describer={describer!r}, expected 'template' or a Describer, such as "
        "GenerationDescriber or EndpointDescriber of sktime_llm.text.describers."
    )


def texts_of(
    descriptions: Mapping[Hashable, str] | Sequence[str], names: Sequence[Hashable]
) -> list[str]:
    """Return descriptions that the user supplies in the order of the series.

    Parameters
    ----------
    descriptions : mapping of name to str, or sequence of str
        One text for each series: by its name, or in the order of `names`.
    names : sequence of Hashable
        Names of the series.

    Returns
    -------
    list of str
        One text for each of `names`.

    Raises
    ------
    InputError
        If a series has no description, or a description belongs to no series.
    DescriptionError
        If a description is empty or not a string.

    Examples
    --------
    >>> from sktime_llm.text.describers import texts_of
    >>> texts_of({"b": "Falls.", "a": "Rises."}, names=["a", "b"])
    ['Rises.', 'Falls.']
    """
    if isinstance(descriptions, Mapping):
        texts = _by_name(descriptions, names)
    elif isinstance(descriptions, Sequence) and not isinstance(descriptions, str):
        texts = list(descriptions)
        if len(texts) != len(names):
            raise InputError(
                f"got {len(texts)} descriptions for {len(names)} series; expected one "
                f"each, in the order {_listed(names)}."
            )
    else:
        raise InputError(
            f"descriptions is a {type(descriptions).__name__}; expected a mapping of "
            "names of series to texts, or a sequence of texts."
        )
    check_texts(texts, names, origin="the user's descriptions")
    return texts


def _by_name(
    descriptions: Mapping[Hashable, str], names: Sequence[Hashable]
) -> list[str]:
    missing = [name for name in names if name not in descriptions]
    known = set(names)
    extra = [name for name in descriptions if name not in known]
    parts = [f"no description for the series {_listed(missing)}"] if missing else []
    if extra:
        parts.append(f"descriptions for {_listed(extra)}, which are not series")
    if parts:
        raise InputError(
            f"got {' and '.join(parts)}; expected one for each of the {len(names)} "
            f"series {_listed(names)}."
        )
    return [descriptions[name] for name in names]


def _listed(names: Sequence[Hashable]) -> str:
    text = ", ".join(map(repr, names[:_MAX_NAMES]))
    rest = len(names) - _MAX_NAMES
    return f"{text} and {rest} more" if rest > 0 else text
