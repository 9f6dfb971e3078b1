"""Docstrings of the forecasters: complete, and alike where they share a parameter."""

import ast
import inspect
import re

import pytest

from sktime_llm import BALMTSFForecaster, CALFForecaster, LLMTSNetForecaster
from sktime_llm.forecasting._parameters import SHARED_CONSTRAINTS

FORECASTERS = [CALFForecaster, BALMTSFForecaster, LLMTSNetForecaster]
OWN_WORDS = {"context_length", "learning_rate", "max_epochs", "batch_size"}
"""Shared parameters that each method describes for itself."""


def sections(cls):
    """Return the sections of a docstring by their titles."""
    parts = re.split(r"\n\n(\w+)\n-+\n", inspect.getdoc(cls))
    return dict(zip(["Summary", *parts[1::2]], parts[::2], strict=True))


def entries(section):
    """Return (type, description) by name; several names may share an entry."""
    found = {}
    for head, text in re.findall(r"^(\S.*)\n((?:    .*\n?)*)", section, re.MULTILINE):
        names, _, kind = head.partition(" : ")
        found |= dict.fromkeys(names.split(", "), (kind, text.strip()))
    return found


def described(cls):
    return entries(sections(cls)["Parameters"])


@pytest.mark.parametrize("cls", FORECASTERS)
def test_every_parameter_is_described_with_its_default(cls):
    parameters = inspect.signature(cls).parameters
    assert list(described(cls)) == list(parameters)
    for name, (kind, text) in described(cls).items():
        assert text.endswith("."), name
        default = parameters[name].default
        if kind.endswith(", optional"):
            assert default is None, name
        else:
            documented = kind.partition(", default=")[2]
            assert ast.literal_eval(documented) == default, name


@pytest.mark.parametrize("cls", FORECASTERS[1:])
def test_shared_parameters_are_described_alike(cls):
    first, other = described(CALFForecaster), described(cls)
    for name in SHARED_CONSTRAINTS.keys() - OWN_WORDS:
        (kind, text), (other_kind, other_text) = first[name], other[name]
        assert text == other_text
        if name != "lr_schedule":
            assert kind == other_kind


@pytest.mark.parametrize("cls", FORECASTERS[1:])
def test_shared_attributes_errors_and_notes_are_described_alike(cls):
    first, other = sections(CALFForecaster), sections(cls)
    notes = [of["Notes"].split("\n\n")[-1] for of in (first, other)]
    assert "Parallel fits" in notes[0]
    assert notes[0] == notes[1]
    for section in ("Attributes", "Raises"):
        ours, theirs = entries(first[section]), entries(other[section])
        assert len(ours) >= 6
        assert ours.keys() <= theirs.keys()
        for name in ours.keys() - {"network_"}:
            assert ours[name] == theirs[name]


@pytest.mark.parametrize("cls", FORECASTERS)
def test_what_the_source_shows_is_what_help_shows(cls):
    tree = ast.parse(inspect.getsource(cls))
    assert ast.get_docstring(tree.body[0]) == inspect.getdoc(cls)
