"""Each kind of bad input, and what the message says."""

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm.errors import (
    BackboneNotFoundError,
    ClippedParameterWarning,
    ColumnTypeError,
    ConstantSeriesWarning,
    DivergingForecastWarning,
    ForecastDivergedError,
    InputError,
    OutlierWarning,
    SeriesTooShortError,
    ShortSeriesWarning,
)

from .common import each_forecaster, make_panel, make_series

pytestmark = each_forecaster


def series_with(value, row=7, column=0):
    y = make_series(n_columns=2)
    y.iloc[row, column] = value
    return y


def panel_with(value):
    y = make_panel()
    y.loc["s1"] = np.where(np.arange(30)[:, None] == 3, value, y.loc["s1"])
    return y


def repeated(index):
    return index[:-1].append(index[-2:-1])


def each_month(day, start):
    """A day of each month, or the last where the month is shorter."""
    months = pd.period_range(start, periods=60, freq="M")
    first = [m.start_time.replace(day=min(day, m.days_in_month)) for m in months]
    return pd.DatetimeIndex(first)


HOURS = pd.date_range("2000-01-01", periods=60, freq="h")
AUTUMN = pd.date_range("2000-10-28", periods=60, freq="h", tz="Europe/Berlin")
AUTUMN = AUTUMN.tz_localize(None)  # as clocks show it: an hour comes twice
LATE = HOURS[:40].append(HOURS[40:41] + pd.Timedelta("1min")).append(HOURS[41:])
NOT_REGULAR = r"not regular: .* follows .* \(rows 19 and 20\)"
INDEXES = [
    (pd.period_range("2000-01", periods=61, freq="M").delete(20), NOT_REGULAR),
    (pd.date_range("2000-01-01", periods=61, freq="D").delete(20), NOT_REGULAR),
    (pd.Index(np.arange(61)).delete(20), NOT_REGULAR),
    (LATE, r"\(rows (39 and 40|40 and 41)\)"),
    (repeated(make_series().index), "more than once|monoton"),
    (AUTUMN, r"2000-10-29 02:00:00 more than once.* If clocks .* offset from UTC\."),
    (AUTUMN.to_period("h"), r"2000-10-29 02:00 more than once.* If clocks were set"),
    (HOURS[:59].append(HOURS[58:59]).tz_localize("UTC"), r"once. Agg.* first\.$"),
    (each_month(15, "2001-01"), r"use y\.to_period\('M'\)"),
    (each_month(29, "2001-03"), r"use y\.to_period\('M'\)"),
    (each_month(29, "2001-01"), r"use y\.to_period\('M'\)"),
    (pd.timedelta_range("0D", periods=60), "is a TimedeltaIndex .* expected date"),
]
REFUSED = [
    (series_with(np.inf, row=9, column=1), "1 value.*inf in column 'y1' at 2000-10"),
    (panel_with(-np.inf), "series 's1'.*-inf in column 'y0'"),
    (make_series() * 0 + 4, r"each of its 60 rows is \[4.0\]"),
    (make_series()[[]], "y has 0 columns, expected at least 1"),
    (make_series() * 1e200, r"in column 'y0' at .*at most 1e\+150"),
    (make_series(level=0.0) * 1e-160, "varies by .*e-160 .* a smaller unit"),
    *((make_series(index=index), message) for index, message in INDEXES),
]


class TestData:
    @pytest.mark.parametrize(("y", "message"), REFUSED)
    def test_series_that_are_refused(self, make, y, message):
        with pytest.raises(InputError, match=message):
            make().fit(y)

    @pytest.mark.parametrize("n_rows", [1, 3])
    def test_too_short_to_train(self, make, n_rows):
        message = rf"has {n_rows} row\(s\), expected at least 4:"
        with pytest.raises(SeriesTooShortError, match=message):
            make(prediction_length=3).fit(make_series(n_rows))

    def test_text_column(self, make):
        y = make_series(n_columns=2).assign(y1="text")
        with pytest.raises(TypeError, match=r"not numbers: \{'y1': '(object|str)'\}"):
            make().fit(y)

    @pytest.mark.parametrize("value", [1.0, 0.1])  # rounding is not variation
    def test_some_constant_series(self, make, value):
        y = make_panel()
        y.loc["s2"] = value
        with pytest.warns(ConstantSeriesWarning, match=r"1 of 3 series.*'s2'"):
            forecaster = make().fit(y)
        assert 0 < forecaster._known.scalings["s2"].scale[0] < value
        assert np.isfinite(forecaster.predict(fh=[1]).to_numpy()).all()

    @pytest.mark.parametrize(
        ("fraction", "n_validation", "room", "context"),
        [(None, 0, 27, 14), (0.2, 6, 21, 11)],
    )
    def test_shorter_than_the_context(
        self, make, fraction, n_validation, room, context
    ):
        message = rf"=50 does not fit: of the 30 rows .* {n_validation} are for "
        message += (
            rf"validation and 3 for .* leaves {room}\. It is clipped to {context}"
        )
        with pytest.warns(ClippedParameterWarning, match=message):
            forecaster = make(context_length=50, validation_fraction=fraction).fit(
                make_series(n_rows=30)
            )
        assert forecaster.context_length_ == context
        assert len(forecaster.predict(fh=[1, 2])) == 2

    def test_short_series_in_a_panel(self, make):
        y = make_panel(lengths=(40, 6))
        message = r"1 of 2 series have fewer than the 11 rows.*'s1' with 6"
        with pytest.warns(ShortSeriesWarning, match=message):
            forecast = make().fit(y).predict(fh=[1])
        assert len(forecast) == 2

    def test_a_single_short_series_after_pretraining(self, make):
        pretrained = make().pretrain(make_panel(lengths=(40, 40)))
        message = r"^y has 6 rows, fewer than the 11 rows .*; it is padded"
        with pytest.warns(ShortSeriesWarning, match=message):
            forecast = pretrained.fit(make_series(n_rows=6)).predict(fh=[1])
        assert np.isfinite(forecast.to_numpy()).all()

    @pytest.mark.parametrize(
        ("index", "message"),
        [
            (
                pd.date_range("2020-01-10", periods=20, freq="h"),
                r"'b'\) has 2020-01-10 01:00:00 in row 1, expected 2020-01-11 .*'D'",
            ),
            (
                pd.date_range("2020-01-10", periods=20, freq="D") + pd.Timedelta("6h"),
                None,
            ),
        ],
    )
    def test_series_of_other_frequencies(self, make, index, message):
        days = pd.date_range("2020-01-01", periods=40, freq="D")
        parts = {"a": make_series(40, index=days), "b": make_series(20, index=index)}
        y = pd.concat(parts, names=["series", "time"])
        if message is None:  # other hours of the same days
            forecast = make().fit(y).predict(fh=[1])
            assert list(forecast.index.get_level_values(1).hour) == [0, 6]
            return
        with pytest.raises(InputError, match=message):
            make().fit(y)

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_datetimes_of_any_unit(self, make, unit):
        days = pd.date_range("2020-01-01", periods=40, freq="D").as_unit(unit)
        parts = {
            "a": make_series(40, index=days),
            "b": make_series(20, index=days[:20]),
        }
        forecast = make().fit(pd.concat(parts)).predict(fh=[1])
        assert list(forecast.index.get_level_values(1).day) == [10, 21]

    def test_business_days_of_short_series(self, make):
        first, then = pd.bdate_range("2024-01-01", periods=5), "2024-01-04"
        parts = {
            "a": make_series(5, index=pd.DatetimeIndex(list(first))),
            "b": make_series(
                5, index=pd.DatetimeIndex(pd.bdate_range(then, periods=5))
            ),
        }
        forecaster = make(context_length=4, prediction_length=1)
        forecast = forecaster.fit(pd.concat(parts)).predict(fh=[1])
        assert list(forecast.index.get_level_values(1).day) == [8, 11]

    def test_weeks_that_end_on_other_days(self, make):
        parts = {
            day: make_series(n, index=pd.date_range("2020-01-01", periods=n, freq=day))
            for day, n in (("W-MON", 40), ("W-FRI", 30))
        }
        y = pd.concat(parts, names=["series", "time"])
        with pytest.raises(InputError, match=r"'W-FRI'\) has .*frequency 'W-MON'"):
            make().fit(y)
        known = y.loc[["W-MON"]]
        with pytest.raises(InputError, match=r"'W-FRI'\) has .*frequency 'W-MON'"):
            make().fit(known).update(y.loc[["W-FRI"]])

    @pytest.mark.parametrize(
        ("convert", "what"),
        [
            (lambda y: y.to_timestamp(), "datetimes"),
            (lambda y: y.reset_index(drop=True), "integers"),
            (lambda y: y.set_axis(y.index.asfreq("Q")[::-1]), "periods of"),
        ],
    )
    def test_another_kind_of_times_in_update(self, make, convert, what):
        y = make_series()
        forecaster = make().fit(y[:50])
        expected = forecaster.predict(fh=[1])
        message = rf"is of {what}.*, but fit saw periods of frequency 'M'"
        with pytest.raises(InputError, match=message):
            forecaster.update(convert(y[50:51]))
        pd.testing.assert_frame_equal(forecaster.predict(fh=[1]), expected)

    def test_no_room_for_validation(self, make):
        with pytest.warns(ClippedParameterWarning, match=r"=0.5 leaves no window.* 11"):
            make(context_length=4, prediction_length=5, validation_fraction=0.5).fit(
                make_series(n_rows=11)
            )


@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize("of_panel", [False, True])
def test_integers_in_steps_of_ten(make, missing, of_panel):
    index = pd.Index(np.arange(61) * 10).delete(7)
    y = make_series(index=index)
    advice = r"All steps are multiples of 10.*y\.set_axis\(y\.index // 10\)"
    if of_panel:
        y = pd.concat({"a": y, "b": y[:30]})
        advice = r"multiples of 10: divide the level of times by 10"
    message = r"not regular: 10 follows 0 \(rows 0 and 1\)"
    with pytest.raises(InputError, match=f"{message}.*{advice}"):
        make(missing=missing).fit(y)


def test_missing_rows_in_an_update_are_no_longer_steps(make):
    y = make_series(index=pd.RangeIndex(60))
    forecaster = make(max_epochs=1, missing="mask").fit(y[:50])
    forecaster.update(y[50:60:2], update_params=False)
    assert forecaster.predict(fh=[1]).index[0] == 59


class TestHorizon:
    def test_hours_across_a_change_of_the_clock(self, make):
        hours = pd.date_range("2020-03-26", periods=73, freq="h", tz="Europe/Berlin")
        forecaster = make().fit(make_series(index=hours[:73], n_rows=73))
        expected = forecaster.predict(fh=[1, 2, 3])
        for fh in (pd.to_timedelta([1, 2, 3], unit="h"), expected.index):
            forecast = forecaster.predict(fh=fh)
            pd.testing.assert_frame_equal(forecast, expected, check_freq=False)

    @pytest.mark.parametrize("freq", ["D", "2D"])
    @pytest.mark.parametrize("last", ["2020-03-28", "2020-10-24"])
    def test_days_across_a_change_of_the_clock(self, make, last, freq):
        zone = {"freq": freq, "tz": "Europe/Berlin"}
        rows = pd.date_range(end=last, periods=60, **zone)
        ahead = pd.date_range(last, periods=5, **zone)[1:]
        n = 2 if freq == "2D" else 1
        durations = pd.to_timedelta(n * np.arange(1, 5), unit="D")
        y = make_series(index=rows)
        forecaster = make(max_epochs=1).fit(y, fh=[1, 2, 3])
        expected = make(max_epochs=1).fit(y.tz_localize(None), fh=[1, 2, 3])
        expected = expected.predict(fh=[1, 2, 3, 4])
        for fh in ([1, 2, 3, 4], durations, ahead):
            forecast = forecaster.predict(fh=fh)
            assert list(forecast.index) == list(ahead)
            np.testing.assert_allclose(forecast, expected)
        assert list(forecaster.predict(fh=[-1, 2]).index) == [rows[-2], ahead[1]]
        later = make_series(2, index=ahead[:2], seed=1)
        assert forecaster.update(later).predict(fh=[1]).index[0] == ahead[2]

    def test_before_the_first_row(self, make):
        message = r"step -61 of y, which has 60 rows; expected steps from -59 on"
        with pytest.raises(InputError, match=message):
            make().fit(make_series()).predict(fh=[-61, 1])

    @pytest.mark.parametrize("in_fit", [True, False])
    def test_durations(self, make, in_fit):
        y = make_series(index=pd.date_range("2000-01-01", periods=60, freq="12h"))
        forecaster = make(prediction_length=None)
        expected = forecaster.fit(y, fh=[2, 4]).predict()
        fh = pd.timedelta_range("1D", periods=2)
        if in_fit:
            forecast = forecaster.fit(y, fh=fh).predict()
        else:
            forecast = make(prediction_length=4).fit(y).predict(fh=fh)
        pd.testing.assert_frame_equal(forecast, expected, check_freq=False)

    @pytest.mark.parametrize(
        "index",
        [
            pd.date_range("2000-01-01", periods=60, freq="D"),
            pd.date_range("2000-01-01", periods=60, freq="MS"),
            pd.period_range("2000-01-01", periods=60, freq="D"),
            pd.RangeIndex(60),
        ],
    )
    def test_durations_that_are_no_steps(self, make, index):
        forecaster = make().fit(make_series(index=index))
        fh = pd.TimedeltaIndex(["36h"])
        with pytest.raises(InputError, match=r"as 1 days 12:00:00, expected whole"):
            forecaster.predict(fh=fh)

    @pytest.mark.parametrize(
        ("fh", "message"),
        [
            (pd.PeriodIndex(["2010-01"], freq="M"), "an absolute fh, expected a rel"),
            (
                ForecastingHorizon(pd.timedelta_range("1D", periods=2)),
                "as 1 days 00:00:00, expected whole",
            ),
        ],
    )
    def test_in_pretrain(self, make, fh, message):
        with pytest.raises(InputError, match=message):
            make(prediction_length=None).pretrain(make_panel(), fh=fh)

    def test_past_of_one_series_of_a_panel(self, make):
        y = make_panel(lengths=(40, 30))
        time = y.index.get_level_values(1).min() + 40
        early = make_panel(lengths=(45, 30))
        forecaster = make().fit(early)
        fh = pd.PeriodIndex([time + 5])
        assert len(forecaster.predict(fh=fh)) == 2
        assert len(forecaster.predict(fh=pd.PeriodIndex([time]))) == 2


def test_unknown_backbone_without_a_network(make, monkeypatch):
    def offline(*args, **kwargs):
        asked.append(args)
        raise ConnectionError("offline")

    asked = []
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", offline)
    with pytest.raises(BackboneNotFoundError, match=r"'no/such-model'.*Three ways out"):
        make(backbone="no/such-model").fit(make_series())
    assert asked


def test_a_constructor_checks_nothing(make):
    make(context_length=-1, backbone="no/such", device="nowhere")


def with_ids(y, ids):
    times = y.index.get_level_values(1)
    return y.set_axis(pd.MultiIndex.from_arrays([ids, times], names=y.index.names))


class TestIds:
    def test_categories_that_no_row_has_are_not_series(self, make):
        y = make_panel()
        ids = pd.Categorical(y.index.get_level_values(0), ["s2", "unused", "s1", "s0"])
        categorical = with_ids(y, ids)
        new = make_panel(lengths=(42, 32, 27)).groupby(level=0).tail(2)
        forecasts = [
            make(max_epochs=1).fit(given).update(new).predict(fh=[1])
            for given in (y, categorical)
        ]
        pd.testing.assert_frame_equal(*forecasts)

    def test_a_row_without_an_id(self, make):
        y = make_panel()
        ids = y.index.get_level_values(0).to_series().replace("s1", np.nan)
        with pytest.raises(InputError, match=r"no id \(NaN\) .*'series' of row 40"):
            make().fit(with_ids(y, ids.to_numpy()))

    def test_a_long_table_is_told_its_index(self, make):
        raw = make_panel().reset_index().set_axis(["unique_id", "ds", "y"], axis=1)
        for times in (raw["ds"].dt.to_timestamp(), raw["ds"].astype(str)):
            message = r"y\.set_index\(\['unique_id', 'ds'\]\)"
            with pytest.raises(ColumnTypeError, match=message):
                make().fit(raw.assign(ds=times))


def test_periods_and_datetimes_do_not_mix(make):
    days = pd.date_range("2000-01-01", periods=60, freq="D")
    later = pd.period_range("2000-03-01", periods=2, freq="D")
    y = make_series(index=days)
    with pytest.raises(InputError, match=r"fh has periods .* of y are datetimes"):
        make(max_epochs=1).fit(y).predict(fh=later)
    with pytest.raises(InputError, match=r"fh has datetimes .* of y are periods"):
        make(max_epochs=1).fit(y.to_period("D"), fh=later.to_timestamp())


@pytest.mark.parametrize(
    ("fh", "given"),
    [
        (pd.PeriodIndex(["2030Q1"], freq="Q"), "periods of frequency 'Q-DEC'"),
        (pd.PeriodIndex(["2030-02-03"], freq="D"), "periods of frequency 'D'"),
    ],
)
def test_a_horizon_of_periods_of_another_frequency(make, fh, given):
    forecaster = make(max_epochs=1).fit(make_series())
    message = rf"fh has {given} .* of y are periods of frequency 'M'"
    for absolute in (fh, ForecastingHorizon(fh, is_relative=False)):
        with pytest.raises(InputError, match=message):
            forecaster.predict(fh=absolute)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_horizon_with_and_without_a_time_zone(make, zone):
    other = "Europe/Berlin" if zone is None else None
    days = pd.date_range("2000-01-01", periods=62, freq="D")
    y = make_series(index=days[:60].tz_localize(zone))
    forecaster = make(max_epochs=1).fit(y)
    given, known = ("with", "without") if zone is None else ("without", "with")
    message = rf"fh has datetimes {given} a .* of y are datetimes {known} a time zone"
    with pytest.raises(InputError, match=message):
        forecaster.predict(fh=days[60:].tz_localize(other))


class TestSizes:
    def test_a_value_that_dwarfs_the_others(self, make):
        with pytest.warns(
            OutlierWarning, match="1000000000.0 in column 'y1' at 2000-08"
        ):
            make(max_epochs=1).fit(series_with(1e9, column=1))

    @pytest.mark.parametrize("of_panel", [False, True])
    def test_one_that_dwarfs_the_others_in_update_and_pretrain(self, make, of_panel):
        y = make_panel((60, 60), n_columns=2) if of_panel else series_with(9.0)
        known, new = y.drop(y.index[50:60]), y[50:60].copy()
        new.iloc[4, 1] = 1e9
        place = "'s0'.* at 2004-07" if of_panel else "at 2004-07"
        message = place.replace(" at", "1000000000.0 in column 'y1' at", 1)
        forecaster = make(max_epochs=1).fit(known)
        with pytest.warns(OutlierWarning, match=message):
            forecaster.update(new, update_params=False)
        # which tells of each but once
        later = make_series(62, n_columns=2)[60:]
        later = pd.concat({"s0": later}, names=["series"]) if of_panel else later
        forecaster.update(later, update_params=False)
        if of_panel:
            spoiled = pd.concat([known, new])
            with pytest.warns(OutlierWarning, match=message):
                pretrained = make(max_epochs=1).pretrain(spoiled, fh=[1])
            with pytest.warns(OutlierWarning, match=message):
                pretrained.pretrain(spoiled)
            other = spoiled.rename({"s0": "s2"}, level=0)
            with pytest.warns(OutlierWarning, match=message.replace("s0", "s2")):
                forecaster.update(other)

    def test_values_as_in_real_data_are_not_outliers(self, make):
        y = make_series()
        y.iloc[::7] *= 50
        y.iloc[30:40] = 0
        make(max_epochs=1).fit(y)

    @pytest.mark.parametrize("standardize", [True, False])
    def test_a_high_level_changes_nothing(self, make, standardize):
        y = make_series()
        low, high = (
            make(standardize=standardize).fit(y + level).predict(fh=[1, 2]) - level
            for level in (0.0, 1e9)
        )
        np.testing.assert_allclose(low, high, atol=0.1)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize(
    ("value", "raised"),
    [(np.nan, ForecastDivergedError), (1e9, DivergingForecastWarning)],
)
def test_forecasts_that_diverge_are_told_of(make, value, raised):
    forecaster = make(max_epochs=1).fit(make_series())
    forward = forecaster.network_.forward

    def diverging(*args, **kwargs):
        output = forward(*args, **kwargs)
        return output._replace(forecast=output.forecast + value)

    forecaster.network_.forward = diverging
    told = pytest.warns if issubclass(raised, Warning) else pytest.raises
    with told(raised, match=r"7 steps were forecast by rolling forward forecasts of 3"):
        forecaster.predict(fh=[7])
    with told(raised, match=r"[a-z]\. Fit with a smaller learning_rate or more data"):
        forecaster.predict(fh=[3])
    with told(raised, match=r"[a-z]\. Fit with a smaller learning_rate or more data"):
        forecaster.predict(fh=[-3])


def test_the_name_of_a_series_may_be_lost(make):
    y = make_series()["y0"]
    forecaster = make(max_epochs=1).fit(y[:50])
    forecaster.update(y[50:].rename(None), update_params=False)
    assert forecaster.predict(fh=[1]).index[0] == y.index[-1] + 1


@pytest.mark.parametrize("first", [True, False])
def test_a_series_may_get_or_lose_its_name(make, first):
    y = make_series()["y0"]
    named, unnamed = y.rename("sales"), y.rename(None)
    before, after = (named, unnamed) if first else (unnamed, named)
    forecaster = make(max_epochs=1).fit(before[:50])
    forecaster.update(after[50:], update_params=False)
    assert forecaster.predict(fh=[1]).index[0] == y.index[-1] + 1
    forecaster.inspect_alignment(after)
    with pytest.raises(InputError, match="columns"):
        make(max_epochs=1).fit(y[:50]).update(named[50:])


@pytest.mark.parametrize("of_panel", [True, False])
def test_an_update_of_more_or_fewer_levels(make, of_panel):
    pair = make_series(), make_panel()
    y, other = pair[::-1] if of_panel else pair
    forecaster = make(max_epochs=1).fit(y)
    message = rf"has {1 if of_panel else 2} level\(s\) in update, but fit saw"
    with pytest.raises(InputError, match=message):
        forecaster.update(other)


@pytest.mark.parametrize("freq", ["D", "h", "MS"])
def test_no_row_of_datetimes(make, freq):
    index = pd.date_range("2000-01-01", periods=0, freq=freq)
    with pytest.raises(SeriesTooShortError, match="0 row"):
        make().fit(make_series(0, index=index))


@pytest.mark.parametrize("fh", [[1, 2], [0], pd.date_range("2000-01-02", periods=2)])
@pytest.mark.parametrize("is_panel", [False, True])
def test_one_row_of_datetimes_has_no_frequency(make, is_panel, fh):
    pretrained = make(validation_fraction=0.0, fine_tune_epochs=0)
    pretrained.pretrain(make_panel(), fh=[1, 2])
    y = make_series(1, index=pd.DatetimeIndex(["2000-01-01"]))
    with pytest.warns(ShortSeriesWarning):
        forecaster = pretrained.fit(pd.concat({"s": y, "t": y}) if is_panel else y)
    message = r"no two rows of a series.* times after 2000-01-01.*, freq=\"D\"\)"
    with pytest.raises(InputError, match=message):
        forecaster.predict(fh)
    ahead = forecaster.predict(ForecastingHorizon([1], freq="D"))
    assert (ahead.index.get_level_values(-1) == pd.Timestamp("2000-01-02")).all()
