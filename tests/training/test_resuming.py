from contextlib import contextmanager

import pytest
import torch

from sktime_llm.errors import ResumeError, TrainingInterrupted
from sktime_llm.training import trainer
from sktime_llm.training.resuming import Resume
from sktime_llm.training.trainer import train

from .toy import make_config, make_network, make_windows

SETTINGS = [
    {},
    {"optimizer": "adamw", "weight_decay": 0.1},
    {"lr_schedule": "one-cycle"},
    {"lr_schedule": "step", "gradient_clip": 0.1},
    {"lr_schedule": "constant", "precision": "bfloat16"},
    {"cosine_epochs": 2, "steps_per_epoch": 3},
    {"learning_rate": 0.5, "patience": 2, "max_epochs": 30},
    {"ema_decay": 0.9},
    {"learning_rate": 0.5, "patience": 2, "max_epochs": 30, "ema_decay": 0.9},
    {"projection_learning_rate": 1e-3, "lr_schedule": "one-cycle"},
]


def run(config, resume=None, windows=None):
    network = make_network(dropout=0.3)
    network.projection_names = lambda: {"linear.bias"}
    windows = windows or make_windows()
    records = train(network, *windows, config, resume=resume)
    for record in records:
        record.pop("seconds")
    return network.state_dict(), repr(records)  # NaN equals NaN


def assert_same(one, other):
    assert one[1] == other[1]
    for name, value in one[0].items():
        assert torch.equal(value, other[0][name])


@contextmanager
def stopping_in(epoch, error=SystemExit):
    run_epoch = trainer._Run.run_epoch

    def stopping(self, number, bar):
        if number == epoch:
            raise error
        return run_epoch(self, number, bar)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer._Run, "run_epoch", stopping)
        yield


@pytest.mark.parametrize("validation_fraction", [0.2, 0.0])
@pytest.mark.parametrize("settings", SETTINGS)
def test_it_goes_on_to_the_digit(settings, validation_fraction, tmp_path):
    config = make_config(**{"max_epochs": 6, **settings})
    resume = Resume(tmp_path / "run" / "fit.safetensors", {"seed": 0})
    windows = make_windows(validation_fraction)
    expected = run(config, windows=windows)
    for epoch in (2, 4):
        with stopping_in(epoch), pytest.raises(SystemExit):
            run(config, resume, windows)
    assert_same(run(config, resume, windows), expected)
    # what is complete ends at once
    with stopping_in(expected[1].count("'epoch'") + 1):
        assert_same(run(config, resume, windows), expected)


def test_what_ctrl_c_stopped_goes_on(tmp_path):
    resume = Resume(tmp_path / "fit.safetensors", {})
    expected = run(make_config())
    with stopping_in(3, KeyboardInterrupt), pytest.raises(TrainingInterrupted):
        run(make_config(), resume)
    assert_same(run(make_config(), resume), expected)


def test_another_training_is_refused_by_what_differs(tmp_path):
    file = tmp_path / "fit.safetensors"
    run(make_config(), Resume(file, {"seed": 0, "data": "a", "same": [1]}))
    other = Resume(file, {"seed": 0, "data": "b", "same": (1,), "new": 1.5})
    message = (
        r"has the state of another training: data was 'a' and is 'b'; new was "
        r"'nothing' and is 1\.5\. Remove the folder .* or name another one"
    )
    with pytest.raises(ResumeError, match=message):
        run(make_config(), other)


@pytest.mark.parametrize("content", [b"", b"no state", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_state_is_refused(content, tmp_path):
    file = tmp_path / "fit.safetensors"
    file.write_bytes(content)
    with pytest.raises(ResumeError, match="is not the whole state of a training"):
        run(make_config(), Resume(file, {}))
    assert file.read_bytes() == content


def test_a_disk_that_is_full_keeps_what_was_trained(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("sktime_llm.training.resuming.save_file", full)
    with pytest.raises(TrainingInterrupted, match="after epoch 1") as info:
        run(make_config(), Resume(tmp_path / "fit.safetensors", {}))
    assert "No space left" in str(info.value.__cause__)
    assert not list(tmp_path.iterdir())
