"""What a user imports has an example in its docstring, as CONTRIBUTING.md says."""

import importlib

import pytest

MODULES = [
    "sktime_llm",
    "sktime_llm.datasets",
    "sktime_llm.evaluation",
    "sktime_llm.plotting",
    "sktime_llm.text.describers",
]


def public_names():
    for name in MODULES:
        module = importlib.import_module(name)
        for public in module.__all__:
            if callable(getattr(module, public)):
                yield name, public
    yield "sktime_llm.backbone.lora_amr", "LoraAmrConfig"


@pytest.mark.parametrize(("module", "name"), list(public_names()))
def test_there_is_an_example(module, name):
    assert ">>> " in getattr(importlib.import_module(module), name).__doc__
