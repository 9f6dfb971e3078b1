"""Seeds, pretraining, updates, copies, and what is saved."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState
from joblib import Parallel, delayed
from sktime.base import load
from sktime.exceptions import NotFittedError
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter

from sktime_llm import load_pretrained
from sktime_llm.backbone import loading
from sktime_llm.errors import (
    BackboneCorruptedError,
    DeviceChangedWarning,
    InputError,
    PretrainingLostWarning,
    TrainingInterrupted,
)
from sktime_llm.forecasting.saving import device_of
from sktime_llm.training import trainer

from .common import each_forecaster, make_panel, make_series

pytestmark = each_forecaster

FH = [1, 2, 3, 4]


def weights(network):
    return {k: v.clone() for k, v in network.named_parameters()}


def same_weights(a, b):
    """Whether what both have is equal; CALF drops what only `fit` needs."""
    common = a.keys() & b.keys()
    assert common
    return all(torch.equal(a[k], b[k]) for k in common)


def test_the_seed_decides(make):
    y = make_series()
    seeds = [0, 0, 1, *(np.random.RandomState(3) for _ in range(2))]
    one, same, other, drawn, same_drawn = (
        make(random_state=seed).fit(y).predict(fh=FH) for seed in seeds
    )
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)
    pd.testing.assert_frame_equal(drawn, same_drawn)


def test_random_states_outside_are_untouched(make):
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    make().fit(make_series()).predict(fh=FH)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_refit_is_a_fresh_start(make):
    y = make_series()
    once = make().fit(y).predict(fh=FH)
    twice = make().fit(make_series(seed=5)).fit(y).predict(fh=FH)
    pd.testing.assert_frame_equal(once, twice)


def test_predict_does_not_change_the_forecaster(make):
    forecaster = make().fit(make_series())
    before, attributes = weights(forecaster.network_), set(vars(forecaster))
    one, other = forecaster.predict(fh=FH), forecaster.predict(fh=FH)
    pd.testing.assert_frame_equal(one, other)
    assert same_weights(before, forecaster.network_.state_dict())
    assert set(vars(forecaster)) == attributes
    assert not forecaster.network_.training


def test_zero_shot_keeps_the_pretrained_weights(make):
    forecaster = make().pretrain(make_panel())
    before = weights(forecaster.pretrained_network_)
    forecaster.fit(make_series(seed=9, level=1e4))
    assert same_weights(before, forecaster.network_.state_dict())
    assert forecaster.history_.empty
    assert len(forecaster.pretrain_history_) == 2
    # in the units of the new series
    assert forecaster.predict(fh=FH)["y0"].between(9_900, 10_100).all()


def test_set_params_says_that_pretraining_is_lost(make, tmp_path):
    folder = make().pretrain(make_panel()).save_pretrained(tmp_path / "pretrained")
    forecaster = make().from_pretrained(folder)
    assert forecaster.set_params() is forecaster  # which changes nothing
    with pytest.warns(PretrainingLostWarning, match=r"set_params\(verbose\) resets"):
        forecaster.set_params(verbose=0)
    assert not hasattr(forecaster, "pretrained_network_")
    forecaster.set_params(verbose=1)  # no pretraining, no warning
    kept = make(checkpoint=folder).set_params(fine_tune_epochs=0).fit(make_series())
    assert len(kept.history_) == 0


@pytest.mark.parametrize("fitted_on", [make_series(), make_panel()])
def test_pretraining_ends_the_fit_before_it(make, fitted_on, tmp_path):
    forecaster = make().fit(fitted_on)
    forecaster.pretrain(make_panel(lengths=(30, 30)))
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "pretrained"))
    for one in (forecaster, loaded, pickle.loads(pickle.dumps(forecaster))):
        with pytest.raises(NotFittedError):
            one.predict(fh=FH)
        assert not hasattr(one, "_known")  # no rows
        assert not hasattr(one, "network_")
    y = make_series(seed=9)
    pd.testing.assert_frame_equal(
        loaded.fit(y).predict(fh=FH), forecaster.fit(y).predict(fh=FH)
    )


def test_fine_tuning_leaves_the_pretrained_weights(make):
    forecaster = make(fine_tune_epochs=1).pretrain(make_panel())
    before = weights(forecaster.pretrained_network_)
    first = forecaster.fit(make_series(seed=9)).predict(fh=FH)
    assert same_weights(before, forecaster.pretrained_network_.state_dict())
    assert not same_weights(before, forecaster.network_.state_dict())
    # nothing leaks into a second fit
    again = forecaster.fit(make_series(seed=9)).predict(fh=FH)
    pd.testing.assert_frame_equal(first, again)


def test_pretraining_goes_on_from_where_it_was(make):
    forecaster = make().pretrain(make_panel())
    first = weights(forecaster.pretrained_network_)
    forecaster.pretrain(make_panel(lengths=(30, 30)))
    fresh = make().pretrain(make_panel(lengths=(30, 30)))
    assert not same_weights(first, forecaster.pretrained_network_.state_dict())
    assert not same_weights(
        weights(fresh.pretrained_network_), forecaster.pretrained_network_.state_dict()
    )


def test_a_clone_keeps_pretrained_weights_of_its_own(make):
    forecaster = make().pretrain(make_panel())
    clone = forecaster.clone()
    assert clone.pretrained_network_ is not forecaster.pretrained_network_
    y = make_series(seed=9)
    pd.testing.assert_frame_equal(
        clone.fit(y).predict(fh=FH), forecaster.fit(y).predict(fh=FH)
    )


@pytest.mark.parametrize("n_columns", [1, 2])
def test_update_moves_the_context(make, n_columns):
    y = make_series(n_columns=n_columns)
    forecaster = make().fit(y[:50])
    before = weights(forecaster.network_)
    old = forecaster.predict(fh=FH)
    forecaster.update(y[50:53], update_params=False)
    new = forecaster.predict(fh=FH)
    assert list(new.index) == [time + 3 for time in old.index]
    assert same_weights(before, forecaster.network_.state_dict())
    # the forecast is that of the same network on the last rows
    forecaster.update(y[53:54], update_params=False)
    rows = forecaster._known.rows.iloc[-8:]
    pd.testing.assert_frame_equal(rows, y[46:54], check_freq=False)


def test_overlapping_rows_count_once(make):
    y = make_series()
    one = make().fit(y[:50]).update(y[50:55], update_params=False)
    overlapping = make().fit(y[:50]).update(y[45:55], update_params=False)
    pd.testing.assert_frame_equal(one.predict(fh=FH), overlapping.predict(fh=FH))


@pytest.mark.parametrize("n", [0, 1])
def test_update_trains_on_the_new_rows(make, n):
    y = make_series()
    forecaster = make(update_epochs=n).fit(y[:50])
    before, epochs = weights(forecaster.network_), len(forecaster.history_)
    forecaster.update(y[50:55])
    assert same_weights(before, forecaster.network_.state_dict()) == (n == 0)
    assert forecaster.history_["stage"].tolist() == epochs * ["fit"] + n * ["update"]


@pytest.mark.parametrize("n_new", [1, 5, 10])
def test_few_new_rows_move_the_network_a_little(make, n_new):
    y = make_series()
    forecaster = make().fit(y[:50])
    before = weights(forecaster.network_)
    forecaster.update(y[50 : 50 + n_new])
    after = forecaster.network_.state_dict()
    moves = [(after[k].double() - v.double()).abs().max() for k, v in before.items()]
    rate = forecaster.history_["learning_rate"].iloc[-1]
    share = 1 / 25 if forecaster.lr_schedule == "one-cycle" else 1 / 5
    assert rate == pytest.approx(share * forecaster.learning_rate)
    assert 0.3 * rate < max(moves).item() < 3 * rate


def test_update_of_a_panel_with_a_new_series(make):
    y = make_panel(lengths=(40, 40))
    more = make_panel(lengths=(44, 44, 20))
    new = more[~more.index.isin(y.index)]
    forecaster = make().fit(y).update(new)
    forecast = forecaster.predict(fh=[1])
    assert forecast.index.get_level_values(0).tolist() == ["s0", "s1", "s2"]
    last = more.groupby(level=0).tail(1).index
    assert list(forecast.index) == [(key, time + 1) for key, time in last]


def test_updating_a_copy_leaves_the_original(make):
    y = make_series()
    forecaster = make().fit(y[:50])
    before = weights(forecaster.network_)
    copy.deepcopy(forecaster).update(y[50:])
    copy.copy(forecaster).update(y[50:])
    assert same_weights(before, forecaster.network_.state_dict())


@pytest.mark.parametrize("n_columns", [1, 2])
def test_copies_forecast_the_same(make, n_columns, tmp_path):
    y = make_series(n_columns=n_columns)
    forecaster = make().fit(y[:50])
    expected = forecaster.predict(fh=FH)
    forecaster.save(tmp_path / "forecaster")
    copies = [
        copy.deepcopy(forecaster),
        pickle.loads(pickle.dumps(forecaster)),
        load(str(tmp_path / "forecaster")),
    ]
    for copied in copies:
        pd.testing.assert_frame_equal(copied.predict(fh=FH), expected)
    # and train on the same
    trained = forecaster.update(y[50:]).predict(fh=FH)
    for copied in copies:
        pd.testing.assert_frame_equal(copied.update(y[50:]).predict(fh=FH), trained)


@pytest.mark.slow
def test_loky_workers_give_the_same(make):
    y = make_series()
    expected = make().fit(y, fh=FH).predict()

    def fit_predict(forecaster):
        return forecaster.fit(y, fh=FH).predict()

    (found,) = Parallel(n_jobs=2, backend="loky")([delayed(fit_predict)(make())])
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)


def test_a_second_fit_reads_nothing_from_disk(make, monkeypatch):
    y = make_series()
    alone = make().fit(y)
    expected = alone.predict(fh=FH)

    def read(*args):
        raise AssertionError("read from disk again")

    monkeypatch.setattr(loading, "load_config", read)
    # nor does another fit on the same backbone disturb
    make(random_state=7, learning_rate=0.1).fit(make_series(seed=4))
    pd.testing.assert_frame_equal(alone.predict(fh=FH), expected)
    pd.testing.assert_frame_equal(make().fit(y).predict(fh=FH), expected)


def test_loading_where_the_device_is_absent(make, monkeypatch):
    forecaster = make().fit(make_series())
    expected = forecaster.predict(fh=FH)
    forecaster.device = "cuda"
    saved = pickle.dumps(forecaster)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.warns(DeviceChangedWarning, match="device='cuda' was loaded where"):
        loaded = pickle.loads(saved)
    pd.testing.assert_frame_equal(loaded.predict(fh=FH), expected)


@pytest.mark.gpu
def test_trained_on_a_gpu_loaded_on_the_cpu(make, monkeypatch):
    forecaster = make(device="auto").fit(make_series())
    assert device_of(forecaster.network_).type == "cuda"
    expected = forecaster.predict(fh=FH)
    saved = pickle.dumps(forecaster)
    assert device_of(copy.deepcopy(forecaster).network_).type == "cuda"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    loaded = pickle.loads(saved)
    assert device_of(loaded.network_).type == "cpu"
    pd.testing.assert_frame_equal(loaded.predict(fh=FH), expected, rtol=0.05)


def test_weights_of_another_backbone_are_refused(make, tmp_path):
    from transformers import AutoModel, BertConfig

    config = BertConfig(
        vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    loading.load_tokenizer("tiny-random").save_pretrained(tmp_path)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    y = make_panel()
    saved = pickle.dumps(make(backbone=str(tmp_path)).fit(y))
    pickle.loads(saved)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    loading.clear_backbone_cache()
    with pytest.raises(BackboneCorruptedError, match="changed since this forecaster"):
        # some need the backbone for what is new only
        pickle.loads(saved).update(y.rename(index={"s0": "new"}))


def test_environment_of_accelerate_does_not_decide_the_precision(make, monkeypatch):
    y = make_series()
    expected = make().fit(y).predict(fh=FH)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    AcceleratorState._reset_state(reset_partial_state=True)
    forecaster = make().fit(y)
    AcceleratorState._reset_state(reset_partial_state=True)
    assert "forward" not in vars(forecaster.network_)
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected)


def interrupt_in_epoch(monkeypatch, epoch):
    run_epoch = trainer._Run.run_epoch

    def interrupted(self, number, bar):
        if number == epoch:
            raise KeyboardInterrupt
        return run_epoch(self, number, bar)

    monkeypatch.setattr(trainer._Run, "run_epoch", interrupted)


@pytest.mark.parametrize("method", ["fit", "fit_predict"])
def test_interrupted_fit_can_be_used(make, method, monkeypatch):
    interrupt_in_epoch(monkeypatch, 2)
    forecaster, y = make(), make_series()
    message = r"interrupted in epoch 2; the weights of epoch 1, .* can be used"
    with pytest.raises(TrainingInterrupted, match=message):
        getattr(forecaster, method)(y, fh=FH)
    assert forecaster.is_fitted
    assert forecaster.history_["epoch"].tolist() == [1]
    assert forecaster.predict().notna().all(axis=None)
    cv = ExpandingWindowSplitter(fh=[1], initial_window=40, step_length=10)
    with pytest.raises(KeyboardInterrupt):
        evaluate(make(), cv, y)
    monkeypatch.undo()
    assert len(pickle.loads(pickle.dumps(forecaster)).fit(y).history_) == 2


def test_interrupted_pretrain_can_be_used(make, monkeypatch):
    interrupt_in_epoch(monkeypatch, 2)
    forecaster = make()
    with pytest.raises(TrainingInterrupted, match="can be used"):
        forecaster.pretrain(make_panel())
    assert forecaster.state == "pretrained"
    assert forecaster.pretrain_history_["epoch"].tolist() == [1]
    forecaster.fit(make_series())
    assert forecaster.predict(fh=FH).notna().all(axis=None)


def test_an_update_interrupted_later_can_be_used(make, monkeypatch):
    y = make_series()
    forecaster = make(update_epochs=2).fit(y[:50])
    before = weights(forecaster.network_)
    interrupt_in_epoch(monkeypatch, 2)
    with pytest.raises(TrainingInterrupted, match="can be used"):
        forecaster.update(y[50:53])
    assert not same_weights(before, forecaster.network_.state_dict())
    assert list(forecaster.predict(fh=[1]).index) == [y.index[53]]
    assert (forecaster.history_["stage"] == "update").sum() == 1


def test_an_update_interrupted_early_can_be_repeated(make, monkeypatch):
    y = make_series()
    expected = make().fit(y[:50]).update(y[50:53])
    forecaster = make().fit(y[:50])
    before = weights(forecaster.network_)
    interrupt_in_epoch(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        forecaster.update(y[50:53])
    monkeypatch.undo()
    assert same_weights(before, forecaster.network_.state_dict())
    assert list(forecaster.predict(fh=[1]).index) == [y.index[50]]
    forecaster.update(y[50:53])
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected.predict(fh=FH))


def test_an_update_and_forecast_that_is_refused_changes_nothing(make):
    y = make_series()
    forecaster = make().fit(y[:50])
    expected = forecaster.predict(fh=FH)
    with pytest.raises(InputError, match=r"is of datetimes .* but fit saw periods"):
        forecaster.update_predict_single(y[50:].to_timestamp(), fh=FH)
    assert list(forecaster.cutoff) == [y.index[49]]
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected)


@pytest.mark.parametrize("moment", ["run_epoch", "_check_epoch"])
def test_interrupted_before_an_epoch_it_is_not_fitted(make, moment, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer._Run, moment, interrupt)
    forecaster = make()
    with pytest.raises(KeyboardInterrupt, match="nothing of it is kept"):
        forecaster.fit(make_series())
    assert not forecaster.is_fitted
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecaster.fit(make_series()).predict(fh=FH)


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ("update", make_series(60, 2)),
        ("update", make_panel() * np.inf),
        ("pretrain", make_panel() * np.inf),
    ],
)
def test_what_fails_leaves_forecasts_as_they_were(make, change, bad):
    forecaster = make(calibration_fraction=0.2).fit(make_series(60)["y0"], fh=FH)
    before = forecaster.predict(), forecaster.predict_interval(coverage=0.5)
    with pytest.raises(InputError):
        getattr(forecaster, change)(bad)
    pd.testing.assert_series_equal(forecaster.predict(), before[0])
    interval = forecaster.predict_interval(coverage=0.5)
    pd.testing.assert_frame_equal(interval, before[1])
