"""Tests of the errors: one base, and still the builtin that a caller may expect."""

import inspect
import pickle

import pytest

from sktime_llm import errors

OURS = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, Exception) and not issubclass(error, Warning)
]


@pytest.mark.parametrize("error", OURS, ids=lambda error: error.__name__)
def test_every_error_has_the_one_base_and_a_builtin(error):
    builtins = ValueError, RuntimeError, OSError, ImportError
    assert issubclass(error, errors.SktimeLLMError)
    assert error is errors.SktimeLLMError or issubclass(error, builtins)
    restored = pickle.loads(pickle.dumps(error("what was wrong")))
    assert type(restored) is error
    assert str(restored) == "what was wrong"


def test_ctrl_c_is_no_error():
    assert issubclass(errors.TrainingInterrupted, KeyboardInterrupt)
    assert not issubclass(errors.TrainingInterrupted, Exception)
