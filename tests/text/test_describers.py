"""What all describers have in common, and descriptions that the user supplies."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from sktime_llm.errors import DescriptionError, InputError
from sktime_llm.text import describers
from sktime_llm.text.describers import (
    Describer,
    EndpointDescriber,
    GenerationDescriber,
    TemplateDescriber,
    resolve_describer,
    texts_of,
)

ALL = [
    TemplateDescriber(),
    GenerationDescriber("gpt2", max_new_tokens=3),
    EndpointDescriber("http://localhost/v1", "m", extra_body={"seed": 1}),
]


class Echo(Describer):
    def __init__(self, answer=None):
        self.answer = answer

    def _describe(self, series):
        self.seen = series
        return [str(one.name) for one in series] if self.answer is None else self.answer


@pytest.mark.parametrize("describer", ALL, ids=lambda one: type(one).__name__)
def test_parameters_survive_clone_and_pickle(describer):
    for copy in (clone(describer), pickle.loads(pickle.dumps(describer))):
        assert type(copy) is type(describer)
        assert copy.get_params() == describer.get_params()
    assert vars(describer).keys() == describer.get_params().keys()


@pytest.mark.parametrize("describer", ALL, ids=lambda one: type(one).__name__)
def test_equal_by_kind_and_parameters(describer):
    same = clone(describer)
    assert same == describer
    assert hash(same) == hash(describer)
    assert [one == describer for one in ALL].count(True) == 1
    if describer.get_params():
        assert same.set_params(verbose=0) != describer


def test_all_is_public():
    assert all(hasattr(describers, name) for name in describers.__all__)


def test_series_reach_the_describer():
    echo = Echo()
    first, second = np.array([1, 2, 3]), [True, False]
    texts = echo.describe([first, second], ["a", 7], seasonal_period=2, step="1 h")
    assert texts == ["a", "7"]
    assert [one.name for one in echo.seen] == ["a", 7]
    assert [one.values.tolist() for one in echo.seen] == [[1, 2, 3], [1, 0]]
    assert {one.values.dtype for one in echo.seen} == {np.dtype("float64")}
    assert {(one.seasonal_period, one.step) for one in echo.seen} == {(2, "1 h")}


def test_default_names_and_no_series():
    assert Echo().describe(np.zeros((3, 5))) == ["0", "1", "2"]
    assert Echo().describe([]) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"'flow' has shape \(0,\)"),
        ([[1.0], [2.0]], r"'flow' has shape \(2, 1\)"),
        (3.0, r"'flow' has shape \(\)"),
        (["high", "low"], "'flow' .*dtype <U4; expected numbers"),
        ([1.0, np.inf, -np.inf], "'flow' has 2 infinite values"),
    ],
)
def test_bad_series_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Echo().describe([[0.0], values], ["good", "flow"])


def test_bad_names_and_season():
    with pytest.raises(InputError, match="1 names for 2 series"):
        Echo().describe([[0.0], [1.0]], ["a"])
    with pytest.raises(InputError, match="seasonal_period=1, expected an integer of"):
        Echo().describe([[0.0]], seasonal_period=1)


@pytest.mark.parametrize("answer", [["fine", "  "], ["fine", None]])
def test_text_without_content_is_an_error(answer):
    with pytest.raises(DescriptionError, match=r"series 'b': Echo gave .* not empty"):
        Echo(answer).describe([[0.0], [0.0]], ["a", "b"])
    with pytest.raises(DescriptionError, match="Echo gave 1 texts for 2 series"):
        Echo(["fine"]).describe([[0.0], [0.0]])


def test_resolve():
    assert isinstance(resolve_describer("template"), TemplateDescriber)
    echo = Echo()
    assert resolve_describer(echo) is echo


@pytest.mark.parametrize("describer", ["gpt2", None, TemplateDescriber])
def test_resolve_refuses(describer):
    with pytest.raises(InputError, match="expected 'template' or a Describer"):
        resolve_describer(describer)


def test_texts_by_name_and_by_order():
    names = ["b", 1, ("x", 2)]
    by_name = {1: "one", ("x", 2): "two", "b": "bee"}
    assert texts_of(by_name, names) == ["bee", "one", "two"]
    assert texts_of(("p", "q", "r"), names) == ["p", "q", "r"]


def test_missing_and_extra_names():
    with pytest.raises(InputError) as caught:
        texts_of({"a": "x", "c": "y"}, ["a", "b"])
    message = str(caught.value)
    assert "no description for the series 'b'" in message
    assert "descriptions for 'c', which are not series" in message


@pytest.mark.parametrize(
    ("texts", "names", "message"),
    [
        ({}, range(100), "series 0, 1, 2, 3, 4 and 95 more; expected"),
        (["x"], ["a", "b"], r"1 descriptions for 2 series.*'a', 'b'"),
        *(
            (d, ["a"], r"descriptions is a \w+; expected a map")
            for d in ("ab", 3, None)
        ),
    ],
)
def test_texts_that_do_not_fit(texts, names, message):
    with pytest.raises(InputError, match=message):
        texts_of(texts, names)


@pytest.mark.parametrize("text", ["", " \n", 3, None, "Rises \udc80 fast."])
def test_description_that_cannot_be_read(text):
    message = "series 'b': the user's descriptions gave .*; expected"
    with pytest.raises(DescriptionError, match=message) as caught:
        texts_of({"a": "x", "b": text}, ["a", "b"])
    assert str(caught.value).isprintable()
