"""What only CALF has."""

import pandas as pd
import pytest
import torch

from sktime_llm.errors import ClippedParameterWarning
from sktime_llm.forecasting._calf import _default_d_ff

from .common import FORECASTERS, make_panel, make_series

make = FORECASTERS["calf"]
KEPT = {"keep_textual_branch": True}


def test_principal_embeddings():
    with pytest.warns(ClippedParameterWarning, match="=500, but .* width 16 .* 15"):
        clipped = make(n_principal_embeddings=500, **KEPT).fit(make_series())
    for forecaster in (clipped, make(**KEPT).fit(make_series())):  # all by default
        assert len(forecaster.network_.textual.principal_embeddings) == 15


@pytest.mark.parametrize(("width", "d_ff"), [(768, 2048), (384, 1024), (16, 43)])
def test_the_feed_forward_keeps_the_published_ratio(width, d_ff):
    assert _default_d_ff(width) == d_ff
    for given, used in ((None, 43), (7, 7)):  # of the width 16
        network = make(d_ff=given, max_epochs=1).fit(make_series()).network_
        assert network.embedding.encoder.linear1.out_features == used


def test_few_shot_setting_makes_no_textual_branch():
    settings = {"consistency_loss_weight": 0.0, "feature_loss_weight": 0.0}
    forecaster = make(**settings, **KEPT).fit(make_series())
    assert forecaster.network_.textual is None
    assert "consistency" not in forecaster.history_


def test_the_textual_branch_ends_with_fit():
    y = make_series()
    forecaster = make().fit(y[:50]).update(y[50:])
    assert forecaster.network_.textual is None
    history = forecaster.history_.set_index("stage")
    assert history.loc["fit", ["consistency", "feature"]].notna().all(axis=None)
    assert history.loc["update", ["consistency", "feature"]].isna().all(axis=None)
    assert history.loc["update", "loss"] == history.loc["update", "task"]


def test_a_kept_textual_branch_trains_in_updates():
    y = make_series()
    forecaster = make(**KEPT).fit(y[:50])
    before = forecaster.network_.textual.match.key.weight.clone()
    expected = make().fit(y[:50]).predict(fh=[1, 2, 3])
    pd.testing.assert_frame_equal(forecaster.predict(fh=[1, 2, 3]), expected)
    forecaster.update(y[50:])
    losses = forecaster.history_.iloc[-1][["task", "consistency", "feature"]]
    assert losses.notna().all()
    assert not torch.equal(before, forecaster.network_.textual.match.key.weight)


def test_the_textual_branch_stays_with_what_was_pretrained():
    forecaster = make(fine_tune_epochs=1).pretrain(make_panel()).fit(make_series())
    assert forecaster.history_["consistency"].notna().all()
    assert forecaster.network_.textual is None
    assert forecaster.pretrained_network_.textual is not None


def test_a_fitted_forecaster_pretrains_with_a_textual_branch():
    forecaster = make().fit(make_series()).pretrain(make_panel())
    assert forecaster.pretrain_history_["consistency"].notna().all()
    again = make().fit(make_series()).pretrain(make_panel())
    a, b = (f.pretrained_network_.state_dict() for f in (forecaster, again))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_m4_setting():
    losses = {"task_loss": "smape", "consistency_loss": "mase", "seasonal_period": 4}
    others = {"feature_loss": "smooth_l1", "standardize": False}
    forecaster = make(**losses, **others, validation_fraction=0.2).fit(make_series())
    history = forecaster.history_
    assert history["task"].between(0, 200).all()
    assert history["validation_loss"].between(0, 200).all()
    assert (history["loss"] > history["task"]).all()
    assert forecaster.predict(fh=[1]).notna().all(axis=None)


@pytest.mark.parametrize("mode", ["random", "none", "attention", "transformer"])
def test_ablations_train_and_forecast(mode):
    y = make_series()
    forecaster = make(backbone_mode=mode).fit(y)
    forecast = forecaster.predict(fh=[1, 2, 3])
    pretrained = make().fit(y).predict(fh=[1, 2, 3])
    assert forecast.notna().all(axis=None)
    assert not forecast.equals(pretrained)


def test_no_lora():
    forecaster = make(lora_rank=0).fit(make_series())
    names = [n for n, _ in forecaster.network_.named_parameters()]
    assert not any("lora" in name for name in names)


def test_history_has_the_parts_of_the_loss():
    history = make().fit(make_series()).history_
    total = history["task"] + history["consistency"] + 0.01 * history["feature"]
    assert history["loss"].tolist() == pytest.approx(total.tolist(), rel=1e-5)
