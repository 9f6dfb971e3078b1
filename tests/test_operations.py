"""What a step of training and a forecast cost, counted instead of measured by a clock.

A change that makes a network compute more has to change the numbers here, and to say
why. Operations are those of matrix products, by PyTorch's own counter.
"""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sktime_llm.training import rollout, trainer

from .forecasting.common import FORECASTERS, make_panel

N_STEPS = 3
# Of the last of three steps on 32 windows, and of a forecast of two series. BALM-TSF
# reads all texts of its windows in the first steps, and keeps what it read.
FLOPS = {
    "calf": {"train_step": 2_127_872, "forecast": 23_232},
    "balm-tsf": {"train_step": 7_587_328, "forecast": 533_120},
    "llm-ts-net": {"train_step": 1_221_248, "forecast": 27_232},
}
# Operations for whose result Python waits: on a GPU, until all before is computed.
WAITS = {
    "_local_scalar_dense",  # item(), float(), bool()
    "_unique2",
    "equal",
    "masked_select",
    "nonzero",
    "unique_dim",
}
N_WAITS = {
    "calf": {},
    # equal texts are read once; transformers looks whether a mask masks anything
    "balm-tsf": {"unique_dim": 1, "_local_scalar_dense": 1},
    "llm-ts-net": {"_local_scalar_dense": 1},  # gaps are looked for on a CPU only
}

each_method = pytest.mark.parametrize("name", FORECASTERS)


class Operations(TorchDispatchMode):
    """Count the operations of matrix products, and those for which Python waits."""

    def __init__(self):
        super().__init__()
        self.flops, self.calls = 0, Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        count = flop_registry.get(func.overloadpacket)
        if (
            count is None
        ):  # in inference mode, operations arrive that are made of others
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        self.flops += count(*args, **kwargs, out_val=result) if count else 0
        self.calls[func.overloadpacket.__name__] += 1
        return result

    @property
    def n_waits(self):
        return {name: n for name, n in self.calls.items() if name in WAITS}


def recording(call, found):
    """Make a call append the operations that it ran."""

    def recorded(*args, **kwargs):
        with Operations() as operations:
            result = call(*args, **kwargs)
        found.append(operations)
        return result

    return recorded


def fit(name):
    options = {"max_epochs": 1, "steps_per_epoch": N_STEPS, "validation_fraction": 0.0}
    forecaster = FORECASTERS[name](**options, calibration_fraction=0.0)
    return forecaster.fit(make_panel((60, 60)), fh=[1, 2])


def last_step(name, monkeypatch):
    found = []
    step = recording(trainer._Run.train_step, found)
    monkeypatch.setattr(trainer._Run, "train_step", step)
    fit(name)
    assert len(found) == N_STEPS
    return found[-1]


@each_method
def test_a_step_of_training_computes_no_more_than_before(name, monkeypatch):
    assert 0 < last_step(name, monkeypatch).flops <= FLOPS[name]["train_step"]


@each_method
def test_a_step_of_training_waits_for_nothing_new(name, monkeypatch):
    assert last_step(name, monkeypatch).n_waits == N_WAITS[name]


@each_method
def test_a_forecast_computes_no_more_than_before(name, monkeypatch):
    found, forecaster = [], fit(name)
    monkeypatch.setattr(rollout, "_roll", recording(rollout._roll, found))
    forecaster.predict()
    (operations,) = found
    assert 0 < operations.flops <= FLOPS[name]["forecast"]


def test_operations_are_noticed():
    with Operations() as operations, torch.inference_mode():
        values = F.linear(torch.ones(2, 3), torch.ones(5, 3))
        float(values.sum())
        values.unique(dim=0)
    assert operations.flops == 2 * 2 * 3 * 5
    assert set(operations.n_waits) == {"_local_scalar_dense", "unique_dim"}
