"""Run under ``accelerate launch``: train, and save what each process ends with."""

import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from sktime.datasets import load_airline

from sktime_llm import CALFForecaster, LLMTSNetForecaster
from sktime_llm.callbacks import Callback
from sktime_llm.errors import ResumeError, TrainingInterrupted
from sktime_llm.training.processes import on_main_process
from sktime_llm.training.resuming import Resume
from sktime_llm.training.trainer import train
from tests.forecasting.common import FORECASTERS, make_series
from tests.training.toy import make_config, make_network, make_windows


def train_linear():
    network = make_network(seed=PartialState().process_index)  # only rank 0's counts
    # batches of 7: the parts of two processes are not equally long; each process comes
    # with a seed of its own, as without a random_state, and the first one's counts
    averaged = {"ema_decay": 0.9}  # of the first one's weights
    config = make_config(batch_size=7, seed=PartialState().process_index, **averaged)
    history = train(network, *make_windows(), config)
    return network.linear.weight.detach(), [r["validation_loss"] for r in history]


class FailsOnce(Callback):
    """Count epochs, and fail in the second of the first training."""

    def __init__(self):
        self.n_epochs = 0

    def on_epoch_end(self, record):
        self.n_epochs += 1
        if self.n_epochs == 2:
            raise ConnectionError("no tracker")


def train_resumed(folder):
    """Weights of a training that an error stopped, and of one that nothing did."""
    config = make_config(batch_size=7, max_epochs=4, ema_decay=0.9)
    callback, resume = FailsOnce(), Resume(folder / "fit.safetensors", {})
    weights = []
    for keep, n_errors in ((None, 0), (resume, 1), (resume, 0)):
        network, errors = make_network(dropout=0.3), []
        callbacks = () if keep is None else (callback,)
        try:
            train(network, *make_windows(), config, callbacks=callbacks, resume=keep)
        except TrainingInterrupted as error:
            errors.append(repr(error.__cause__))
        assert errors == n_errors * ["ConnectionError('no tracker')"]
        weights.append(network.linear.weight.detach())
    return weights[0], weights[2], callback.n_epochs


def train_calf(resume):
    forecaster = CALFForecaster(
        backbone="tiny-random",
        max_epochs=2,
        d_ff=16,
        random_state=0,
        device="cpu",
        resume=str(resume),
    )
    return forecaster.fit(load_airline(), fh=[1, 2]).network_.state_dict()


def refused(resume):
    """How the state of a training by one process is refused."""
    try:
        train_calf(resume)
    except ResumeError as error:
        return str(error)


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


def histories_with_missing():
    """Losses on a series with many missing values, without dropout, by settings."""
    y = make_series(200)
    y.iloc[np.random.default_rng(0).choice(200, 120, replace=False)] = np.nan
    settings = {
        "plain": {},
        "with quantiles": {"intervals": "quantiles"},
        "with variances": {"uncertainty": True},
    }
    parts = {"text_fusion": False, "prompt_pool": False}
    common = {**parts, "batch_size": 3, "dropout": 0.0}
    make = FORECASTERS["llm-ts-net"]
    fits = {name: make(**common, **own).fit(y) for name, own in settings.items()}
    return {n: fit.history_.drop(columns="seconds") for n, fit in fits.items()}


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
    rank, folder = PartialState().process_index, Path(sys.argv[1])
    torch.save(
        {
            "weight": weight,
            "losses": losses,
            "calf": train_calf(folder / "of_two"),
            "llm_ts_net": llm_ts_net,
            "agreed": fail_then_agree(),
            "resumed": train_resumed(folder),
            "missing": histories_with_missing(),
            "refused": refused(folder / "of_one"),
        },
        folder / f"{rank}.pt",
    )
