"""Every parameter of every public class refuses what it cannot be, by name."""

import functools
import inspect
import math
import types
import typing

import numpy as np
import pytest

from sktime_llm import (
    BALMTSFForecaster,
    CALFForecaster,
    LLMTSNetForecaster,
    compare_forecasters,
)
from sktime_llm._validation import (
    BOOLEAN,
    LEVELS,
    RANDOM_STATE,
    check_parameters,
    instance_of,
    integer,
    one_of,
    real,
)
from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.lora_amr import LoraAmrConfig
from sktime_llm.errors import InputError
from sktime_llm.text.describers import EndpointDescriber, GenerationDescriber
from sktime_llm.training.config import TrainingConfig

from .forecasting.common import make_series

SERIES = make_series()
WRONG = {
    int: [1.5, "3", math.nan, True, -1],
    float: ["0.1", math.nan, math.inf, True, -0.5],
    bool: ["no", 1, math.nan],
    str: [1, True, math.nan],
}
OF_LORA_AMR = {"r": int, "lora_alpha": float, "lora_dropout": float}
"""Parameters of LoraAmrConfig that it documents; peft's other ones are peft's."""
FREE = {
    *("backbone", "revision", "model", "base_url", "api_key_env"),
    *("prompt", "cache_dir", "resume", "checkpoint"),
}
"""Parameters that may be any string, or whose strings are looked up elsewhere."""


def fit(cls, **parameters):
    cls(**parameters).fit(SERIES)


def describe(cls, **parameters):
    cls(**parameters).describe([[1.0, 2.0, 3.0]])


USES = {
    **{
        cls: functools.partial(fit, cls)
        for cls in (CALFForecaster, BALMTSFForecaster, LLMTSNetForecaster)
    },
    compare_forecasters: functools.partial(
        compare_forecasters, data=SERIES, forecasters={"calf": None}, horizon=1
    ),
    GenerationDescriber: functools.partial(
        describe, GenerationDescriber, model="tiny-random-decoder"
    ),
    EndpointDescriber: functools.partial(
        describe, EndpointDescriber, base_url="http://localhost:1", model="m"
    ),
    AdapterConfig: AdapterConfig,
    LoraAmrConfig: LoraAmrConfig,
    TrainingConfig: functools.partial(
        TrainingConfig, learning_rate=0.1, max_epochs=1, batch_size=1
    ),
}


def hints_of(use):
    function = use.__init__ if inspect.isclass(use) else use
    hints = typing.get_type_hints(function, localns={"BaseForecaster": object})
    return {name: hints[name] for name in inspect.signature(use).parameters}


def each_parameter():
    for use in USES:
        hints = OF_LORA_AMR if use is LoraAmrConfig else hints_of(use)
        for name, hint in hints.items():
            yield pytest.param(use, name, hint, id=f"{use.__name__}-{name}")


def wrong_values(name, hint):
    origin = typing.get_origin(hint)
    is_union = origin in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if is_union else (hint,)
    kinds = [
        str if typing.get_origin(kind) is typing.Literal else kind for kind in kinds
    ]
    values = [object()]
    for kind in kinds:
        values += WRONG.get(kind, [])
    if str in kinds and name not in FREE:
        values.append("nonsense")
    if types.NoneType not in kinds:
        values.append(None)
    return values


@pytest.mark.parametrize(("use", "name", "hint"), list(each_parameter()))
def test_wrong_values_are_refused_by_name(use, name, hint):
    for value in wrong_values(name, hint):
        if name == "verbose" and value is True:
            continue
        with pytest.raises(InputError, match=rf"^{name}=.*, expected ") as caught:
            USES[use](**{name: value})
        assert repr(value)[:50] in str(caught.value)


@pytest.mark.parametrize(
    ("constraint", "allowed"),
    [
        (integer(1), [1, 7, np.int64(3), np.uint8(1)]),
        (integer(1, 2) | None, [1, 2, None]),
        (real(0, below=1), [0, 0.5, np.float32(0.25), np.int64(0)]),
        (real(above=0), [1e-300, 10**300]),
        (one_of("a", "b"), ["a", "b", np.str_("a")]),
        (BOOLEAN, [True, False, np.True_]),
        (RANDOM_STATE, [None, 0, np.uint32(7), np.random.RandomState(1)]),
        (instance_of(dict) | one_of("none"), [{}, "none"]),
        (LEVELS, [(), [80, 95.5], (np.float64(50),), {80}, range(1, 99)]),
    ],
)
def test_allowed(constraint, allowed):
    for value in allowed:
        constraint.check("parameter", value)


@pytest.mark.parametrize(
    ("constraint", "value", "message"),
    [
        (integer(1), 0, "n=0, expected an integer of at least 1."),
        (integer(1) | None, 2.0, "n=2.0, expected an integer of at least 1, or None."),
        (integer(0, 3), 4, "n=4, expected an integer from 0 to 3."),
        (real(0, below=1), 1, "n=1, expected a number of at least 0 and below 1."),
        (real(above=0), 0, "n=0, expected a number above 0."),
        (real(0), 10**400, f"n=1{99 * '0'}..., expected a number of at least 0."),
        (one_of("a", "b"), "c", "n='c', expected one of ('a', 'b')."),
        (
            one_of("a", "b"),
            np.ones(2),
            "n=array([1., 1.]), expected one of ('a', 'b').",
        ),
        (BOOLEAN, 1, "n=1, expected True or False."),
        (instance_of(dict), "a", "n='a', expected a dict."),
        *[
            (
                LEVELS,
                value,
                f"n={value!r}, expected a sequence of levels in percent, of at least 1 "
                "and below 100: 80, not 0.8.",
            )
            for value in ("80", 80, ["80"], [0], [0.8], [80, 0.95], [100], [True])
        ],
    ],
)
def test_messages(constraint, value, message):
    with pytest.raises(InputError) as caught:
        check_parameters({"n": value, "unchecked": None}, {"n": constraint})
    assert str(caught.value) == message
