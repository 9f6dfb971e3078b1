import subprocess
import sys

import pytest

import sktime_llm

HEAVY = ["torch", "sktime", "transformers", "pandas", "numpy", "matplotlib"]


def test_import_is_light():
    code = f"import sys, sktime_llm; print([m for m in {HEAVY} if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_public_names_load_on_first_use():
    for name in sktime_llm.__all__:
        assert getattr(sktime_llm, name) is not None
    assert set(sktime_llm.__all__) <= set(dir(sktime_llm))


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"no attribute 'GPT4Forecaster'"):
        _ = sktime_llm.GPT4Forecaster


def test_import_leaves_global_state_alone():
    code = (
        "import logging, torch, warnings; torch.manual_seed(0);"
        "before = torch.get_rng_state(), torch.get_num_threads(),"
        " list(logging.root.handlers);"
        "from sktime_llm import CALFForecaster;"
        "after = torch.get_rng_state(), torch.get_num_threads(),"
        " list(logging.root.handlers);"
        "assert torch.equal(before[0], after[0]); assert before[1:] == after[1:]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
