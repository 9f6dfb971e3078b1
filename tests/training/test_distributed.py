import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState, PartialState

from sktime_llm.errors import ResumeError
from sktime_llm.training.trainer import train

from .toy import make_config, make_network, make_windows
from .two_processes import histories_with_missing, train_calf

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("two_processes")


@pytest.fixture(scope="module")
def processes(folder):
    """What two processes under ``accelerate launch`` end with."""
    train_calf(folder / "of_one")
    # what `accelerate launch` runs for several processes, less its need of MPI on CPU
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc-per-node=2", "--module", "tests.training.two_processes"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    subprocess.run(
        [*launch, str(folder)], check=True, cwd=ROOT, env=environment, timeout=250
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(processes):
    network = make_network()
    config = make_config(batch_size=7, ema_decay=0.9)
    history = train(network, *make_windows(), config)
    for result in processes:
        torch.testing.assert_close(result["weight"], network.linear.weight.detach())
        losses = [r["validation_loss"] for r in history]
        assert result["losses"] == pytest.approx(losses, rel=1e-4)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_with_missing_values(processes):
    for name, expected in histories_with_missing().items():
        for result in processes:
            found = result["missing"][name]
            pd.testing.assert_frame_equal(found, expected, rtol=1e-4)


@pytest.mark.slow
def test_calf_trains_to_the_same_weights_in_both_processes(processes):
    first, second = (result["calf"] for result in processes)
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_llm_ts_net_knows_the_same_in_both_processes_without_a_seed(processes):
    (first, forecast), (second, same) = (result["llm_ts_net"] for result in processes)
    assert (forecast == same).all()
    assert list(first) == list(second)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)


@pytest.mark.slow
def test_errors_of_the_main_process_are_raised_in_both(processes):
    for result in processes:
        assert result["agreed"] == ("IndexError('list index out of range')", 0)


@pytest.mark.slow
def test_two_processes_go_on_and_only_the_main_one_is_told(processes):
    for rank, result in enumerate(processes):
        expected, resumed, n_epochs = result["resumed"]
        assert torch.equal(resumed, expected)
        assert n_epochs == (0 if rank else 4)


@pytest.mark.slow
def test_the_state_of_another_number_of_processes_is_refused(processes, folder):
    for result in processes:
        assert "number of processes was 1 and is 2" in result["refused"]
    with pytest.raises(ResumeError, match="number of processes was 2 and is 1"):
        train_calf(folder / "of_two")


def test_a_world_size_that_nobody_launched_is_passed_over(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    AcceleratorState._reset_state(reset_partial_state=True)
    assert train(make_network(), *make_windows(), make_config(max_epochs=1))
    assert PartialState().num_processes == 1
