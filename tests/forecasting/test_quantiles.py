"""Quantiles that the network forecasts."""

import copy
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.layers.quantiles import LEVELS
from sktime_llm.training.windows import WindowShape

from .common import FORECASTERS, each_forecaster, make_panel, make_series

QUANTILES = {"intervals": "quantiles"}


@each_forecaster
def test_columns_order_and_levels_between(make):
    forecaster = make(**QUANTILES).fit(make_panel((40, 30), n_columns=2))
    levels = [0.005, 0.025, 0.4, 0.5, 0.975, 0.999]
    found = forecaster.predict_quantiles(fh=[1, 3, 7], alpha=levels)
    assert list(found.columns) == [(c, a) for c in ("y0", "y1") for a in levels]
    assert found.index.equals(forecaster.predict(fh=[1, 3, 7]).index)
    values = found.to_numpy().reshape(len(found), 2, len(levels))
    assert (np.diff(values, axis=2) > 0).all()
    known = forecaster.predict_quantiles(fh=[1, 3, 7], alpha=[0.25, 0.5])
    low, high = (known.xs(a, axis=1, level=1) for a in (0.25, 0.5))
    z = [NormalDist().inv_cdf(a) for a in (0.25, 0.4, 0.5)]
    share = (z[1] - z[0]) / (z[2] - z[0])
    between = found.xs(0.4, axis=1, level=1)
    pd.testing.assert_frame_equal(between, low + share * (high - low))


@each_forecaster
def test_they_cover_what_they_promise(make):
    y = make_series(n_rows=400)
    settings = {"max_epochs": 30, "learning_rate": 3e-3, "validation_fraction": 0.0}
    forecaster = make(**QUANTILES, **settings).fit(y[:300])
    covered, widths = [], []
    for end in range(300, 380, 3):
        truth = y[end : end + 3].to_numpy()
        bounds = forecaster.predict_interval(fh=[1, 2, 3], coverage=0.8).to_numpy()
        covered.append((bounds[:, :1] <= truth) & (truth <= bounds[:, 1:]))
        widths.append(bounds[:, 1] - bounds[:, 0])
        forecaster.update(y[end : end + 3], update_params=False)
    low, high = y["y0"].quantile([0.1, 0.9])
    assert np.mean(covered) > 0.5
    assert np.mean(widths) < 0.8 * (high - low)


@each_forecaster
def test_they_widen_where_forecasts_are_rolled_forward(make):
    forecaster = make(**QUANTILES).fit(make_series())
    bounds = forecaster.predict_interval(fh=np.arange(1, 13)).to_numpy()
    width = (bounds[:, 1] - bounds[:, 0]).reshape(4, 3)
    assert (np.diff(width.mean(axis=1)) > 0).all()
    assert (width[-1] > width[0]).all()


@each_forecaster
def test_nothing_is_held_out_and_the_rest_stays_as_it_was(make):
    y = make_series(500)
    forecaster = make(**QUANTILES, max_epochs=1).fit(y)
    assert not forecaster._calibration.n
    assert {"pinball", "task"} <= set(forecaster.history_.columns)
    plain = make(intervals=None, max_epochs=1).fit(y)
    names = set(forecaster.network_.state_dict()) - set(plain.network_.state_dict())
    assert names == {"quantile_head.project.weight", "quantile_head.project.bias"}
    assert forecaster.predict_var(fh=[1]).to_numpy() > 0
    assert len(forecaster.predict_quantiles(fh=[-1, 1], alpha=0.5)) == 2
    again = copy.deepcopy(forecaster).update(y[-1:] * 1.01)
    assert again.predict_interval(fh=[1]).notna().all(axis=None)


@each_forecaster
def test_missing_values(make):
    y = make_series()
    y.iloc[10:14] = y.iloc[40] = np.nan
    forecaster = make(**QUANTILES).fit(y)
    assert forecaster.history_["pinball"].notna().all()
    assert forecaster.predict_interval(fh=[1, 9]).notna().all(axis=None)


@each_forecaster
def test_a_pretrained_network_without_them_is_refused(make):
    pretrained = make().pretrain(make_panel())
    pretrained.intervals = "quantiles"  # set_params would forget the network
    with pytest.raises(InputError, match="pretrained network was made without"):
        pretrained.fit(make_series())
    quantiles = make(**QUANTILES).pretrain(make_panel()).fit(make_series())
    assert quantiles.predict_interval(fh=[1]).shape == (1, 2)


def test_a_gaussian_and_quantiles_are_one_too_many():
    make = FORECASTERS["llm-ts-net"]
    with pytest.raises(InputError, match="expected one of both"):
        make(uncertainty=True, **QUANTILES).fit(make_series())


@each_forecaster
def test_the_head_is_made_last(make):
    # so that all else has the random numbers that it has without
    networks = []
    for own in (QUANTILES, {"intervals": None}):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            networks.append(make(**own)._build_network(WindowShape(8, 3)))
    with_head, without = networks
    assert with_head.quantile_head.project.out_features == 3 * len(LEVELS)
    assert without.quantile_head is None
    state = with_head.state_dict()
    for name, weight in without.state_dict().items():
        assert torch.equal(state[name], weight), name
