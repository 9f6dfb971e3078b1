import subprocess
import sys

import pytest

import sktime_llm

from .forecasting.common import FORECASTERS, make_series

HEAVY = ["torch", "sktime", "transformers", "pandas", "numpy", "matplotlib"]
UNUSED = ["statsmodels", "matplotlib", "pytest", "skpro", "mlflow", "tensorboard"]
OF_FIT = ["transformers", "peft", "accelerate", "torch._dynamo", "sympy"]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("sktime_llm", HEAVY),
        ("sktime_llm.text.describers", ["torch", "transformers", "peft"]),
        ("sktime_llm.datasets", ["torch"]),
        ("sktime_llm.evaluation", ["torch"]),
        ("sktime_llm.engines", ["distributed", "pyarrow.parquet", "ray", "matplotlib"]),
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


@pytest.mark.parametrize(
    "name", ["CALFForecaster", "BALMTSFForecaster", "LLMTSNetForecaster"]
)
def test_what_only_fit_needs_is_not_imported_before(name):
    code = (
        f"import sys; from sktime_llm import {name}; {name}();"
        f"found = set({OF_FIT + UNUSED}) & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# transformers imports accelerate, and what peft and it want of torch
@pytest.mark.parametrize(
    ("make", "unused"),
    [
        (FORECASTERS["calf"], UNUSED),
        (FORECASTERS["balm-tsf"], [*UNUSED, "peft"]),
        (FORECASTERS["llm-ts-net"], [*UNUSED, "transformers", "peft", "accelerate"]),
    ],
    ids=FORECASTERS,
)
def test_a_saved_forecaster_imports_what_it_uses(make, unused, tmp_path):
    make(max_epochs=1).fit(make_series(), fh=[1, 2]).save(tmp_path / "saved")
    code = (
        f"import sys; from sktime_llm import load; load({str(tmp_path / 'saved')!r})"
        f".predict(); found = set({unused}) & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
