"""Comparison of forecasters: folds, scores, failures."""

import re
import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.base import BaseForecaster
from sktime.forecasting.naive import NaiveForecaster

from sktime_llm import CALFForecaster, errors
from sktime_llm.datasets import Dataset, load_dataset
from sktime_llm.errors import InputError, SktimeLLMWarning, UndefinedScoreWarning
from sktime_llm.evaluation import (
    Comparison,
    compare_forecasters,
    default_forecasters,
)
from sktime_llm.evaluation._data import instances_of, mean_change, seasonal_changes

STATISTICAL = ["naive", "seasonal-naive", "auto-ets", "auto-arima", "theta"]
EMPTY = pd.DataFrame()
SETUP_ERRORS = [errors.BackboneCorruptedError, errors.BackboneNotFoundError]
SETUP_ERRORS += [errors.DeviceNotAvailableError, errors.UnsupportedBackboneError]


class Repeat(BaseForecaster):
    """Forecast `value` always, after doing what `behavior` says in fit."""

    _tags = {"capability:missing_values": True, "capability:multivariate": True}
    _tags |= {"y_inner_mtype": "pd.DataFrame"}
    _config = {"remember_data": False}

    def __init__(self, value=0.0, behavior="fit"):
        self.value = value
        self.behavior = behavior
        super().__init__()
        self._y = self._X = None

    def _fit(self, y, X, fh):
        self._columns = y.columns
        if isinstance(self.behavior, type):
            raise self.behavior("of no use")
        if self.behavior == "fail":
            raise KeyError("no such thing")
        if self.behavior == "warn":
            warnings.warn("look out", SktimeLLMWarning, stacklevel=2)
            warnings.warn("an internal matter", FutureWarning, stacklevel=2)
        return self

    def _predict(self, fh, X):
        index = fh.get_expected_pred_idx(y=None, cutoff=self.cutoff)
        return pd.DataFrame(self.value, index=index, columns=self._columns)


def naive():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return NaiveForecaster()


def compare_naive(y, forecaster=None, **options):
    """Return the scores and the forecasts of one forecaster."""
    comparison = compare_forecasters(y, {"naive": forecaster or naive()}, **options)
    return comparison.scores, comparison.forecasts


def mase_of(y, seasonal_period=1, horizon=3, forecaster=None):
    options = {"horizon": horizon, "seasonal_period": seasonal_period}
    return compare_naive(y, forecaster, **options)[0].loc[0, "MASE"]


def months(values, name="y"):
    index = pd.period_range("2000-01", periods=len(values), freq="M")
    return pd.Series(np.asarray(values, dtype=float), index=index, name=name)


def panel(**series):
    frames = {key: months(values).to_frame() for key, values in series.items()}
    return pd.concat(frames, names=["id", "time"])


def walk(length=30, seed=2):
    return np.random.default_rng(seed).normal(size=length).cumsum()


@pytest.fixture
def small():
    return Dataset("small", months(walk(seed=0)), seasonal_period=2, horizon=3)


def mase_of_naive(values, horizon, n_folds, season):
    scores = []
    for fold in range(n_folds, 0, -1):
        end = len(values) - (fold - 1) * horizon
        train, test = values[: end - horizon], values[end - horizon : end]
        scale = np.abs(train[season:] - train[:-season]).mean()
        scores.append(np.abs(test - train[-1]).mean() / scale)
    return np.mean(scores)


def test_scores_are_those_of_hand(small):
    scores = compare_forecasters(small, {"naive": naive()}, n_folds=4).scores
    values = small.y.to_numpy()
    assert scores.loc[0, "MASE"] == pytest.approx(mase_of_naive(values, 3, 4, 2))
    tests, lasts = values[18:].reshape(4, 3), values[17:-3:3, None]
    assert scores.loc[0, "MAE"] == pytest.approx(np.abs(tests - lasts).mean())
    smape = 2 * np.abs(tests - lasts) / (np.abs(tests) + np.abs(lasts))
    assert scores.loc[0, "sMAPE"] == pytest.approx(smape.mean())


def test_a_zero_that_is_forecast_has_no_error():
    values = walk()
    values[-3:] = [0.0, 4.0, 0.0]
    options = {"horizon": 3, "seasonal_period": 1, "n_folds": 1}
    scores, _ = compare_naive(months(values), Repeat(0.0), **options)
    assert scores.loc[0, "sMAPE"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", [None, "", 0, "sales"])
def test_a_series_has_its_scores_whatever_its_name(small, name):
    data = replace(small, y=small.y.rename(name))
    comparison = compare_forecasters(data, {"naive": naive()}, n_folds=4, levels=[80])
    expected = mase_of_naive(small.y.to_numpy(), 3, 4, 2)
    assert comparison.scores.loc[0, "MASE"] == pytest.approx(expected)
    assert comparison.scores.notna().all(axis=None)
    assert comparison.standings(forecasters=["naive"])


@pytest.mark.parametrize("kind", ["series", "columns", "panel"])
def test_scores_of_intervals_are_those_of_hand(kind):
    columns = {"a": walk(seed=0), "b": 10 * walk(seed=1)}
    y = pd.concat([months(v).rename(k) for k, v in columns.items()], axis=1)
    if kind == "series":
        y = y[["a"]]
    elif kind == "panel":
        y = pd.concat([y[[k]].set_axis(["y"], axis=1) for k in y], keys=list(y))
    data = Dataset("data", y, seasonal_period=2, horizon=3)
    given = {"naive": naive(), "none": Repeat(1.0)}
    compared = compare_forecasters(data, given, n_folds=1, levels=[80, 95.5])
    rows = compared.scores.set_index("forecaster")
    forecasts = compared.forecasts
    assert rows.loc["none", ["coverage_80", "MSIS_95.5"]].isna().all()
    assert list(rows)[-5:-1] == ["coverage_80", "MSIS_80", "coverage_95.5", "MSIS_95.5"]
    own = forecasts[forecasts["forecaster"] == "naive"]
    assert (own["lower_95.5"] < own["lower_80"]).all()
    assert (own["lower_80"] < own["forecast"]).all()
    truth, low, high = (own[c].to_numpy() for c in ("truth", "lower_80", "upper_80"))
    inside = (low <= truth) & (truth <= high)
    assert rows.loc["naive", "coverage_80"] == pytest.approx(inside.mean())
    score = high - low + 10 * (np.maximum(low - truth, 0) + np.maximum(truth - high, 0))
    values = [y["a"].to_numpy()] if kind == "series" else list(columns.values())
    scales = [np.abs(v[2:-3] - v[:-5]).mean() for v in values]
    expected = np.mean(score.reshape(-1, 3).mean(axis=1) / scales)
    assert rows.loc["naive", "MSIS_80"] == pytest.approx(expected)


def test_columns_and_order(small):
    other = Dataset("other", months(np.arange(20.0)), seasonal_period=1, horizon=2)
    forecasters = {"far": Repeat(1e6), "naive": naive(), "farther": Repeat(1e7)}
    scores = compare_forecasters([small, other], forecasters).scores
    columns = "dataset forecaster n_variates MASE sMAPE MAE fit_seconds"
    assert list(scores) == [*columns.split(), "predict_seconds", "error"]
    assert scores["dataset"].tolist() == ["small"] * 3 + ["other"] * 3
    assert scores["forecaster"].tolist() == ["naive", "far", "farther"] * 2
    assert (scores[["fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    assert (scores["error"] == "").all()


def test_the_order_of_series_does_not_change_scores():
    parts = {k: np.sin(np.arange(30.0)) + 10 * i for i, k in enumerate("abc")}
    calf = CALFForecaster(context_length=6, backbone="tiny-random", max_epochs=1)
    calf.set_params(random_state=0, intervals=None, verbose=0)
    errors = []
    for keys in ("abc", "cab"):
        y = pd.concat({k: months(parts[k]).to_frame("y") for k in keys}, names=["id"])
        data = Dataset("panel", y, seasonal_period=1, horizon=3)
        errors.append(compare_forecasters(data, {"calf": calf}).scores.MAE[0])
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)


def test_last_fold_ends_with_the_data(small):
    forecaster = naive()
    forecasts = compare_forecasters(small, {"naive": forecaster}).forecasts
    assert not forecaster.is_fitted  # only its clones are
    columns = "dataset forecaster id time variate truth forecast"
    assert list(forecasts) == columns.split()
    assert forecasts["time"].tolist() == list(small.y.index[-3:])
    assert forecasts["truth"].tolist() == small.y.tolist()[-3:]
    assert (forecasts["forecast"] == small.y.iloc[-4]).all()
    assert set(forecasts["id"]) == {""}
    assert set(forecasts["variate"]) == {"y"}


def test_variates_are_forecast_one_by_one():
    y = pd.DataFrame({"a": months(np.arange(20.0)), "b": months(np.arange(20.0) * -3)})
    scores, forecasts = compare_naive(y, horizon=2, seasonal_period=1)
    assert scores.loc[0, "n_variates"] == 2
    assert scores.loc[0, "MASE"] == pytest.approx(1.5)
    assert scores.loc[0, "MAE"] == pytest.approx((1.5 + 4.5) / 2)
    last = forecasts.set_index(["variate", "time"])["forecast"]
    assert last.loc["a"].tolist() == [17.0, 17.0]
    assert last.loc["b"].tolist() == [-51.0, -51.0]


def test_panel_of_unequal_lengths():
    long, short = walk(30, 1), walk(22, 3)
    y = panel(long=long, short=short)
    scores, forecasts = compare_naive(y, horizon=3, seasonal_period=2)
    expected = [mase_of_naive(values, 3, 3, 2) for values in (long, short)]
    assert scores.loc[0, "MASE"] == pytest.approx(np.mean(expected))
    assert len(forecasts) == 6
    last = forecasts[forecasts["id"] == "short"]
    assert last["time"].tolist() == list(months(short).index[-3:])
    assert last["truth"].tolist() == short[-3:].tolist()


def test_pandas_data_take_their_season_from_the_index():
    y = months(np.arange(72.0))
    for given, used in ((None, "12"), (4, "4")):
        scores = compare_forecasters(
            y, lambda season: {str(season): naive()}, horizon=3, seasonal_period=given
        ).scores
        assert (scores.loc[0, "forecaster"], scores.loc[0, "dataset"]) == (used, "y")


def test_horizon_and_season_of_a_dataset_can_be_replaced(small):
    seasons = []
    comparison = compare_forecasters(
        small,
        lambda season: seasons.append(season) or {"naive": naive()},
        horizon=5,
        seasonal_period=7,
        n_folds=1,
    )
    forecasts = comparison.forecasts
    assert len(forecasts) == 5
    assert seasons == [7]
    assert (small.horizon, small.seasonal_period) == (3, 2)


def test_progress_counts_every_step(small):
    steps, data = [], [small, Dataset("other", small.y, 2, 3)]
    forecasters = {"a": Repeat(), "b": Repeat(1.0)}
    compare_forecasters(data, forecasters, progress=lambda *step: steps.append(step))
    names = ["small: a", "small: b", "other: a", "other: b", "done"]
    assert steps == [(i, 4, name) for i, name in enumerate(names)]


def test_warnings_for_developers_are_kept_back_and_others_named(small):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compare_forecasters(small, {"loud": Repeat(behavior="warn"), "naive": naive()})
    assert [(one.category, str(one.message)) for one in caught] == [
        (SktimeLLMWarning, "loud on small: look out")
    ]


def test_missing_values_to_forecast_count_in_no_score():
    values = walk(40)
    values[[-2, -7]] = np.nan
    with pytest.warns(UndefinedScoreWarning, match="2 of the 9 values to forecast"):
        scores, forecasts = compare_naive(
            months(values), Repeat(1.0), horizon=3, seasonal_period=2, levels=[80]
        )
    folds = [values[31:34], values[34:37], values[37:]]
    scales = [np.nanmean(np.abs(values[2:n] - values[: n - 2])) for n in (31, 34, 37)]
    errors = [np.nanmean(np.abs(fold - 1.0)) for fold in folds]
    assert scores.loc[0, "MAE"] == pytest.approx(np.mean(errors))
    expected = np.mean([e / s for e, s in zip(errors, scales, strict=True)])
    assert scores.loc[0, "MASE"] == pytest.approx(expected)
    assert forecasts["truth"].isna().tolist() == [False, True, False]


def test_missing_values_do_not_change_intervals_elsewhere():
    y = months(walk(40))
    options = {"horizon": 3, "seasonal_period": 2, "n_folds": 1, "levels": [80]}
    _, forecasts = compare_naive(y, **options)
    y.iloc[-2] = np.nan
    with pytest.warns(UndefinedScoreWarning, match="1 of the 3"):
        scores, _ = compare_naive(y, **options)
    rows = forecasts.iloc[[0, 2]]
    inside = rows["truth"].between(rows["lower_80"], rows["upper_80"])
    assert scores.loc[0, "coverage_80"] == inside.mean()
    assert np.isfinite(scores.loc[0, "MSIS_80"])


def test_forecasts_without_bounds_count_in_no_score_of_intervals():
    short = panel(a=walk(10), b=[np.nan, np.nan, 1.0, 2.0])
    options = {"horizon": 1, "seasonal_period": 1, "n_folds": 1, "levels": [80]}
    with pytest.warns(UndefinedScoreWarning, match="leaves out 1 of 2"):
        scores, forecasts = compare_naive(short, **options)
    known = forecasts[forecasts["lower_80"].notna()]
    assert known["id"].tolist() == ["a"]
    inside = known["truth"].between(known["lower_80"], known["upper_80"])
    assert scores.loc[0, "coverage_80"] == inside.mean()


@pytest.mark.parametrize("kind", ["days", "integers", "panel"])
def test_forecasts_of_other_times_than_the_truth_fail(kind):
    index = pd.date_range("2024-01-01", periods=12)
    if kind == "integers":
        index = pd.RangeIndex(12)
    y = pd.Series(walk(12), index=index, name="y").drop(index[10])
    if kind == "panel":
        y = pd.concat({"a": y.to_frame()}, names=["id", "time"])
    with pytest.raises(RuntimeError, match=f"1 of the 2 rows .*{index[11]}"):
        mase_of(y, horizon=2, forecaster=Repeat())


def test_business_days_of_short_panels_are_forecast():
    days = pd.bdate_range("2024-01-01", periods=10)
    index = pd.MultiIndex.from_product([["a", "b"], days], names=["id", "time"])
    index = index.set_levels(days, level=-1)  # from_product forgets the frequency
    y = pd.Series(walk(20), index=index, name="y").to_frame()
    _, forecasts = compare_naive(y, horizon=5, seasonal_period=1, n_folds=1)
    assert forecasts["forecast"].notna().all()
    assert forecasts["time"].nunique() == 5


def test_repeated_and_unsorted_times_are_refused():
    y = months(walk(12))
    for rows, words in (
        ([*range(11), 10], "has 2000-11 more than once"),
        ([1, 0, *range(2, 12)], "has 2000-01 after later times"),
    ):
        with pytest.raises(InputError, match=words):
            mase_of(y.iloc[rows])
        ordered = y.to_frame()
        several = pd.concat({"b": ordered, "a": y.iloc[rows].to_frame()})
        with pytest.raises(InputError, match=rf"has \('a', .*{words[-12:]}"):
            mase_of(several)


def test_series_of_a_panel_may_come_in_any_order():
    y = panel(b=walk(seed=0), a=walk(seed=1))
    options = {"horizon": 3, "seasonal_period": 1}
    expected = compare_naive(y.sort_index(), **options)[0].loc[0, "MASE"]
    for each in (y, y.sort_index(level=1, sort_remaining=False)):
        found = compare_naive(each, **options)[0].loc[0, "MASE"]
        assert found == pytest.approx(expected)


def test_a_level_that_is_given_twice_is_scored_once():
    scores, _ = compare_naive(months(walk()), horizon=3, levels=(80, 80.0, 95))
    assert list(scores)[-5:-1] == ["coverage_80", "MSIS_80", "coverage_95", "MSIS_95"]


@pytest.mark.parametrize("is_panel", [False, True])
def test_hours_that_clocks_repeat_are_named(is_panel):
    hours = pd.date_range("2020-10-24", periods=60, freq="h", tz="Europe/Berlin")
    y = pd.Series(walk(60), hours.tz_localize(None))
    y = pd.concat({"a": y.to_frame()}) if is_panel else y
    with pytest.raises(InputError, match=r"2020-10-25 .*If clocks were .* UTC\."):
        compare_naive(y, horizon=5, seasonal_period=1)


def test_missing_values_of_training_are_left_out_of_the_scale():
    values = walk(40)
    values[[5, 20]] = np.nan
    expected = np.abs(values[37:] - 1.0).mean()
    expected /= np.nanmean(np.abs(values[2:37] - values[:35]))
    options = {"horizon": 3, "seasonal_period": 2, "n_folds": 1}
    scores, _ = compare_naive(months(values), Repeat(1.0), **options)
    assert scores.loc[0, "MASE"] == pytest.approx(expected)


GRIDS = {
    "months": pd.period_range("2000-01", periods=60, freq="M"),
    "two months": pd.period_range("2000-01", periods=60, freq="2M"),
    "days": pd.date_range("2000-01-01", periods=60),
    "business days": pd.bdate_range("2000-01-03", periods=60),
    "month starts": pd.date_range("2000-01-01", periods=60, freq="MS"),
    "integers": pd.RangeIndex(60),
}


@pytest.mark.parametrize("kind", ["series", "columns", "panel"])
@pytest.mark.parametrize("grid", GRIDS)
def test_missing_rows_are_as_rows_of_nan_to_the_scale(grid, kind):
    rng, at = np.random.default_rng(0), np.arange(60)
    values = 100 * np.sin(at[:, None] * np.pi / 6) + rng.normal(size=(60, 2))
    y = pd.DataFrame(values, GRIDS[grid], ["a", "b"])
    gaps = [y.index[[17, 18, 35, 41]], y.index[[20]]]
    if kind == "series":
        y, gaps = y[["a"]], gaps[:1]
    if kind == "panel":
        parts = {key: y[[key]].set_axis(["y"], axis=1) for key in y}
        y = pd.concat(parts, names=["id", "time"])
        gaps = [
            pd.MultiIndex.from_product([[key], gap])
            for key, gap in zip(parts, gaps, strict=True)
        ]
    whole, holed = y.astype(float), y
    for gap in gaps:
        whole.loc[gap] = np.nan
        holed = holed.drop(gap, errors="ignore")
    data = [Dataset("data", each, 12, 6) for each in (whole, holed)]
    expected, found = (
        mean_change(
            seasonal_changes(each), each.y.groupby(instances_of(each.y)).head(n)
        )
        for each, n in zip(data, (50, -10), strict=True)
    )
    assert (expected < 3).all(axis=None)  # in phase
    pd.testing.assert_frame_equal(found, expected)


def test_a_season_is_one_of_time_where_rows_are_missing():
    at = np.arange(120)
    noise = np.random.default_rng(0).normal(size=120)
    y = months(100 * np.sin(at * np.pi / 6) + noise)
    holed = y.drop(y.index[[20, 50, 80]])
    options = {"horizon": 6, "seasonal_period": 12, "n_folds": 1, "levels": [80]}
    given = {"forecaster": Repeat(1.0), **options}
    found, expected = (
        compare_naive(each, **given)[0].loc[0, "MASE"]
        for each in (holed, holed.reindex(y.index))
    )
    assert found == pytest.approx(expected)


def test_a_series_without_values_to_forecast_is_left_out():
    gone = walk(seed=3)
    gone[-9:] = np.nan
    y = panel(a=walk(), b=gone)
    with pytest.warns(UndefinedScoreWarning, match="9 of the 18"):
        found = mase_of(y, forecaster=Repeat())
    assert found == pytest.approx(mase_of(y.loc[["a"]], forecaster=Repeat()))
    with pytest.raises(InputError, match="all values to forecast are missing"):
        mase_of(y.loc[["b"]], forecaster=Repeat())


def test_errors_of_every_series():
    y = panel(b=walk(), a=walk(seed=3)).assign(z=np.arange(60.0) ** 2)
    comparison = compare_forecasters(y, {"zero": Repeat()}, horizon=3)
    errors = comparison.errors
    names = errors[["dataset", "forecaster", "id", "variate"]].to_numpy().tolist()
    series = [("a", "y"), ("a", "z"), ("b", "y"), ("b", "z")]
    assert names == [["data", "zero", *one] for one in series]
    means = errors[["MASE", "sMAPE", "MAE"]].mean()
    scores = comparison.scores.loc[0, ["MASE", "sMAPE", "MAE"]]
    pd.testing.assert_series_equal(scores.astype(float), means, check_names=False)
    alone = mase_of(y.loc[["b"]][["y"]], seasonal_period=12, forecaster=Repeat())
    assert errors.loc[2, "MASE"] == pytest.approx(alone)


# Constant; repeating, but for rounding; without any change in the first fold.
FLAT = {
    "constant": np.full(30, 3.0),
    "zero": np.zeros(30),
    "seasonal": np.sin(2 * np.pi * np.arange(30) / 2 + 1),
    "late": np.r_[np.zeros(20), np.ones(10)],
    "missing": np.r_[np.full(18, np.nan), walk(12)],
}


@pytest.mark.parametrize("flat", FLAT)
def test_mase_leaves_out_a_series_of_a_panel_that_does_not_change(flat):
    y = panel(a=walk(), b=FLAT[flat], c=walk(seed=3))
    words = r"1 of 3 series, .* one season \(2 steps\) beyond rounding: 'b'\. sMAPE"
    with pytest.warns(UndefinedScoreWarning, match=words) as caught:
        scores, _ = compare_naive(y, Repeat(), horizon=4, seasonal_period=2)
    assert len(caught) == 1
    expected = mase_of(y.drop("b"), 2, 4, Repeat())
    assert scores.loc[0, "MASE"] == pytest.approx(expected)
    tests = y.groupby(level="id").tail(12).abs().groupby(level="id").mean()
    assert scores.loc[0, "MAE"] == pytest.approx(tests["y"].mean())


def test_mase_leaves_out_columns_that_do_not_change():
    y = pd.DataFrame({"a": months(walk()), "b": months(np.full(30, 0.1))})
    with pytest.warns(UndefinedScoreWarning, match=r"1 of 2 .* one step .* column 'b'"):
        found = mase_of(y)
    assert found == pytest.approx(mase_of_naive(walk(), 3, 3, 1))
    first, second = walk(), walk(seed=3)
    y = panel(p=first, q=second, r=second).assign(z=np.r_[second, np.ones(30), first])
    with pytest.warns(UndefinedScoreWarning, match="1 of 6 .* column 'z' of 'q'"):
        found = mase_of(y)
    of = [mase_of_naive(values, 3, 3, 1) for values in (first, second)]
    assert found == pytest.approx(np.mean([*of, *of, of[1]]))


def test_mase_of_nullable_columns():
    y = pd.DataFrame({"a": months(walk()), "b": months(walk(seed=3))})
    expected = mase_of(y, forecaster=Repeat())
    nullable = y.astype("Float64")
    assert mase_of(nullable, forecaster=Repeat()) == pytest.approx(expected)
    with pytest.warns(UndefinedScoreWarning, match="1 of 3 .* column 'flat'"):
        found = mase_of(nullable.assign(flat=nullable["a"] * 0), forecaster=Repeat())
    assert found == pytest.approx(expected)


def test_the_warning_names_no_more_than_ten_series():
    y = panel(a=walk(), **{f"b{i:02}": np.ones(30) for i in range(12)})
    with pytest.warns(UndefinedScoreWarning, match="12 of 13 .*'b09' and 2 more"):
        mase_of(y)


@pytest.mark.parametrize("flat", FLAT)
def test_without_any_mase_nothing_is_fitted(flat):
    fails_if_fitted = Repeat(behavior="fail")
    words = "'y' has no MASE.* there is no change over .*another seasonal period"
    with pytest.raises(InputError, match=words):
        mase_of(months(FLAT[flat]), 2, 4, fails_if_fitted)
    y = panel(a=FLAT["constant"], b=FLAT[flat])
    with pytest.raises(InputError, match="none of the 2 series shows a change"):
        mase_of(y, 2, 4, fails_if_fitted)


@pytest.mark.parametrize("scale", [1e-20, 1e9])
def test_mase_does_not_depend_on_the_unit(scale):
    values = walk() * scale
    expected = mase_of_naive(values, 3, 3, 2)
    assert mase_of(months(values), 2) == pytest.approx(expected)


def test_hierarchies_keep_their_mase():
    parts = {"z": panel(b=walk(), a=walk(seed=3)), "k": panel(c=np.ones(30))}
    y = pd.concat(parts, names=["region", "id", "time"])
    with pytest.warns(UndefinedScoreWarning, match="1 of 3 series.*'k / c'"):
        found = mase_of(y, 2)
    of = [mase_of_naive(values, 3, 3, 2) for values in (walk(), walk(seed=3))]
    assert found == pytest.approx(np.mean(of))


@pytest.mark.parametrize(
    ("forecaster", "reason"),
    [
        (Repeat(behavior="fail"), "KeyError: 'no such thing'"),
        (Repeat(np.nan), "missing or infinite"),
        (Repeat(np.inf), "infin"),
    ],
)
def test_failure_is_raised_or_recorded(small, forecaster, reason):
    forecasters = {"bad": forecaster, "naive": naive()}
    with pytest.raises(RuntimeError, match=r"'bad'.*'small'") as caught:
        compare_forecasters(small, forecasters)
    assert reason in str(caught.value)
    assert caught.value.__cause__ is not None

    comparison = compare_forecasters(small, forecasters, on_error="record")
    scores = comparison.scores
    assert scores["forecaster"].tolist() == ["naive", "bad"]
    assert scores["error"].tolist()[0] == ""
    assert reason in scores["error"].tolist()[1]
    assert np.isfinite(scores.loc[0, "MASE"])
    assert scores.loc[1, ["MASE", "sMAPE", "MAE", "fit_seconds"]].isna().all()
    assert set(comparison.forecasts["forecaster"]) == {"naive"}


@pytest.mark.parametrize("on_error", ["raise", "record"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, *SETUP_ERRORS])
def test_what_would_fail_on_all_data_ends_the_comparison(small, error, on_error):
    with pytest.raises(error, match="of no use"):
        compare_forecasters(small, {"bad": Repeat(behavior=error)}, on_error=on_error)


def test_when_all_fail_there_are_no_forecasts(small):
    bad = Repeat(behavior="fail")
    scores, forecasts = compare_naive(small, bad, on_error="record")
    assert len(scores) == 1
    assert forecasts.empty
    assert "forecast" in forecasts.columns


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_folds": 10}, "'small' is too short: of 30 .* leave 0 .* at least 3"),
        ({"horizon": 9, "seasonal_period": 3}, "leave 3 to train on, .* at least 4"),
        ({"horizon": 10}, "too short"),
        ({"seasonal_period": 21}, "leave 21 .* at least 22"),
        ({"horizon": 0}, "horizon=0, expected an integer of at least 1, or None"),
        ({"seasonal_period": 0}, "seasonal_period=0, expected an integer"),
    ],
)
def test_parameters_out_of_range(small, change, words):
    with pytest.raises(InputError, match=words):
        compare_forecasters(small, {"naive": naive()}, **change)


@pytest.mark.parametrize("ids", [["a", "b"], [1, 2], [True, False]])
def test_categorical_ids(ids):
    y = pd.concat({key: months(walk(seed=seed)) for seed, key in enumerate(ids)})
    options = {"horizon": 3, "seasonal_period": 2}
    scores, forecasts = compare_naive(y.to_frame("y"), **options)
    categories = pd.CategoricalDtype([ids[1], "unused", ids[0]])
    y.index = y.index.set_levels(y.index.levels[0].astype(categories), level=0)
    found = compare_naive(y.to_frame("y"), **options)
    assert found[0].loc[0, "MASE"] == scores.loc[0, "MASE"]
    pd.testing.assert_frame_equal(found[1], forecasts)


@pytest.mark.parametrize(
    ("parts", "horizon", "message"),
    [
        ({"a": 30, None: 30}, 3, "'data', rows have no id"),
        ({"a": 40, "b": 7}, 2, "of 7 time points"),  # the shortest decides
        ({"a": 40}, None, "Give the horizon"),
    ],
)
def test_data_that_are_refused(parts, horizon, message):
    y = pd.concat({key: months(np.arange(n)).to_frame() for key, n in parts.items()})
    with pytest.raises(InputError, match=message):
        mase_of(y, horizon=horizon)


def test_data_without_a_name_of_their_own(small):
    for data in ([], [small, small]):
        with pytest.raises(InputError, match="at least one, each with its own name"):
            compare_forecasters(data, {"naive": naive()})


@pytest.mark.parametrize("forecasters", [{}, [naive()], lambda season: None])
def test_forecasters_must_have_names(small, forecasters):
    with pytest.raises(InputError, match="expected forecasters by name"):
        compare_forecasters(small, forecasters)


def test_unknown_forecaster_names_the_known_ones():
    with pytest.raises(InputError, match=r"'arima'.*auto-ets, auto-arima"):
        default_forecasters(12, ["naive", "arima"])
    with pytest.raises(InputError, match="none; expected some of calf"):
        default_forecasters(12, [])


def test_without_statsforecast_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(ImportError, match=re.escape("sktime-llm[baselines]")):
        default_forecasters(12, ["naive", "theta"])
    assert list(default_forecasters(12, ["naive"])) == ["naive"]


def test_season_reaches_the_forecasters():
    pytest.importorskip("statsforecast")
    names = STATISTICAL
    made = default_forecasters(24, names)
    assert list(made) == names
    assert [made[name].sp for name in names[:2]] == [1, 24]
    assert made["auto-arima"].sp == 24
    assert made["auto-ets"].season_length == made["theta"].season_length == 24
    # none so long is looked for by auto-arima
    made = default_forecasters(25, ["auto-arima", "auto-ets"])
    assert (made["auto-arima"].sp, made["auto-ets"].season_length) == (1, 25)


@pytest.mark.parametrize("n_variates", [1, 2])
def test_statistical_forecasters_run(n_variates):
    pytest.importorskip("statsforecast")
    y = load_dataset("us_change").y.iloc[-60:, :n_variates]
    names = STATISTICAL
    with warnings.catch_warnings():
        # statsforecast says where its optimizer did not converge.
        warnings.simplefilter("ignore", UserWarning)
        scores = compare_forecasters(
            y, lambda season: default_forecasters(season, names), horizon=4, n_folds=1
        ).scores
    assert sorted(scores["forecaster"]) == sorted(names)
    assert np.isfinite(scores["MASE"]).all()


def test_calf_takes_its_options():
    options = {"backbone": "tiny-random", "max_epochs": 1, "random_state": 0}
    forecaster = default_forecasters(12, ["calf"], **options)["calf"]
    assert forecaster.get_params().items() >= options.items()
    assert forecaster.get_params()["device"] == type(forecaster)().device


def test_ablations_of_calf_are_made_when_asked_for():
    pytest.importorskip("statsforecast")
    assert not {"calf-no-llm", "calf-random-llm"} & set(default_forecasters(12))
    made = default_forecasters(12, ["calf", "calf-random-llm", "calf-no-llm"])
    modes = {name: one.get_params()["backbone_mode"] for name, one in made.items()}
    assert list(modes.values()) == ["pretrained", "random", "none"]


def make_comparison(**columns):
    scores = pd.DataFrame(
        {
            "dataset": ["one", "one", "two", "two", "many", "many"],
            "forecaster": ["a", "b"] * 3,
            "n_variates": [1, 1, 1, 1, 5, 5],
            "MASE": [1.0, 2.0, 3.0, 1.0, 50.0, 60.0],
            "error": [""] * 6,
        }
    )
    return Comparison((), 3, scores.assign(**columns), EMPTY, EMPTY)


def test_mean_is_over_univariate_data_sets_only():
    means = make_comparison().mean_mase()
    assert means["forecaster"].tolist() == ["b", "a"]
    assert means["MASE"].tolist() == [1.5, 2.0]
    assert means["n_datasets"].tolist() == [2, 2]
    assert means["n_failed"].tolist() == [0, 0]
    means = make_comparison(n_variates=2).mean_mase()
    assert means.empty
    assert "MASE" in means.columns


def test_a_failure_leaves_no_mean():
    failed = {"MASE": [1.0, np.nan, 3.0, 1.0, 50.0, 60.0]}
    failed["error"] = ["", "Error: x", *[""] * 4]
    means = make_comparison(**failed).mean_mase()
    assert means["forecaster"].tolist() == ["a", "b"]
    assert np.isnan(means.loc[1, "MASE"])
    assert means["n_failed"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("mase", "sentence"),
    [
        ({"calf": 1.0, "naive": 0.92}, "calf is 2nd of 2; naive is 8 % better"),
        ({"calf": 1.0, "naive": 1.5}, "calf is 1st of 2; naive is 50 % worse"),
        ({"calf": 1.0, "naive": 1.0}, "calf is 1st of 2, level with naive"),
        ({"calf": 2.0, "a": 1.0, "b": 1.0}, "calf is 3rd of 3; a is 50 % better"),
        ({"calf": 1.0, "a": 0.999}, "calf is 2nd of 2; a is less than 1 % better"),
        ({"calf": 0.0, "a": 0.1}, "calf is 1st of 2; a is far worse"),
        ({"calf": 0.1, "a": 0.0}, "calf is 2nd of 2; a is 100 % better"),
        ({"calf": 1.0, "a": np.nan}, "calf is 1st of 1"),
        ({"calf": 99.0} | {str(i): 1.0 + i for i in range(11)}, "calf is 12th of 12; "),
    ],
)
def test_standings(mase, sentence):
    columns = {"forecaster": list(mase), "MASE": list(mase.values())}
    one = pd.DataFrame(columns).assign(dataset="one", n_variates=1, error="")
    one.loc[one["MASE"].isna(), "error"] = "Error: x"
    (found,) = Comparison((), 3, one, EMPTY, EMPTY).standings("one")
    assert found.startswith(sentence)
    two = pd.concat([one, one.assign(dataset="two")])
    (mean,) = Comparison((), 3, two, EMPTY, EMPTY).standings()
    assert mean == found


def test_standings_of_all_of_ours_and_of_none():
    comparison = make_comparison(forecaster=["llm-ts-net", "calf"] * 3)
    assert comparison.standings() == [
        "calf is 1st of 2; llm-ts-net is 33 % worse",
        "llm-ts-net is 2nd of 2; calf is 25 % better",
    ]
    assert comparison.standings("two", ["llm-ts-net", "theta"]) == [
        "llm-ts-net is 2nd of 2; calf is 67 % better"
    ]
    assert make_comparison().standings() == []


def with_prices(n=60, ids=("a", "b")):
    """Return series that are ten times a price, and the price, longer and shuffled."""
    rng = np.random.default_rng(0)
    months = pd.period_range("2015-01", periods=n + 5, freq="M", name="month")
    index = pd.MultiIndex.from_product([ids, months], names=["shop", "month"])
    X = pd.DataFrame({"price": rng.normal(5, 1, len(index))}, index)
    y = 10 * X.groupby("shop").head(n).rename(columns={"price": "units"})
    return y, X.sample(frac=1, random_state=0)


def test_covariates_reach_the_forecasters_that_take_them():
    pytest.importorskip("statsforecast")
    y, X = with_prices()
    forecasters = default_forecasters(1, ["naive", "auto-arima"])
    options = {"horizon": 3, "seasonal_period": 1}
    with pytest.warns(errors.UnusedCovariatesWarning, match=r"without them: naive\."):
        found = compare_forecasters(y, forecasters, X=X, **options).scores
    scores = found.set_index("forecaster")["MASE"]
    assert scores["auto-arima"] < 0.01
    assert scores["naive"] > 0.5
    one, of_one = y.loc["a"]["units"], X.loc["a"].sort_index()
    single = compare_forecasters(
        Dataset("one", one, 1, 3, of_one), {"it": forecasters["auto-arima"]}
    )
    assert single.scores["MASE"].item() < 0.01


@pytest.mark.parametrize(
    ("X", "error"),
    [
        (lambda X: X.iloc[1:], "no row, or more than one, at"),
        (lambda X: pd.concat([X, X.iloc[:1]]), "no row, or more than one, at"),
        (lambda X: X["price"], "(?s)^X=.*, expected a pandas.DataFrame of"),
        (lambda X: X.droplevel(0), "no row, or more than one, at"),
        (
            lambda X: X.set_index(
                X.index.set_levels(X.index.levels[-1].to_timestamp(), level=-1)
            ),
            "index of X is of datetimes without a time zone, that of y of periods",
        ),
    ],
)
def test_covariates_that_do_not_go_with_the_data(X, error):
    y, prices = with_prices(ids=("a",))
    given = X(prices.sort_index())
    with pytest.raises(InputError, match=error):
        compare_forecasters(y, {"it": Repeat()}, X=given, horizon=3, seasonal_period=1)


def test_covariates_of_a_data_set_are_its_own():
    y, X = with_prices()
    with pytest.raises(InputError, match="Got X beside a Dataset"):
        compare_forecasters(Dataset("shops", y, 1, 3), {"it": Repeat()}, X=X)


def test_covariates_known_in_the_past_only_stay_hidden_in_a_comparison():
    y, X = with_prices(ids=("a",))
    small = {"backbone": "tiny-random", "max_epochs": 2, "random_state": 0}
    small |= {"context_length": 8, "intervals": None, "verbose": 0}
    options = {"horizon": 3, "seasonal_period": 1, "n_folds": 1}
    scores = []
    for past in ([], ["price"]):
        forecaster = CALFForecaster(past_covariates=past, **small)
        for change in (0, 5):
            given = X.copy()
            given.loc[y.index[-3:], "price"] += change
            found = compare_forecasters(y, {"it": forecaster}, X=given, **options)
            scores.append(found.scores["MASE"].item())
    assert scores[0] != scores[1]
    assert scores[2] == scores[3]
