"""Checks of parameters that are numbers."""

import math

import numpy as np
import pytest

from sktime_llm._numbers import check_count, check_number
from sktime_llm.errors import InputError


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_counts(value):
    check_count("n", value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "n=0, expected at least 1."),
        (2.0, "n=2.0, expected an integer, at least 1."),
        (True, "n=True, expected an integer, at least 1."),
        (None, "n=None, expected an integer, at least 1."),
        ("3", "n='3', expected an integer, at least 1."),
    ],
)
def test_no_counts(value, message):
    with pytest.raises(InputError) as caught:
        check_count("n", value)
    assert str(caught.value) == message


def test_optional_count():
    check_count("n", None, optional=True)
    with pytest.raises(InputError, match=r"^n=1, expected at least 2, or None\.$"):
        check_count("n", 1, least=2, optional=True)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.25)])
def test_numbers(value):
    check_number("rate", value, least=0, below=1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-0.1, "rate=-0.1, expected at least 0 and below 1."),
        (1, "rate=1, expected at least 0 and below 1."),
        (math.nan, "rate=nan, expected at least 0 and below 1."),
        ("a", "rate='a', expected a number, at least 0 and below 1."),
        (None, "rate=None, expected a number, at least 0 and below 1."),
        (False, "rate=False, expected a number, at least 0 and below 1."),
    ],
)
def test_no_numbers(value, message):
    with pytest.raises(InputError) as caught:
        check_number("rate", value, least=0, below=1)
    assert str(caught.value) == message


def test_optional_number():
    check_number("clip", None, above=0, optional=True)
    with pytest.raises(InputError, match=r"^clip=0, expected above 0, or None\.$"):
        check_number("clip", 0, above=0, optional=True)
