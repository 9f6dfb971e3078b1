"""Run under ``accelerate launch``: train, and save what each process ends with."""

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from sktime.datasets import load_airline

from sktime_llm import CALFForecaster, LLMTSNetForecaster
from sktime_llm.training.processes import on_main_process
from sktime_llm.training.trainer import train
from tests.training.toy import make_config, make_network, make_windows


def train_linear():
    network = make_network(seed=PartialState().process_index)  # only rank 0's counts
    # batches of 7: the parts of two processes are not equally long; each process comes
    # with a seed of its own, as without a random_state, and the first one's counts
    config = make_config(batch_size=7, seed=PartialState().process_index)
    history = train(network, *make_windows(), config)
    return network.linear.weight.detach(), [r["validation_loss"] for r in history]


def train_calf():
    forecaster = CALFForecaster(
        backbone="tiny-random", max_epochs=2, d_ff=16, random_state=0, device="cpu"
    )
    return forecaster.fit(load_airline(), fh=[1, 2]).network_.state_dict()


def train_llm_ts_net():
    # without a seed, and with an update
    forecaster = LLMTSNetForecaster(
        backbone="tiny-random",
        language_model_steps=2,
        d_model=8,
        d_ff=8,
        max_epochs=2,
        device="cpu",
    )
    y = load_airline()
    forecaster.fit(y[:-4], fh=[1, 2]).update(y[-4:])
    assert PartialState().num_processes == 2
    return forecaster.network_.state_dict(), forecaster.predict().to_numpy()


def fail_then_agree():
    """What the main process raises, and what it makes afterwards."""
    rank = PartialState().process_index
    try:
        on_main_process(lambda: [][rank])
    except IndexError as error:
        return repr(error), on_main_process(lambda: rank)


if __name__ == "__main__":
    # first, as nothing else has connected the processes then
    llm_ts_net = train_llm_ts_net()
    weight, losses = train_linear()
    rank = PartialState().process_index
    torch.save(
        {
            "weight": weight,
            "losses": losses,
            "calf": train_calf(),
            "llm_ts_net": llm_ts_net,
            "agreed": fail_then_agree(),
        },
        Path(sys.argv[1]) / f"{rank}.pt",
    )
