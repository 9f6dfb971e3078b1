"""New rows in update: gaps, earlier rows, refusals; and where forecasts then begin."""

import copy

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.naive import NaiveForecaster
from sktime.split import ExpandingWindowSplitter

from sktime_llm.errors import (
    ClippedParameterWarning,
    ConstantSeriesWarning,
    EmptySeriesWarning,
    InputError,
    LaterRowsDroppedWarning,
)
from sktime_llm.forecasting._inspecting import contexts as contexts_of_given
from sktime_llm.text.describers import TemplateDescriber
from sktime_llm.training import trainer

from .common import FORECASTERS, each_forecaster, make_panel, make_series

FH = [1, 2, 3, 4]
make_net = FORECASTERS["llm-ts-net"]

INDICES = {
    "range": pd.RangeIndex(5, 65),
    "period": pd.period_range("2000-01", periods=60, freq="M"),
    "datetime": pd.date_range("2000-01-01", periods=60, freq="MS"),
    "datetime without freq": pd.DatetimeIndex(
        pd.date_range("2000-01-01", periods=60, freq="D").to_numpy()
    ),
}
taken_back = pytest.mark.filterwarnings(
    "ignore::sktime_llm.errors.LaterRowsDroppedWarning"
)
each_index = pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)


@each_index
@pytest.mark.parametrize("name", ["calf", "balm-tsf"])
def test_a_refused_update_changes_nothing(name, index):
    make = FORECASTERS[name]
    y = make_series(index=index)
    forecaster = make().fit(y[:40])
    before, cutoff = forecaster.predict(fh=FH), forecaster.cutoff
    message = (
        rf"^y begins at {y.index[43]} in update, but the last row known is of "
        rf"{y.index[39]}; expected {y.index[40]}. Give the 3 row\(s\) between"
    )
    with pytest.raises(InputError, match=message):
        forecaster.update(y[43:50])
    with pytest.raises(InputError, match=r"columns \['z'\] now; fit saw \['y0'\]"):
        forecaster.update(y[40:45].rename(columns={"y0": "z"}))
    assert (forecaster.cutoff == cutoff).all()
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), before)
    forecaster.update(y[40:45], update_params=False)
    assert forecaster.cutoff[0] == y.index[44]
    assert forecaster.predict(fh=[1]).index[0] == y.index[45]


@each_forecaster
@each_index
@taken_back
def test_update_with_earlier_rows_forecasts_from_their_end(make, index):
    y = make_series(index=index)
    forecaster = make().fit(y[:50])
    naive = NaiveForecaster().fit(y[:50])
    for rows in (slice(40, 46), slice(44, 47), slice(0, 20), slice(20, 50)):
        forecaster.update(y[rows], update_params=False)
        naive.update(y[rows], update_params=False)
        assert forecaster.cutoff[0] == y.index[rows.stop - 1]
        expected = naive.predict(fh=FH).index
        assert forecaster.predict(fh=FH).index.equals(expected)
    # the rows that a context needs decide
    pd.testing.assert_frame_equal(
        forecaster.predict(fh=FH), make().fit(y[:50]).predict(fh=FH)
    )


@each_forecaster
@pytest.mark.parametrize(
    ("index", "advice"),
    [
        (pd.RangeIndex(60), r"number them from 50 on, .* pd\.RangeIndex\(50, 55\)"),
        (INDICES["datetime"], "give all rows up to the latest one, or fit again"),
        (INDICES["period"], "give all rows up to the latest one, or fit again"),
    ],
    ids=["integers", "datetimes", "periods"],
)
@pytest.mark.parametrize("keep_past", [True, False])
def test_later_rows_that_an_update_drops_are_told_of(make, index, advice, keep_past):
    y = make_series(index=index)
    forecaster = make(max_epochs=1).fit(y[:50])
    first = 5
    if not keep_past:
        forecaster._known = forecaster._known.without_past()
        first = 50 - len(forecaster._known.rows)
    expected = (
        rf"^y ends at {index[4]} in update, before the last row known; {50 - first} "
        rf"later row\(s\), from {index[first]} to {index[49]}, are dropped.*{advice}"
    )
    with pytest.warns(LaterRowsDroppedWarning, match=expected):
        forecaster.update(y[:5], update_params=False)
    forecaster.update(y[:10], update_params=False)  # goes on from there


@each_forecaster
def test_later_rows_that_are_dropped_of_a_panel(make):
    y = make_panel((40, 40, 40))
    forecaster = make(max_epochs=1).fit(y.drop(y.loc[["s0"]].index[35:]))
    back = pd.concat([y.loc[["s0"]][:38], y.loc[["s1"]][:30], y.loc[["s2"]][:35]])
    message = r"^y \(series 's1'\) ends at 2002-06 .* 15 later row\(s\) of 2 series"
    with pytest.warns(LaterRowsDroppedWarning, match=message):
        forecaster.update(back, update_params=False)
    assert len(forecaster._known.past) == 38 + 30 + 35


@each_forecaster
@taken_back
def test_update_predict_of_all_rows_that_fit_saw(make):
    y = make_series()
    cv = ExpandingWindowSplitter(initial_window=30, step_length=20, fh=[1])
    forecaster, naive = make().fit(y), NaiveForecaster().fit(y)
    forecast = forecaster.update_predict(y, cv=cv, update_params=False)
    expected = naive.update_predict(y, cv=cv, update_params=False)
    assert forecast.index.equals(expected.index)
    alone = make().fit(y).update(y[:30], update_params=False).predict(fh=[1])
    pd.testing.assert_frame_equal(forecast.iloc[:1], alone, check_freq=False)


@each_forecaster
@pytest.mark.parametrize("freq", ["D", "MS", "B", "h"])
def test_absolute_horizon_with_gaps_of_a_datetime_panel(make, freq):
    times = pd.date_range("2020-01-01", periods=45, freq=freq)
    y = make_panel((40, 40), index=times[:40])
    expected = make().fit(y).predict(fh=[1, 3])
    forecast = make().fit(y).predict(fh=times[[40, 42]])
    pd.testing.assert_frame_equal(forecast, expected)
    pd.testing.assert_frame_equal(
        make(prediction_length=3).fit(y, fh=times[[40, 42]]).predict(), expected
    )


@each_forecaster
@pytest.mark.parametrize("of_series", [True, False])
def test_update_predict_single_keeps_the_format(make, of_series):
    y = make_series()["y0"] if of_series else make_panel()
    new = y[50:] if of_series else y.groupby(level=0).tail(3)
    old = y.drop(new.index)
    expected = make(max_epochs=1).fit(old, fh=FH).update(new).predict()
    forecast = make(max_epochs=1).fit(old, fh=FH).update_predict_single(new)
    assert type(forecast) is type(y)
    testing = pd.testing
    same = testing.assert_series_equal if of_series else testing.assert_frame_equal
    same(forecast, expected)


@each_forecaster
@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize("of_panel", [False, True])
def test_rows_before_the_first_known_one_are_refused(make, missing, of_panel):
    y = make_panel((40, 40)) if of_panel else make_series(40)
    times = y.index.get_level_values(-1)
    forecaster = make(max_epochs=1, missing=missing).fit(y[times > times.min()])
    expected = forecaster.predict(fh=[1])
    of = r" \(series 's0'\)" if of_panel else ""
    message = rf"^y{of} begins at 2000-01 in update, .* known, of 2000-02; expected"
    with pytest.raises(InputError, match=message):
        forecaster.update(y, update_params=False)
    pd.testing.assert_frame_equal(forecaster.predict(fh=[1]), expected)


@each_index
def test_steps_left_out_are_missing_values(index):
    y = make_series(index=index.rename("t"))
    left_out = (
        make_net(missing="mask").fit(y[:40]).update(y[43:50], update_params=False)
    )
    missing = y.copy()
    missing.iloc[40:43] = np.nan
    given = make_net().fit(y[:40]).update(missing[40:50], update_params=False)
    pd.testing.assert_frame_equal(left_out.predict(fh=FH), given.predict(fh=FH))
    labels = left_out.predict(fh=[1]).index
    assert (labels[0], labels.name, labels.dtype) == (y.index[50], "t", y.index.dtype)


@each_forecaster
@pytest.mark.parametrize("known", [True, False])
def test_few_business_days_are_not_taken_for_days(make, known):
    index = pd.date_range("2024-01-01", periods=60, freq="B")
    y = make_series(index=index if known else index._with_freq(None))
    forecaster = make(max_epochs=1).fit(y[:50]).update(y[50:53])  # Monday to Wednesday
    for fh in ([1, 2, 3], index[53:56], index[53:56]._with_freq(None)):
        assert list(forecaster.predict(fh=fh).index) == list(index[53:56])


def test_steps_left_out_of_a_panel():
    y = make_panel((40, 30), n_columns=2)
    later = y.groupby(level=0).tail(4)
    forecaster = make_net(missing="mask").fit(y.drop(y.groupby(level=0).tail(7).index))
    forecaster.update(later.rename_axis(["a", "b"]))
    forecast = forecaster.predict(fh=FH)
    assert forecast.notna().all(axis=None)
    assert list(forecast.index.names) == ["series", "time"]  # as in fit
    assert len(forecaster.history_[forecaster.history_["stage"] == "update"]) == 1


@pytest.mark.parametrize(("n_hidden", "standardize"), [(8, True), (14, False)])
def test_a_gap_as_long_as_the_context_leaves_the_last_value(n_hidden, standardize):
    # a trend, so that the last value is far from the mean
    y = make_series(n_rows=120) + np.arange(120.0)[:, None]
    y.iloc[-n_hidden:] = np.nan
    last = y["y0"].dropna().iloc[-1]
    forecaster = make_net(standardize=standardize, max_epochs=4).fit(y)
    assert (forecaster.predict(fh=FH)["y0"] - last).abs().max() < 25
    # known however late the gap began, and over updates
    again = make_net(standardize=standardize, max_epochs=4).fit(y[:-n_hidden])
    for i in range(len(y) - n_hidden, len(y)):
        again.update(y[i : i + 1], update_params=False)
    assert (again.predict(fh=FH)["y0"] - last).abs().max() < 25


def test_contexts_that_are_inspected_know_what_was_before():
    y = make_series(n_rows=120, n_columns=2) + np.arange(120.0)[:, None]
    y.iloc[-9:, 0] = np.nan
    forecaster = make_net().fit(y)
    known = forecaster._known.scalings[None].apply(y.ffill().to_numpy())
    for given in (None, y):
        contexts, _ = contexts_of_given(forecaster, given, 3)
        last = contexts.last_observed[0].tolist()
        assert last == pytest.approx(known[111], rel=1e-6)
        assert contexts.values.isnan().any()
    whole, labels = contexts_of_given(forecaster, y[:100], 3)
    assert whole.last_observed is None
    assert len(labels) == 2 * len(whole.values)


@pytest.mark.parametrize("in_update", [False, True])
def test_a_column_that_begins_late_has_its_scale_and_spoils_no_other(in_update):
    y = make_series(n_rows=120, n_columns=2)
    y["y1"] *= 1000
    if in_update:
        hidden = y.assign(y1=np.nan)
        with pytest.warns(EmptySeriesWarning, match="'y1'"):
            forecaster = make_net(max_epochs=4).fit(hidden[:100])
        forecaster.update(y[100:], update_params=False)
    else:
        y.iloc[:115, 1] = np.nan
        forecaster = make_net(max_epochs=4).fit(y)
        scaling = forecaster._known.scalings[None]
        assert scaling.loc[1] == pytest.approx(y["y1"].mean())
    forecast = forecaster.predict(fh=FH)
    assert forecast["y0"].between(0, 20).all()
    assert forecast["y1"].between(3000, 20000).all()


def test_a_new_series_without_values_is_told_of():
    y = make_panel((40, 30))
    forecaster = make_net().fit(y.loc[["s0"]])
    later = pd.concat([y.loc[["s0"]].tail(3), y.loc[["s1"]] * np.nan])
    with pytest.warns(EmptySeriesWarning, match="1 of 1 variates .* of series 's1'"):
        forecaster.update(later)
    assert forecaster.predict(fh=[1]).notna().all(axis=None)


@pytest.mark.parametrize("name", [*FORECASTERS, "with gaps"])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(name, scale):
    y, settings = make_series(n_columns=2), {}
    make = FORECASTERS.get(name, make_net)
    if make is not FORECASTERS["calf"] and make is not FORECASTERS["balm-tsf"]:
        settings["text_fusion"] = False  # descriptions tell numbers
    if name == "with gaps":
        settings["uncertainty"] = True
        y = y.mask(np.random.default_rng(0).random((60, 2)) < 0.3)
    for settings["standardize"] in (True, False):
        one, scaled = (make(**settings).fit(y * unit) for unit in (1.0, scale))
        pd.testing.assert_frame_equal(
            scaled.predict(fh=FH) / scale, one.predict(fh=FH), rtol=1e-3
        )
        if name == "with gaps":
            variance = scaled.predict_var(fh=FH) / scale**2
            pd.testing.assert_frame_equal(variance, one.predict_var(fh=FH), rtol=1e-3)


def make_trend(n_rows=130):
    y = make_series(n_rows, n_columns=2, index=pd.RangeIndex(n_rows, name="t"))
    return y + np.arange(n_rows)[:, None]


@taken_back
@pytest.mark.parametrize(
    ("hidden_from", "fitted", "rows"),
    [
        (60, 120, slice(120, 121)),
        (60, 120, slice(100, 121)),  # rows that begin before those that are kept
        (90, 120, slice(100, 112)),  # and take the forecaster back
        (90, 120, slice(118, 130)),
    ],
)
def test_what_was_observed_before_a_gap_is_known_after_any_update(
    hidden_from, fitted, rows
):
    y = make_trend()
    y.iloc[hidden_from:, 0] = np.nan
    last = y["y0"].dropna().iloc[-1]
    forecaster = make_net().fit(y[:fitted]).update(y[rows], update_params=False)
    forecast = forecaster.predict(fh=[1])
    assert forecast.index.tolist() == [rows.stop]
    assert abs(forecast.iloc[0, 0] - last) < 10
    whole = make_net().fit(y[:fitted])
    whole.update(y[: rows.stop], update_params=False)
    pd.testing.assert_frame_equal(forecast, whole.predict(fh=[1]))


@taken_back
def test_what_was_observed_later_is_not_known_after_going_back():
    y = make_trend()
    y.iloc[:70, 0] = y.iloc[100:, 0] = np.nan
    forecaster = make_net().fit(y).update(y[40:60], update_params=False)
    assert np.isnan(forecaster._known.last_observed[None].values[0])


def test_steps_left_out_by_some_series_of_a_hierarchy():
    parts = {
        (region, shop): make_series(40, index=pd.RangeIndex(40))
        for region in ("n", "s")
        for shop in (1, 2)
    }
    y = pd.concat(parts, names=["region", "shop", "time"])
    forecaster = make_net().fit(y[y.index.get_level_values(-1) < 30])
    times = y.index.get_level_values(-1)
    late = (y.index.get_level_values(0) == "n") & (times >= 33)
    forecaster.update(y[late | ((times >= 30) & (times < 35) & ~late)])
    ends = forecaster.predict(fh=[1]).reset_index().groupby("region")["time"].unique()
    assert ends["n"].tolist() == [40]
    assert ends["s"].tolist() == [35]


def test_a_refused_update_leaves_the_cutoff_of_a_panel():
    y = make_panel((40, 40), index=pd.RangeIndex(40))
    times = y.index.get_level_values(-1)
    forecaster = FORECASTERS["calf"]().fit(y[times < 20])
    forecaster.update(y.loc[["s0"]][20:30], update_params=False)
    forecaster.update(y.loc[["s1"]][20:25], update_params=False)
    assert forecaster.cutoff[0] == 24
    with pytest.raises(InputError, match=r"^y \(series 's1'\) begins at 35"):
        forecaster.update(y.loc[["s1"]][35:])
    assert forecaster.cutoff[0] == 24


def test_an_update_interrupted_while_describing_changes_nothing(monkeypatch):
    y = make_panel((40, 30), index=None)
    forecaster = make_net().fit(y.loc[["s0"]][:30])
    before, cutoff = forecaster.predict(fh=FH), forecaster.cutoff

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(TemplateDescriber, "_describe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        forecaster.update(pd.concat([y.loc[["s0"]][30:], y.loc[["s1"]]]))
    assert forecaster.cutoff.equals(cutoff)
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), before)


def test_rows_that_are_not_on_the_steps_are_irregular():
    y = make_series(60, index=pd.date_range("2020-01-01", periods=60, freq="2D"))
    later = y[43:50].set_axis(y.index[43:50] + pd.Timedelta(days=1))
    for name in FORECASTERS:
        forecaster = FORECASTERS[name]().fit(y[:40])
        with pytest.raises(InputError, match=r"has 2020-03-28 .* frequency '2D'"):
            forecaster.update(later)


@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize(
    ("freq", "later"),
    [
        ("B", ["2024-01-27"]),  # a Saturday, after 20 business days
        ("D", ["2024-01-20 12:00", "2024-01-21"]),
        ("D", ["2024-01-20 12:00", "2024-01-21 12:00", "2024-01-22 12:00"]),
        ("MS", ["2025-09-02"]),
        ("SMS", ["2024-11-02"]),
    ],
)
def test_rows_off_the_frequency_of_fit_are_refused(freq, later, missing):
    y = make_series(20, index=pd.date_range("2024-01-01", periods=20, freq=freq))
    # few rows are kept, so that with the new ones they may tell another frequency
    settings = {"context_length": 2, "prediction_length": 1, "missing": missing}
    forecaster = FORECASTERS["calf"](**settings).fit(y)
    expected = forecaster.predict(fh=FH)
    new = make_series(len(later), index=pd.DatetimeIndex(later))
    with pytest.raises(InputError, match=rf"^y has {later[0]}.* the frequency '{freq}"):
        forecaster.update(new)
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected)


HOLIDAYS = pd.offsets.CustomBusinessDay(holidays=["2024-01-10", "2024-03-06"])


@pytest.mark.parametrize("freq", ["SMS", "2B", HOLIDAYS], ids=str)
@pytest.mark.parametrize("panel", [False, True])
def test_rows_on_a_frequency_that_times_do_not_tell(freq, panel):
    index = pd.date_range("2024-01-01", periods=60, freq=freq)
    y = make_series(index=index)
    forecaster = FORECASTERS["calf"](missing="mask")
    old, new = y[:50], y[52:55].set_axis(pd.DatetimeIndex(list(index[52:55])))
    if panel:
        old, new = pd.concat({"a": old}), pd.concat({"a": new})
    forecaster.fit(old).update(new, update_params=False)
    assert forecaster._known.past["y0"].isna().sum() == 2
    forecast = forecaster.predict(fh=[-1, 0, 1, 2])
    assert forecast.index.get_level_values(-1).tolist() == list(index[53:57])
    if not panel:  # of the rows that are known, whose index lost its frequency
        assert forecaster.inspect_alignment() is not None


@each_forecaster
@taken_back
@pytest.mark.parametrize("rows", [slice(105, 110), slice(50, 55), slice(100, 101)])
def test_an_update_that_goes_back_keeps_the_context(make, rows):
    y = make_series(120, index=pd.RangeIndex(120))
    settings = {"context_length": 24, "max_epochs": 1}
    forecaster, whole = (make(**settings).fit(y) for _ in range(2))
    forecaster.update(y[rows], update_params=False)
    whole.update(y[: rows.stop], update_params=False)
    pd.testing.assert_frame_equal(forecaster._known.rows, whole._known.rows)
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), whole.predict(fh=FH))


@each_forecaster
@taken_back
def test_one_series_of_a_panel_that_goes_back_keeps_its_context(make):
    y = make_panel((60, 60), index=pd.RangeIndex(60))
    forecaster, whole = (make(context_length=24).fit(y) for _ in range(2))
    forecaster.update(y.loc[["s1"]][30:34], update_params=False)
    whole.update(y.loc[["s1"]][:34], update_params=False)
    forecast = forecaster.predict(fh=[1])
    pd.testing.assert_frame_equal(forecast, whole.predict(fh=[1]))
    assert forecast.index.tolist() == [("s0", 60), ("s1", 34)]


def test_a_context_that_is_lost_is_told_of(tmp_path):
    y = make_series(60)
    forecaster = FORECASTERS["calf"]().fit(y)
    kept, lost = (
        FORECASTERS["calf"]().from_pretrained(
            forecaster.save_pretrained(tmp_path / str(keep), keep_past=keep)
        )
        for keep in (True, False)
    )
    with pytest.warns(LaterRowsDroppedWarning, match=r"last row of an update\. If"):
        kept.update(y[40:42], update_params=False)
    message = "saved without its past, rows before those kept are lacking"
    with pytest.warns(LaterRowsDroppedWarning, match=message):
        lost.update(y[40:42], update_params=False)


@pytest.mark.parametrize("panel", [False, True])
@pytest.mark.parametrize("end", [52, 45])
@taken_back
def test_values_that_an_update_lacks_remain_however_old(end, panel):
    y = make_series(60, index=pd.RangeIndex(60))
    new = y[20:end].copy()
    new.iloc[[3, 22]] = np.nan
    new.iloc[5] = 99.0
    expected = y[:end].copy()
    expected.iloc[25] = 99.0
    old = y[:50]
    if panel:
        old, new, expected = (pd.concat({"a": each}) for each in (old, new, expected))
    forecaster = FORECASTERS["calf"]().fit(old).update(new, update_params=False)
    pd.testing.assert_frame_equal(
        forecaster._known.past, expected, check_names=False, check_index_type=False
    )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_do_not_matter_where_the_training_part_stands_still(scale):
    values = np.full(100, 7.0)
    values[85:] += 3 * np.sin(np.arange(15.0))
    y = pd.DataFrame({"y0": values * scale})
    forecaster = FORECASTERS["calf"](standardize=False, validation_fraction=0.15)
    forecast = forecaster.fit(y).predict(fh=FH) / scale
    assert forecast["y0"].between(0, 14).all()


@each_forecaster
@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_units_do_not_matter_where_only_the_last_rows_vary(make, unit):
    values = np.full(100, 7.0)
    values[85:] += 3 * np.sin(np.arange(15.0))
    y = pd.DataFrame({"y0": values})
    options = {"calibration_fraction": 0.2, "validation_fraction": 0.0}
    one, other = make(**options).fit(y), make(**options).fit(y * unit)
    expected, found = one.predict(fh=FH), other.predict(fh=FH) / unit
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    expected, found = one.predict_interval(fh=FH), other.predict_interval(fh=FH) / unit
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@each_forecaster
@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_units_do_not_matter_where_a_series_stands_still(make, unit):
    y = make_panel()
    y.loc["s2"] = 0.0
    with pytest.warns(ConstantSeriesWarning):
        one, other = make().fit(y), make().fit(y * unit)
    np.testing.assert_allclose(
        other.predict(fh=FH) / unit, one.predict(fh=FH), rtol=1e-3, atol=1e-4
    )
    new = pd.concat({"new": make_series(1)}, names=["series", "time"])
    for forecaster, factor in ((one, 1.0), (other, unit)):
        forecaster.update(new * factor, update_params=False)
    np.testing.assert_allclose(
        other.predict(fh=FH) / unit, one.predict(fh=FH), rtol=1e-3, atol=1e-4
    )


@each_forecaster
def test_nothing_is_forecast_from_no_value(make, tmp_path):
    folder = make().pretrain(make_panel()).save_pretrained(tmp_path / "pretrained")
    zero_shot = make(checkpoint=folder, fine_tune_epochs=0)
    with pytest.raises(InputError, match="y has no value: all of its 60 rows are NaN"):
        zero_shot.fit(make_series() * np.nan)
    y = make_panel()
    y.loc["s1"] = np.nan
    with pytest.warns(EmptySeriesWarning, match="1 of 3 variates .* series 's1'"):
        zero_shot.fit(y)


def test_descriptions_are_of_all_rows_if_all_train():
    y = make_series(100)
    y.iloc[:70] = np.nan
    with pytest.warns(ClippedParameterWarning, match="70% of all values are missing"):
        forecaster = make_net(validation_fraction=0.3, n_descriptions=2).fit(y)
    assert "All values are missing" not in forecaster.descriptions_.iloc[0]
    assert forecaster.history_["validation_loss"].isna().all()


def test_a_column_that_is_not_seen_for_long_keeps_its_level():
    y = make_trend()
    y["y1"] = 1e6
    y.iloc[100:, 1] = np.nan
    forecaster = make_net().fit(y[:100])
    for rows in (slice(100, 115), slice(115, 130)):
        forecaster.update(y[rows], update_params=False)
    assert forecaster._known.scalings[None].loc[1] == 1e6
    assert forecaster.predict(fh=FH)["y1"].between(0.999e6, 1.001e6).all()


@each_forecaster
@pytest.mark.parametrize("zone", ["Etc/UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("panel", [False, True])
def test_the_same_moments_in_another_time_zone(make, zone, panel):
    hours = pd.date_range("2020-01-01", periods=60, freq="h", tz="UTC")
    y = make_series(index=hours)
    converted = y.tz_convert(zone)
    old, new = y[:50], converted[50:53]
    if panel:
        old, new = pd.concat({"a": old}), pd.concat({"a": new})
    forecast = make().fit(old).update(new).predict(fh=[1])
    assert forecast.index.get_level_values(-1)[0] == hours[53]
    assert str(forecast.index.get_level_values(-1).tz) == "UTC"


@pytest.mark.parametrize("given", [None, {"s0": "rises", "s1": "falls", "s2": "flat"}])
def test_an_update_that_fails_with_a_new_series_can_be_repeated(given, monkeypatch):
    y, more = make_panel(lengths=(40, 40)), make_panel(lengths=(44, 44, 20))
    new = more[~more.index.isin(y.index)]
    texts = None if given is None else {key: given[key] for key in ("s0", "s1")}
    forecaster = make_net(descriptions=texts).fit(y)
    forecaster.descriptions = given
    expected = copy.deepcopy(forecaster).update(new)
    before = forecaster.descriptions_.copy()

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer._Run, "train_step", fail)
    with pytest.raises(KeyboardInterrupt):
        forecaster.update(new)
    monkeypatch.undo()
    pd.testing.assert_series_equal(forecaster.descriptions_, before)
    forecaster.update(new)
    pd.testing.assert_series_equal(forecaster.descriptions_, expected.descriptions_)
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected.predict(fh=FH))
