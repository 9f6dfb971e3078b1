"""Covariates: what they tell a forecaster, and what they must not."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sktime.forecasting.compose import ForecastingPipeline, ForecastX
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.split import ExpandingWindowSplitter
from sktime.transformations.series.date import DateTimeFeatures
from sktime.transformations.series.impute import Imputer

from sktime_llm.errors import (
    ColumnTypeError,
    ConstantSeriesWarning,
    FewWindowsWarning,
    InputError,
    ResumeError,
    UnusedCovariatesWarning,
)
from sktime_llm.forecasting._scaling import Scaling

from .common import FORECASTERS, make_panel, make_series

WITH_X = {name: make for name, make in FORECASTERS.items() if name != "balm-tsf"}
with_X = pytest.mark.parametrize("make", WITH_X.values(), ids=WITH_X)
FH = [1, 2, 3]
N = 50
"""Rows that are fitted, of 60."""

same = pd.testing.assert_frame_equal


def make_covariates(y, seed=7):
    """Two covariates, on levels and scales of their own, at the rows of y."""
    values = np.random.default_rng(seed).normal(size=(len(y), 2))
    return pd.DataFrame(values * [1, 50] + [0, 900], y.index, ["wind", "price"])


def make_data(**kwargs):
    y = make_series(**kwargs)
    return y, make_covariates(y)


@pytest.fixture
def data():
    return make_data()


def fitted(make, data, **params):
    y, X = data
    return make(**params).fit(y[:N], X=X[:N], fh=FH)


def changed(X, where, column="wind"):
    """Other values of a column at some rows."""
    X = X.copy()
    X.loc[X.index[where], column] += 5.0
    return X


# what covariates tell


def depending(n_rows, noise=0.5, seed=0):
    """A series that follows a covariate, of which its past tells nothing, and noise."""
    rng = np.random.default_rng(seed)
    index = pd.period_range("2000-01-01", periods=n_rows, freq="D")
    x, errors = rng.normal(size=(2, n_rows))
    y = pd.DataFrame({"y": 5 + 2 * x + noise * errors}, index)
    return y, pd.DataFrame({"x": x}, index)


def error_of(forecaster, y, X, n_fitted):
    """Root mean square error over the rows after those fitted, by three."""
    forecaster.fit(y[:n_fitted], X=None if X is None else X[:n_fitted], fh=FH)
    errors = []
    for at in range(n_fitted, len(y) - 3, 3):
        ahead = slice(at, at + 3)
        future = None if X is None else X[ahead]
        errors.append(forecaster.predict(X=future) - y[ahead])
        forecaster.update(
            y[ahead], X=None if X is None else X[ahead], update_params=False
        )
    return np.sqrt(np.mean(np.square(errors)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("calf", {"d_ff": 64, "learning_rate": 5e-3, "backbone_mode": "attention"}),
        ("llm-ts-net", {"d_model": 32, "learning_rate": 3e-3, "text_fusion": False}),
    ],
)
def test_a_forecast_with_covariates_comes_near_the_best_there_is(name, params):
    make = FORECASTERS[name]
    y, X = depending(n_rows=1200)
    params = {**params, "max_epochs": 30, "intervals": None, "dropout": 0.0}
    params["context_length"] = 4
    with_X = error_of(make(**params), y, X, 1100)
    without = error_of(make(**params), y, None, 1100)
    only_past = error_of(make(**params, past_covariates=["x"]), y, X, 1100)
    best = (y["y"] - 5 - 2 * X["x"])[1100:].std()
    assert 0.45 < best < 0.55
    assert best < with_X < 1.7 * best
    # without the future of X nothing is better than its own deviation
    assert min(without, only_past) > 3.5 * best


@with_X
def test_known_futures_change_the_forecast_and_the_last_of_them(make, data):
    _, X = data
    forecaster = fitted(make, data)
    expected = forecaster.predict(X=X[N : N + 3])
    assert expected.notna().all(axis=None)
    other = forecaster.predict(X=changed(X, [N + 2])[N : N + 3])
    assert (other - expected).abs().min(axis=None) > 0


@with_X
def test_without_X_nothing_is_another_network(make, data):
    y, X = data
    plain, other = make().fit(y, fh=FH), make().fit(y, X=X, fh=FH)
    names = set(other.network_.state_dict()) - set(plain.network_.state_dict())
    assert names
    assert all(name.startswith("covariates.") for name in names)
    assert not [name for name in plain.network_.state_dict() if "covariate" in name]
    same(make().fit(y, X=X[[]], fh=FH).predict(), plain.predict())


# what they must not tell


@with_X
def test_nothing_of_the_future_of_a_past_covariate_is_known(make, data):
    _, X = data
    forecaster = fitted(make, data, past_covariates=["wind"])
    future = X[N : N + 8]
    expected = forecaster.predict(fh=range(1, 9), X=future)  # rolled forward
    unknown = future.assign(wind=np.nan)
    for other in (changed(future, range(8)), unknown, future.drop(columns="wind")):
        same(forecaster.predict(fh=range(1, 9), X=other), expected)


@with_X
def test_a_past_covariate_is_not_known_in_the_targets_of_training(make, monkeypatch):
    # scaled alike, so that the targets of the one window are all that differs
    monkeypatch.setattr(Scaling, "of", plain_scaling)
    y, X = make_data(n_rows=11)
    one, other = (
        make(past_covariates=["wind"]).fit(y, X=values, fh=FH).network_.state_dict()
        for values in (X, changed(X, [8, 9, 10]))
    )
    for name, weight in one.items():
        assert weight.equal(other[name]), name
    known = make(past_covariates=["wind"]).fit(y, X=changed(X, [8, 9], "price"), fh=FH)
    assert not all(map(torch.equal, one.values(), known.network_.state_dict().values()))


def plain_scaling(values):
    shape = (*values.shape[:-2], values.shape[-1])
    return Scaling(np.zeros(shape), np.ones(shape), np.ones(shape, dtype=bool))


@with_X
def test_covariates_of_validation_rows_train_nothing(make):
    y, X = make_data(n_rows=80)
    params = {"validation_fraction": 0.2, "calibration_fraction": 0.2}
    params |= {"patience": None, "max_epochs": 1}  # the epoch is not to be chosen
    one = make(**params).fit(y, X=X, fh=FH)
    n_held_out = 16 + 13  # to calibrate, and a fifth of the rest to validate
    other = make(**params).fit(y, X=changed(X, range(80 - n_held_out, 80)), fh=FH)
    weights = [f.network_.state_dict() for f in (one, other)]
    for name, weight in weights[0].items():
        assert weight.equal(weights[1][name]), name
    scalings = [f._known.covariates.scalings[None] for f in (one, other)]
    for each, its in zip(*scalings, strict=True):
        np.testing.assert_array_equal(each, its)


# how X is matched


@with_X
def test_columns_are_matched_by_name_and_rows_by_time(make, data):
    y, X = data
    forecaster = fitted(make, data)
    expected = forecaster.predict(X=X[N : N + 3])
    swapped = X[["price", "wind"]]
    for future in (swapped[N : N + 3], X, swapped[N - 5 :]):
        same(forecaster.predict(X=future), expected)
    updated = copy.deepcopy(forecaster).update(y[N : N + 5], X=X[N : N + 5])
    other = forecaster.update(y[N : N + 5], X=swapped)
    same(other.predict(X=X), updated.predict(X=swapped))
    assert list(other._known.covariates.rows.columns) == ["wind", "price"]


@with_X
def test_rows_of_X_in_another_time_zone(make):
    hours = pd.date_range("2020-03-26", periods=60, freq="h", tz="Europe/Berlin")
    y, X = make_data(index=hours)
    forecaster = fitted(make, (y, X))
    expected = forecaster.predict(X=X)
    same(forecaster.predict(X=X.tz_convert("UTC")), expected, check_freq=False)
    same(make().fit(y[:N], X=X.tz_convert("UTC"), fh=FH).predict(X=X), expected)


@with_X
def test_more_rows_than_needed_are_ignored(make, data):
    y, X = data
    forecaster = make().fit(y[:N], X=X, fh=FH)
    expected = fitted(make, data).predict(X=X[N : N + 3])
    same(forecaster.predict(X=X), expected)
    same(forecaster.predict(X=changed(X, [N + 3, N + 4, 3])), expected)


@with_X
def test_the_name_of_a_series_may_be_lost(make, data):
    y, X = data
    forecaster = make().fit(y[:N], X=X["wind"][:N], fh=FH)
    expected = forecaster.predict(X=X[["wind"]])
    same(forecaster.predict(X=X["wind"].rename(None)), expected)


@with_X
def test_booleans_are_numbers(make, data):
    y, X = data
    X = X.assign(holiday=X["wind"] > 1)
    expected = (
        make().fit(y[:N], X=X[:N].astype(float), fh=FH).predict(X=X.astype(float))
    )
    same(make().fit(y[:N], X=X[:N], fh=FH).predict(X=X), expected)


@with_X
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_missing_values_of_covariates(make, data, missing):
    y, X = data
    gaps = X.mask(np.random.default_rng(0).random(X.shape) < 0.2)
    gaps[N:] = X[N:]
    forecaster = make(missing=missing).fit(y[:N], X=gaps[:N], fh=FH)
    forecast = forecaster.predict(X=X)
    assert forecast.notna().all(axis=None)
    assert forecaster.network_.covariates.unknown.abs().max() > 0
    if missing == "mask":
        same(make(missing=missing).fit(y[:N], X=gaps, fh=FH).predict(X=X), forecast)
        with_rows = X[:N].copy()
        with_rows.iloc[[9, 20]] = np.nan
        one, other = (
            make(missing="mask").fit(y[:N], X=rows, fh=FH)
            for rows in (with_rows, with_rows.dropna())
        )
        same(one.predict(X=X), other.predict(X=X))


@with_X
def test_whole_covariates_leave_the_flags_at_zero(make, data):
    unknown = fitted(make, data).network_.covariates.unknown
    assert not unknown.any()
    past = fitted(make, data, past_covariates=["wind"]).network_.covariates
    assert past.unknown[0].any()
    assert not past.unknown[1].any()


# horizons, updates, pretraining, panels


@with_X
def test_horizons_beyond_the_trained_one_move_the_covariates_on(make, data):
    _, X = data
    forecaster = fitted(make, data)
    expected = forecaster.predict(fh=range(1, 9), X=X)
    assert len(expected) == 8
    forecast = forecaster.predict(fh=range(1, 9), X=changed(X, [N + 7]))
    same(forecast[:6], expected[:6])
    assert (forecast - expected)[6:].abs().min(axis=None) > 0
    # by hand, three steps at a time
    step = copy.deepcopy(forecaster)
    first = step.predict(fh=FH, X=X)
    step.update(first, X=X[N : N + 3], update_params=False)
    same(step.predict(X=X), expected[3:6], rtol=1e-5)


@with_X
def test_an_array_of_the_future_alone_is_explained(make, data):
    y, X = (frame.to_numpy() for frame in data)
    forecaster = make().fit(y[:N], X=X[:N], fh=FH)
    with pytest.raises(InputError, match=r"50, 51, 52; .* an array begin at 0"):
        forecaster.predict(X=X[N:])
    assert len(forecaster.predict(X=X)) == len(FH)


@with_X
def test_only_steps_that_are_forecast_need_covariates(make, data):
    _, X = data
    forecaster = fitted(make, data)
    assert len(forecaster.predict(fh=[1, 2], X=X[N : N + 2])) == 2
    message = r"no value of 'wind' at 1 of the 2 times .*: 2004-03; exp.*past_covar"
    with pytest.raises(InputError, match=message):
        forecaster.predict(fh=[2], X=X[N + 1 :])


@with_X
@pytest.mark.parametrize("update_params", [False, True])
def test_update(make, data, update_params):
    y, X = data
    forecaster = fitted(make, data)
    forecaster.update(y[N : N + 5], X=X[N : N + 5], update_params=update_params)
    assert ("update" in set(forecaster.history_["stage"])) == update_params
    expected = forecaster.predict(X=X)
    again = fitted(make, data)
    for at in (N, N + 1):
        again.update(y[at : at + 4], X=X, update_params=False)
    if not update_params:
        same(again.predict(X=X), expected)
    loaded = pickle.loads(pickle.dumps(forecaster))
    same(loaded.predict(X=X), expected)


@with_X
def test_a_gap_between_updates_takes_the_covariates_there_are(make, data):
    y, X = data
    one, other = (
        fitted(make, data, missing="mask").update(y[N + 2 : N + 5], X=rows)
        for rows in (X, X[N + 2 : N + 5])
    )
    assert one._known.covariates.rows.notna().all(axis=None)
    assert other._known.covariates.rows.isna().any(axis=None)
    assert other.predict(X=X).notna().all(axis=None)


@with_X
@pytest.mark.filterwarnings("ignore::sktime_llm.errors.LaterRowsDroppedWarning")
def test_forecasts_of_the_past_use_covariates(make, data):
    y, X = data
    forecaster = fitted(make, data)
    past = forecaster.predict(fh=y.index[:N])
    assert past.notna().all(axis=None)
    # one step ahead, from the rows before, as if these were all
    early = copy.deepcopy(forecaster)
    early.update(y[:30], X=X, update_params=False)
    expected = early.predict(fh=[1, 2, 3], X=X)
    same(past[30:31], expected[:1], rtol=1e-4)
    both = forecaster.predict(fh=[-1, 0, 1], X=X)
    same(both[:2], past[-2:], rtol=1e-4)
    same(both[2:], forecaster.predict(fh=[1], X=X), rtol=1e-4)


def make_panel_data():
    y = make_panel((40, 30, 25))
    return y, make_covariates(y)


def head(frame, n_left_out):
    return frame.groupby(level=0).apply(lambda rows: rows.droplevel(0)[:-n_left_out])


@with_X
def test_panels_match_covariates_by_series(make):
    y, X = make_panel_data()
    known = head(y, 5)
    forecaster = make().fit(known, X=X, fh=FH)
    expected = forecaster.predict(X=X)
    assert len(expected) == 9
    other = X.copy()
    other[X.index.get_level_values(0) == "s1"] += 3.0
    forecast = forecaster.predict(X=other)
    same(forecast.loc[["s0", "s2"]], expected.loc[["s0", "s2"]])
    assert (forecast - expected).loc["s1"].abs().min(axis=None) > 0
    with pytest.raises(InputError, match=r"X \(series 's1'\) has no value of 'wind'"):
        forecaster.predict(X=X.drop(index="s1"))


@with_X
def test_a_new_series_in_update(make):
    y, X = make_panel_data()
    forecaster = make().fit(y.loc[["s0", "s1"]], X=X, fh=FH)
    forecaster.update(y.loc[["s2"]], X=X.loc[["s2"]])
    future = pd.concat(
        {k: make_covariates(make_series(80, seed=3)) for k in ("s0", "s1", "s2")},
        names=["series", "time"],
    )
    assert len(forecaster.predict(X=future)) == 9


@with_X
@pytest.mark.parametrize("in_hierarchy", [False, True])
def test_a_new_series_changes_no_intervals_of_those_that_are_known(make, in_hierarchy):
    y = make_panel((70, 60, 30))
    if in_hierarchy:
        y = pd.concat({"top": y}, names=["region"])
    X, names = make_covariates(y), y.index.get_level_values("series")
    new = pd.concat([y[names == "s0"][60:], y[names == "s2"]])
    known = y.drop(new.index)
    forecaster = make(calibration_fraction=0.2).fit(known, X=X.loc[known.index], fh=FH)
    with_new, without = copy.deepcopy(forecaster), copy.deepcopy(forecaster)
    with_new.update(new, X=X.loc[new.index])
    without.update(y[names == "s0"][60:], X=X.loc[new.index])
    errors = with_new._calibration.errors
    assert (errors != forecaster._calibration.errors).any()
    np.testing.assert_array_equal(errors, without._calibration.errors)


@with_X
def test_what_does_not_vary_in_a_series_is_compared_with_others(make):
    y, X = make_panel_data()
    X["size"] = X.index.get_level_values(0).map({"s0": 1.0, "s1": 2.0, "s2": 9.0})
    forecaster = make().fit(y, X=X)
    scaled = forecaster._known.covariates.scaled()
    sizes = [scaled[key][-1, 2] for key in ("s0", "s1", "s2")]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3


@with_X
def test_hierarchies(make):
    y, X = (
        pd.concat({"a": frame, "b": frame + 1}, names=["top", "series", "time"])
        for frame in make_panel_data()
    )
    forecaster = make().fit(y, X=X, fh=FH)
    later = X.copy()
    later.index = later.index.set_levels(later.index.levels[-1] + 3, level=-1)
    assert len(forecaster.predict(X=later)) == 18


@with_X
def test_pretrain(make):
    y, X = make_panel_data()
    one = y.xs("s0"), X.xs("s0")
    forecaster = make().pretrain(y, X=X, fh=FH)
    forecaster.fit(one[0][:-5], X=one[1], fh=FH)
    assert len(forecaster.predict(X=one[1])) == 3
    before = forecaster.pretrained_network_
    forecaster.pretrain(y, X=X)
    assert forecaster.pretrained_network_ is not before
    with pytest.raises(InputError, match="X is missing"):
        forecaster.clone().fit(one[0])  # a clone of it is pretrained, too
    with pytest.raises(InputError, match="trained without X; expected none"):
        make().pretrain(y, fh=FH).fit(one[0], X=one[1])
    forecaster.past_covariates = ["wind"]
    with pytest.raises(InputError, match=r"pretrained with \[\]; expected the same"):
        forecaster.fit(*one)


@with_X
def test_intervals_use_covariates(make):
    y, X = make_data(n_rows=100)
    forecaster = make(calibration_fraction=0.3).fit(y[:90], X=X[:90], fh=FH)
    for method in ("predict_interval", "predict_quantiles", "predict_var"):
        found = getattr(forecaster, method)(X=X)
        assert found.notna().all(axis=None)
        other = getattr(forecaster, method)(X=changed(X, [91]))
        assert method == "predict_var" or (found != other).any(axis=None)
    assert forecaster.predict_proba(X=X).mean().notna().all(axis=None)
    errors = forecaster._calibration.errors
    shifted = make(calibration_fraction=0.3).fit(y[:90], X=changed(X, range(80, 90)))
    assert (shifted._calibration.errors != errors).any()
    forecaster.update(y[90:], X=X[90:])
    assert (forecaster._calibration.errors != errors).any()


# sktime's tools


@pytest.mark.slow
@with_X
def test_evaluate_and_grid_search(make, data):
    y, X = data
    cv = ExpandingWindowSplitter(fh=FH, initial_window=N, step_length=3)
    options = {"scoring": MeanAbsoluteError(), "error_score": "raise"}
    for strategy in ("refit", "update", "no-update_params"):
        found = evaluate(make(), cv, y, X, strategy=strategy, **options)
        assert found["test_MeanAbsoluteError"].notna().all()
    grid = {"learning_rate": [1e-4, 1e-2]}
    search = ForecastingGridSearchCV(make(), cv, grid, error_score="raise")
    assert len(search.fit(y[:-3], X=X[:-3]).predict(fh=FH, X=X)) == 3


@with_X
def test_pipelines(make, data):
    y, X = data
    calendar = DateTimeFeatures(ts_freq="M", manual_selection=["month_of_year"])
    pipeline = calendar ** make()
    forecast = pipeline.fit(y[:N], X=X[:N], fh=FH).predict(X=X[N : N + 3])
    assert list(forecast.index) == list(y.index[N : N + 3])
    steps = ForecastingPipeline([("impute", Imputer()), ("forecast", make())])
    steps.fit(y[:N], X=X[:N], fh=FH)
    expected = fitted(make, data).predict(X=X)
    same(steps.predict(X=X[N : N + 3]), expected)
    forecast_x = ForecastX(make(), NaiveForecaster())
    assert len(forecast_x.fit(y[:N], X=X[:N], fh=FH).predict()) == 3


# errors


@with_X
class TestErrors:
    def test_X_is_missing(self, make, data):
        y, X = data
        forecaster = fitted(make, data)
        message = r"missing in predict.*\['wind', 'price'\].*ForecastX.*past_covariates"
        with pytest.raises(InputError, match=message):
            forecaster.predict()
        with pytest.raises(InputError, match="X is missing; the network was trained"):
            forecaster.update(y[N:])
        past = fitted(make, data, past_covariates=["wind", "price"])
        same(past.predict(), past.predict(X=X))

    def test_X_is_not_known_from_fit(self, make, data):
        y, X = data
        forecaster = make().fit(y[:N], fh=FH)
        message = r"\['wind', 'price'\], but the network was trained without X"
        with pytest.raises(InputError, match=message):
            forecaster.predict(X=X)
        with pytest.raises(InputError, match=message):
            forecaster.update(y[N:], X=X[N:])

    def test_columns(self, make, data):
        y, X = data
        forecaster = fitted(make, data)
        with pytest.raises(InputError, match=r"fit did not see: \['rain'\]. Expected"):
            forecaster.predict(X=X.assign(rain=1.0))
        for call in (
            lambda: forecaster.predict(X=X[["wind"]]),
            lambda: forecaster.update(y[N:], X=X[["wind"]]),
        ):
            with pytest.raises(InputError, match=r"but not \['price'\]"):
                call()
        with pytest.raises(InputError, match=r"=\['rain'\], but X has the columns"):
            make(past_covariates=["rain"]).fit(y, X=X)
        with pytest.raises(
            InputError, match=r"=\['rain'\], but X has the columns \[\]"
        ):
            make(past_covariates=["rain"]).fit(y)
        with pytest.raises(InputError, match="a list or tuple of names"):
            make(past_covariates="wind").fit(y, X=X)

    def test_types(self, make, data):
        y, X = data
        for kind, values in (("object", "ab"), ("category", pd.Categorical(["ab"]))):
            bad = X.assign(kind=values if kind == "object" else "ab")
            if kind == "category":
                bad["kind"] = bad["kind"].astype("category")
            message = r"\{'kind': '\w+'\}.*pd.get_dummies.*\['kind'\].*DateTimeFeatures"
            with pytest.raises(ColumnTypeError, match=message):
                make().fit(y, X=bad)

    def test_future(self, make, data):
        _, X = data
        forecaster = fitted(make, data)
        gap = X[N : N + 3].copy()
        gap.iloc[1, 1] = np.nan
        message = (
            r"no value of 'price' at 1 of the 3 times up to the last one that is "
            r"forecast: 2004-04; .*if only the past of 'price' is known, name it in "
            "past_covariates"
        )
        with pytest.raises(InputError, match=message):
            forecaster.predict(X=gap)
        message = (
            r"no value of 'wind' at 5 of the 8 times .*: 2004-06, 2004-07, 2004-08"
        )
        with pytest.raises(InputError, match=message):
            forecaster.predict(fh=range(1, 9), X=X[N : N + 3])

    def test_rows(self, make, data):
        y, X = data
        with pytest.raises(InputError, match=r"no row at 2 of the 60 times of y, such"):
            make().fit(y, X=X.drop(X.index[[5, 9]]))
        with pytest.raises(InputError, match=r"X is of datetimes .*, that of y of per"):
            make().fit(y, X=X.to_timestamp())
        with pytest.raises(InputError, match=r"inf in column 'wind' at 2000-04"):
            make().fit(y, X=X.replace(X.iloc[3, 0], np.inf))
        forecaster = fitted(make, data)
        with pytest.raises(InputError, match="X is of integers"):
            forecaster.predict(X=X.reset_index(drop=True))

    def test_a_column_that_never_changes_changes_nothing(self, make, data):
        y, X = data
        X = X.assign(flag=4.0)
        with pytest.warns(ConstantSeriesWarning, match=r"\['flag'\] of X never change"):
            forecaster = make().fit(y[:N], X=X, fh=FH)
        expected = forecaster.predict(X=X)
        same(forecaster.predict(X=X.assign(flag=99.0)), expected)


class TestBALMTSF:
    """It uses none, and says so; sktime has such forecasters take X all the same."""

    def test_it_names_the_forecasters_that_use_covariates(self, data):
        y, X = data
        message = r"not use X.*'wind'.* CALFForecaster or LLMTSNetForecaster"
        with pytest.warns(UnusedCovariatesWarning, match=message):
            forecaster = FORECASTERS["balm-tsf"]().fit(y[:N], X=X[:N])
        forecaster.update(y[N:], X=X[N:], update_params=False).predict(fh=[1])

    @pytest.mark.filterwarnings("ignore::sktime_llm.errors.UnusedCovariatesWarning")
    @pytest.mark.parametrize("seen", [["wind"], "wind", None])
    def test_a_column_of_X_that_fit_did_not_see(self, data, seen):
        y, X = data
        make = FORECASTERS["balm-tsf"]
        forecaster = make().fit(y[:N], X=None if seen is None else X[seen][:N])
        expected = r"\[\]" if seen is None else r"\['wind'\]"
        message = rf"\['price'\] in predict.*expected {expected}"
        for unseen in (X[["price"]], X["price"], *([] if seen is None else [X])):
            with pytest.raises(InputError, match=message):
                forecaster.predict(fh=[1], X=unseen[N:])
        if seen is not None:
            forecaster.predict(fh=[1], X=X[["wind"]][N:])
            forecaster.predict(fh=[1], X=X["price"].rename(None)[N:])  # no name


def test_without_attention_between_series_there_are_no_covariates(data):
    y, X = data
    forecaster = FORECASTERS["llm-ts-net"](inter_series_attention=False)
    with pytest.raises(InputError, match=r"inter_series_attention=False with cov"):
        forecaster.fit(y, X=X)


@pytest.mark.filterwarnings(f"ignore::{FewWindowsWarning.__module__}.FewWindowsWarning")
def test_the_gaussian_of_llm_ts_net_uses_covariates(data):
    _, X = data
    forecaster = fitted(FORECASTERS["llm-ts-net"], data, uncertainty=True)
    found = forecaster.predict_var(X=X)
    assert (found != forecaster.predict_var(X=changed(X, [N]))).all(axis=None)


# checkpoints


@with_X
def test_a_fit_is_not_resumed_with_other_covariates(make, data, tmp_path):
    y, X = data
    first = fitted(make, data, resume=tmp_path)
    same(fitted(make, data, resume=tmp_path).predict(X=X), first.predict(X=X))
    with pytest.raises(ResumeError, match="digest of the series"):
        fitted(make, (y, changed(X, [5])), resume=tmp_path)


@with_X
def test_checkpoints_keep_covariates(make, tmp_path):
    y, X = make_panel_data()
    forecaster = make(past_covariates=["wind"]).fit(head(y, 5), X=X, fh=FH)
    forecaster.save_pretrained(tmp_path / "fitted")
    loaded = type(forecaster).from_pretrained(tmp_path / "fitted")
    same(loaded.predict(X=X), forecaster.predict(X=X))
    same(loaded._known.covariates.rows, forecaster._known.covariates.rows)
    for each in (loaded, forecaster):
        each.update(y.groupby(level=0).tail(5), X=X, update_params=False)
    known = [each._known.covariates.scaled() for each in (loaded, forecaster)]
    for key in known[0]:
        np.testing.assert_array_equal(known[0][key], known[1][key])


@with_X
def test_without_the_past_only_the_last_covariates_are_kept(make, data, tmp_path):
    y, X = data
    forecaster = fitted(make, data)
    forecaster.save_pretrained(tmp_path / "saved", keep_past=False)
    loaded = type(forecaster).from_pretrained(tmp_path / "saved")
    same(loaded.predict(X=X), forecaster.predict(X=X))
    assert len(loaded._known.covariates.rows) == len(loaded._known.rows) < N
    for each in (forecaster, loaded):
        each.update(y[N : N + 4], X=X, update_params=False)
    same(loaded.predict(X=X), forecaster.predict(X=X))
    assert len(loaded._known.covariates.rows) == len(loaded._known.rows) < N


@with_X
def test_a_fit_from_a_checkpoint_takes_its_covariates(make, tmp_path):
    y, X = make_panel_data()
    one = y.xs("s0")[:-5], X.xs("s0")
    pretrained = make().pretrain(y, X=X, fh=FH)
    expected = pretrained.clone().fit(*one, fh=FH).predict(X=one[1])
    pretrained.save_pretrained(tmp_path / "pretrained")
    loaded = type(pretrained).from_pretrained(tmp_path / "pretrained")
    same(loaded.fit(*one, fh=FH).predict(X=one[1]), expected)
    again = make(checkpoint=tmp_path / "pretrained")
    same(again.fit(*one, fh=FH).predict(X=one[1]), expected)
    with pytest.raises(InputError, match="X is missing"):
        again.fit(one[0], fh=FH)
    fitted_one = make().fit(one[0], X=one[1], fh=FH)
    fitted_one.save_pretrained(tmp_path / "fitted")
    from_fitted = make(checkpoint=tmp_path / "fitted").fit(*one, fh=FH)
    same(from_fitted.predict(X=one[1]), fitted_one.predict(X=one[1]), rtol=1e-5)
    with pytest.raises(InputError, match=r"past_covariates=\['wind'\] with checkpoint"):
        make(checkpoint=tmp_path / "fitted", past_covariates=["wind"]).fit(*one, fh=FH)


@with_X
@pytest.mark.parametrize("kinds", [(list, tuple), (tuple, list)])
def test_names_in_a_list_or_a_tuple_are_the_same_to_a_checkpoint(
    make, kinds, data, tmp_path
):
    saved, given = (kind(["wind"]) for kind in kinds)
    fitted(make, data, past_covariates=saved).save_pretrained(tmp_path / "fitted")
    fitted(make, data, past_covariates=given, checkpoint=tmp_path / "fitted")
