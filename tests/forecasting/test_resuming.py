"""Fits that were stopped in the middle, and go on from the folder `resume`."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sktime_llm.backbone import loading
from sktime_llm.errors import InputError, ResumeError, TrainingInterrupted
from sktime_llm.text.describers import Describer
from sktime_llm.training import trainer

from .common import FORECASTERS, each_forecaster, make_panel, make_series

ROOT = Path(__file__).parents[2]
FH = [1, 2, 3, 4]
SETTINGS = {
    "plain": {},
    "stops early": {"patience": 2, "max_epochs": 30, "learning_rate": 0.3},
    "one-cycle": {"lr_schedule": "one-cycle", "optimizer": "adamw"},
    "bfloat16": {"precision": "bfloat16", "weight_decay": 0.01},
}
VALIDATED = {"max_epochs": 5, "validation_fraction": 0.2}
KILLED = """
import os, signal, sys
from sktime_llm.training import trainer
from tests.forecasting.test_resuming import FORECASTERS, SETTINGS, VALIDATED, make_panel

name, settings, folder = sys.argv[1:]
train_step, run_epoch = trainer._Run.train_step, trainer._Run.run_epoch

def run(self, epoch, bar):
    self.is_last = epoch == 3
    return run_epoch(self, epoch, bar)

def step(self, *args):
    if self.is_last and self.optimizer.state:
        train_step(self, *args)
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self, *args)

trainer._Run.run_epoch, trainer._Run.train_step = run, step
parameters = {**VALIDATED, **SETTINGS[settings], "resume": folder}
FORECASTERS[name](**parameters).fit(make_panel())
"""


def same_history(one, other):
    drop = {"columns": "seconds"}
    pd.testing.assert_frame_equal(
        one.history_.drop(**drop), other.history_.drop(**drop), check_exact=True
    )


class Dated(Describer):
    """Tell how many values were described, and of one of these numbers another text."""

    def __init__(self, other=None):
        super().__init__()
        self.other = other

    def _describe(self, series):
        rows = [len(each.values) for each in series]
        return ["flat" if n == self.other else f"rise in {n} rows" for n in rows]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", FORECASTERS)
def test_a_killed_fit_goes_on_to_the_digit(name, settings, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, name, settings, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [file.name for file in tmp_path.iterdir()] == ["fit.safetensors"]
    parameters = {**VALIDATED, **SETTINGS[settings]}
    y = make_panel()
    expected = FORECASTERS[name](**parameters).fit(y)
    resumed = FORECASTERS[name](**parameters, resume=str(tmp_path)).fit(y)
    same_history(resumed, expected)
    pd.testing.assert_frame_equal(
        resumed.predict(fh=FH), expected.predict(fh=FH), check_exact=True
    )


def stop_in_epoch(monkeypatch, epoch):
    run_epoch = trainer._Run.run_epoch

    def stopping(self, number, bar):
        if number == epoch:
            raise KeyboardInterrupt
        return run_epoch(self, number, bar)

    monkeypatch.setattr(trainer._Run, "run_epoch", stopping)


@each_forecaster
def test_pretrain_and_fine_tuning_go_on(make, tmp_path, monkeypatch):
    settings = {"max_epochs": 3, "fine_tune_epochs": 3}
    expected = make(**settings).pretrain(make_panel()).fit(make_series())
    settings["resume"] = str(tmp_path)
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        with pytest.raises(TrainingInterrupted):
            make(**settings).pretrain(make_panel())
    forecaster = make(**settings).pretrain(make_panel())
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        with pytest.raises(TrainingInterrupted):
            forecaster.clone().fit(make_series())
    forecaster.fit(make_series())
    same_history(forecaster, expected)
    pd.testing.assert_frame_equal(
        forecaster.predict(fh=FH), expected.predict(fh=FH), check_exact=True
    )
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["fit.safetensors", "pretrain.safetensors"]


@each_forecaster
def test_a_complete_fit_ends_at_once_and_updates_write_nothing(
    make, tmp_path, monkeypatch
):
    y = make_series()
    first = make(resume=tmp_path).fit(y[:50])
    stop_in_epoch(monkeypatch, 1)
    again = make(resume=tmp_path, verbose=2, update_epochs=2).fit(y[:50])
    monkeypatch.undo()
    pd.testing.assert_frame_equal(again.history_, first.history_, check_exact=True)
    written = (tmp_path / "fit.safetensors").read_bytes()
    again.update(y[50:])
    assert [file.name for file in tmp_path.iterdir()] == ["fit.safetensors"]
    assert (tmp_path / "fit.safetensors").read_bytes() == written


@each_forecaster
def test_another_fit_is_refused_by_what_differs(make, tmp_path):
    y = make_series()
    make(resume=tmp_path).fit(y)
    forecaster = make(resume=tmp_path, learning_rate=0.25, random_state=3)
    message = r"learning_rate was .* and is 0\.25; random_state was 0 and is 3\. Remove"
    with pytest.raises(ResumeError, match=message):
        forecaster.fit(y)
    assert not forecaster.is_fitted
    for changed in (y[:-1], y * 1.5, make_panel()):
        with pytest.raises(ResumeError, match="digest of the series was"):
            make(resume=tmp_path).fit(changed)


@each_forecaster
@pytest.mark.parametrize("start", ["updated", "fitted on others", "new"])
def test_pretraining_from_another_start_is_refused(make, start, tmp_path):
    y, panel, folder = make_series(), make_panel(), tmp_path / "resume"
    settings = {"max_epochs": 1, "update_epochs": 3}

    def fitted(y):
        forecaster = make(**settings).fit(y)
        forecaster.resume = folder
        return forecaster

    first = fitted(y[:50]).pretrain(panel)
    again = fitted(y[:50]).pretrain(panel)
    pd.testing.assert_frame_equal(
        again.pretrain_history_, first.pretrain_history_, check_exact=True
    )
    if start == "updated":
        other = fitted(y[:50]).update(y[50:])
    elif start == "new":
        other = make(**settings, resume=folder)
    else:
        other = fitted(y * 2 + np.arange(60)[:, None])
    with pytest.raises(ResumeError, match="digest of the pretrained weights was"):
        other.pretrain(panel)


@each_forecaster
@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_another_number_of_processes_is_refused(make, numbers, tmp_path, monkeypatch):
    before, now = numbers
    counts = "sktime_llm.forecasting._resuming.connect"
    monkeypatch.setattr(counts, lambda: SimpleNamespace(num_processes=before))
    make(resume=tmp_path, max_epochs=1).fit(make_series())
    monkeypatch.setattr(counts, lambda: SimpleNamespace(num_processes=now))
    message = f"another training: number of processes was {before} and is {now}"
    with pytest.raises(ResumeError, match=message):
        make(resume=tmp_path, max_epochs=1).fit(make_series())


@each_forecaster
def test_a_backbone_that_changed_under_its_name_is_refused(make, tmp_path):
    from transformers import AutoModel, BertConfig

    backbone, folder = str(tmp_path / "backbone"), str(tmp_path / "resume")
    config = BertConfig(
        vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    loading.load_tokenizer("tiny-random").save_pretrained(backbone)
    AutoModel.from_config(config).save_pretrained(backbone)
    make(backbone=backbone, resume=folder).fit(make_series())
    AutoModel.from_config(config).save_pretrained(backbone)
    loading.clear_backbone_cache()
    message = "fingerprint of the (weights|word embeddings) of the backbone was"
    with pytest.raises(ResumeError, match=message):
        make(backbone=backbone, resume=folder).fit(make_series())


@each_forecaster
@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)])
def test_it_needs_a_seed(make, seed, tmp_path):
    with pytest.raises(InputError, match=r"random_state=.* with resume=.* an integer"):
        make(resume=tmp_path, random_state=seed).fit(make_series())
    assert not list(tmp_path.iterdir())


def test_other_past_covariates_are_another_fit(tmp_path):
    y = make_series()
    X = make_series(n_columns=2, seed=1).set_axis(["wind", "sun"], axis=1)
    calf = partial(FORECASTERS["calf"], resume=tmp_path)
    calf(past_covariates=["wind"]).fit(y, X=X)
    message = r"past_covariates was \['wind'\] and is \['sun'\]"
    with pytest.raises(ResumeError, match=message):
        calf(past_covariates=["sun"]).fit(y, X=X)


@pytest.mark.parametrize("n_rows", [8, 34, 60])
def test_a_text_that_changed_is_refused_at_whichever_time_it_is(n_rows, tmp_path):
    net = partial(FORECASTERS["llm-ts-net"], n_descriptions=3, resume=tmp_path)
    net(describer=Dated()).fit(make_series())
    net(describer=Dated(other=9)).fit(make_series())  # of which there is no text
    with pytest.raises(ResumeError, match="digest of the descriptions was"):
        net(describer=Dated(other=n_rows)).fit(make_series())
