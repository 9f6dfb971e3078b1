import subprocess
import sys

import pytest
import torch

from sktime_llm import callbacks as public
from sktime_llm.callbacks import Callback
from sktime_llm.errors import TrainingInterrupted
from sktime_llm.training import trainer
from sktime_llm.training.trainer import train

from .toy import make_config, make_network, make_windows


class Recorder(Callback):
    """Keep what is told, and raise an error in one hook."""

    def __init__(self, failing=None, epoch=None):
        self.failing, self.epoch, self.told = failing, epoch, []

    def _hear(self, hook, what):
        self.told.append((hook, what))
        if hook == self.failing and (not self.epoch or what["epoch"] == self.epoch):
            raise ConnectionError(hook)

    def on_fit_start(self, config):
        self._hear("on_fit_start", config)

    def on_epoch_end(self, record):
        self._hear("on_epoch_end", record)

    def on_fit_end(self, history):
        self._hear("on_fit_end", history)

    @property
    def hooks(self):
        return [hook for hook, _ in self.told]


def run(*callbacks, network=None, **settings):
    config = make_config(**{"max_epochs": 3, **settings})
    network = network or make_network()
    return train(network, *make_windows(), config, stage="update", callbacks=callbacks)


def test_callbacks_hear_what_the_history_says():
    recorder = Recorder()
    records = run(recorder, learning_rate=0.01)
    assert recorder.hooks == ["on_fit_start", *3 * ["on_epoch_end"], "on_fit_end"]
    (_, config), *epochs, (_, history) = recorder.told
    assert config["learning_rate"] == 0.01
    assert config["stage"] == "update"
    assert history == [{**record, "stage": "update"} for record in records]
    told = [{**record, "best": None} for _, record in epochs]
    assert told == [{**record, "best": None} for record in history]
    assert epochs[0][1]["best"] == 1  # so far


def test_callbacks_hear_which_epochs_are_the_best_so_far():
    recorder = Recorder()
    losses = [
        record["validation_loss"]
        for record in run(recorder, learning_rate=0.5, max_epochs=9)
    ]
    expected = [int(loss == min(losses[: i + 1])) for i, loss in enumerate(losses)]
    told = [record["best"] for _, record in recorder.told[1:-1]]
    assert told == expected
    assert 1 < sum(expected) < 9


def test_a_callback_may_leave_hooks_out_and_change_what_it_is_told():
    class Forgetful(Callback):
        def on_epoch_end(self, record):
            record.clear()

    plain = run()
    for record, other in zip(run(Callback(), Forgetful()), plain, strict=True):
        assert record["loss"] == other["loss"]


def test_an_error_in_an_epoch_keeps_the_best_and_is_the_cause():
    network, failing, other = make_network(), Recorder("on_epoch_end", 2), Recorder()
    with pytest.raises(TrainingInterrupted, match="after epoch 2; the weights") as info:
        run(failing, other, network=network)
    assert isinstance(info.value.__cause__, ConnectionError)
    expected = make_network()
    train(expected, *make_windows(), make_config(max_epochs=2))
    assert torch.equal(network.linear.weight, expected.linear.weight)
    # all are told, of the end, too
    hooks = ["on_fit_start", "on_epoch_end", "on_epoch_end", "on_fit_end"]
    assert failing.hooks == other.hooks == hooks
    assert len(other.told[-1][1]) == 2


def test_an_error_at_the_end_keeps_all():
    with pytest.raises(TrainingInterrupted, match="after its last epoch") as info:
        run(Recorder("on_fit_end"))
    assert isinstance(info.value.__cause__, ConnectionError)
    assert len(info.value.records) == 3


def test_an_error_at_the_start_is_raised_before_any_step():
    network, recorder = make_network(), Recorder("on_fit_start")
    before = network.linear.weight.clone()
    with pytest.raises(ConnectionError):
        run(recorder, network=network)
    assert torch.equal(network.linear.weight, before)
    assert recorder.told[-1] == ("on_fit_end", [])


def test_callbacks_hear_of_the_end_by_an_error(monkeypatch, caplog):
    def diverge(self, *args):
        raise ZeroDivisionError

    monkeypatch.setattr(trainer._Run, "_check_epoch", diverge)
    recorder = Recorder("on_fit_end")
    with pytest.raises(ZeroDivisionError):
        run(recorder)
    assert recorder.told[-1] == ("on_fit_end", [])
    assert "ConnectionError('on_fit_end') in on_fit_end, after" in caplog.text


def test_ctrl_c_in_a_callback_is_ctrl_c():
    class Impatient(Callback):
        def on_epoch_end(self, record):
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterrupted, match="the weights of epoch 1") as info:
        run(Impatient())
    assert info.value.__cause__ is None


def test_the_public_module_is_light_and_complete():
    for name in public.__all__:
        assert getattr(public, name).__doc__
    assert set(public.__all__) <= set(dir(public))
    with pytest.raises(AttributeError, match=r"no attribute 'Nothing'"):
        _ = public.Nothing
    code = (
        "import sys; from sktime_llm.callbacks import Callback;"
        "assert not {'torch', 'accelerate', 'sktime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
