import subprocess
import sys

import pytest

import sktime_llm

HEAVY = ["torch", "sktime", "transformers", "pandas", "numpy", "matplotlib"]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("sktime_llm", HEAVY),
        ("sktime_llm.text.describers", ["torch", "transformers", "peft"]),
        ("sktime_llm.datasets", ["torch"]),
        ("sktime_llm.evaluation", ["torch"]),
        ("sktime_llm.plotting", ["torch", "sktime", "matplotlib"]),
    ],
)
def test_imports_are_light(module, heavy):
    code = f"import sys, {module}; assert not set({heavy}) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


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
