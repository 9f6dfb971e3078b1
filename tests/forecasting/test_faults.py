"""Faults of training, of which docs/faults.md says what happens."""

import pandas as pd
import pytest
import torch

from sktime_llm.errors import OutOfMemoryError, TrainingDivergedError
from sktime_llm.training import trainer

from .common import each_forecaster, make_series

pytestmark = each_forecaster

FH = [1, 2]
ADVICE = (
    r"not enough memory for a batch of 32 at context_length=8 \(CUDA out of memory\)\. "
    r"Lower batch_size or context_length, or take a smaller backbone"
)


def out_of_memory(*args, **kwargs):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory\nand a long report")


def test_a_loss_that_is_not_finite_leaves_no_half_fit(make, monkeypatch):
    train_step = trainer._Run.train_step

    def diverging(self, *args):
        losses = train_step(self, *args)
        return {name: value * float("nan") for name, value in losses.items()}

    y = make_series()
    forecaster = make().fit(y[:50])
    expected = forecaster.predict(fh=FH)
    monkeypatch.setattr(trainer._Run, "train_step", diverging)
    advice = r"epoch 1.*smaller learning_rate \(this update trained at 0\.\d+\)"
    with pytest.raises(TrainingDivergedError, match=advice):
        forecaster.update(y[50:])
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected)
    advice = rf"smaller learning_rate \(got {forecaster.learning_rate}\)"
    with pytest.raises(TrainingDivergedError, match=advice):
        forecaster.fit(y)
    assert not forecaster.is_fitted


def test_too_little_memory_in_training_says_what_to_lower(make, monkeypatch):
    y = make_series()
    forecaster = make().fit(y[:50])
    expected = forecaster.predict(fh=FH)
    with monkeypatch.context() as patch:
        patch.setattr(trainer._Run, "train_step", out_of_memory)
        with pytest.raises(OutOfMemoryError, match=ADVICE) as caught:
            forecaster.update(y[50:])
        assert isinstance(caught.value.__cause__, torch.cuda.OutOfMemoryError)
        pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected)
        unfitted = make()
        with pytest.raises(OutOfMemoryError, match=ADVICE):
            unfitted.fit(y)
        assert not unfitted.is_fitted
    assert unfitted.fit(y).is_fitted


def test_too_little_memory_in_predict_says_what_to_lower(make, monkeypatch):
    forecaster = make().fit(make_series())
    expected = forecaster.predict(fh=FH)
    with monkeypatch.context() as patch:
        patch.setattr(type(forecaster.network_), "forward", out_of_memory)
        with pytest.raises(OutOfMemoryError, match="a batch of 1 at context_length=8"):
            forecaster.predict(fh=FH)
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected)


def test_other_errors_of_pytorch_are_not_explained_as_memory(make, monkeypatch):
    def mismatch(*args):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(trainer._Run, "train_step", mismatch)
    with pytest.raises(RuntimeError, match="cannot be multiplied") as caught:
        make().fit(make_series())
    assert type(caught.value) is RuntimeError
