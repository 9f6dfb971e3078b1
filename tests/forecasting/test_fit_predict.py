"""From series of every kind to forecasts of the right rows and sizes."""

import numpy as np
import pandas as pd
import pytest
from sktime.datasets import load_airline, load_hierarchical_sales_toydata, load_longley
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm.errors import ConstantSeriesWarning, InputError, ShortSeriesWarning

from .common import each_forecaster, make_panel, make_series

pytestmark = each_forecaster

INDEXES = {
    "range from 5": pd.RangeIndex(5, 65),
    "int": pd.Index(np.arange(10, 70)),
    "datetime": pd.date_range("2000-01-01", periods=60, freq="D"),
    **{
        f"periods of {freq}": pd.period_range("2000-01-01", periods=60, freq=freq)
        for freq in ("Q", "15min", "2M")
    },
    **{
        f"datetimes without freq {freq}": pd.DatetimeIndex(
            pd.date_range("2000-01-03", periods=60, freq=freq).tolist()
        )
        for freq in ("B", "h", "MS")
    },
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
@pytest.mark.parametrize("n_columns", [1, 2])
def test_every_index_type(make, index, n_columns):
    y = make_series(n_columns=n_columns, index=index)
    forecast = make().fit(y.iloc[:55]).predict(fh=[1, 2, 5])
    expected = y.index[[55, 56, 59]]
    assert list(forecast.index) == list(expected)
    assert type(forecast.index) is type(expected) or isinstance(index, pd.RangeIndex)
    assert list(forecast.columns) == list(y.columns)
    assert (forecast.dtypes == np.float64).all()
    assert np.isfinite(forecast.to_numpy()).all()


@pytest.mark.parametrize(
    "freq",
    [
        pd.offsets.CustomBusinessDay(weekmask="Mon Wed Fri"),
        pd.offsets.CustomBusinessDay(holidays=["2000-02-28", "2000-03-27"]),
        pd.offsets.DateOffset(days=3),
        *("SMS", "WOM-3FRI", "bh"),
    ],
)
def test_frequencies_without_periods(make, freq):
    times = pd.date_range("2000-01-03", periods=60, freq=freq, tz="Europe/Berlin")
    y = make_series(index=times)
    forecaster = make().fit(y.iloc[:50]).update(y.iloc[50:55])
    forecast = forecaster.predict(fh=[-3, 0, 1, 5])
    assert list(forecast.index) == list(y.index[[51, 54, 55, 59]])
    at_times = forecaster.predict(fh=forecast.index)
    pd.testing.assert_frame_equal(at_times, forecast, check_freq=False)


def test_a_time_between_steps_without_periods(make):
    index = pd.date_range("2000-01-01", periods=60, freq="SMS")
    forecaster = make().fit(make_series(index=index))
    with pytest.raises(InputError, match="expected steps of 'SMS"):
        forecaster.predict(fh=index[-1:] + pd.Timedelta("1D"))


def test_forecasts_are_better_than_the_mean(make):
    y = make_series(n_rows=200, n_columns=2)
    forecaster = make(max_epochs=40, learning_rate=1e-2, patience=None)
    forecast = forecaster.fit(y[:-3]).predict(fh=[1, 2, 3])
    error = (forecast - y[-3:]).abs().to_numpy().mean()
    of_mean = (y[-3:] - y[:-3].mean()).abs().to_numpy().mean()
    assert error < 0.6 * of_mean


@pytest.mark.parametrize("fh", [1, [3], [2, 5], [5, 2], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_a_horizon_with_gaps_is_a_part_of_the_whole(make, fh):
    forecaster = make().fit(make_series())
    whole = forecaster.predict(fh=np.arange(1, 9))
    part = forecaster.predict(fh=fh)
    steps = np.sort(np.atleast_1d(fh))
    pd.testing.assert_frame_equal(part, whole.iloc[steps - 1], check_freq=False)
    absolute = forecaster.predict(fh=part.index)
    pd.testing.assert_frame_equal(absolute, part, check_freq=False)
    in_fit = make().fit(make_series(), fh=fh).predict()
    pd.testing.assert_frame_equal(in_fit, part, check_freq=False)


def test_prediction_length_follows_fh(make):
    y = make_series()
    given = {"prediction_length": None, "context_length": None}
    assert make(**given).fit(y, fh=[2, 7]).prediction_length_ == 7
    assert make(**given).fit(y, fh=[100]).prediction_length_ == 15  # a quarter of 60
    assert make(**given).fit(y).prediction_length_ == 15
    assert make(**given).fit(y[:40]).prediction_length_ == 10


def test_series_keeps_its_name(make):
    y = load_airline()
    forecast = make().fit(y).predict(fh=[1])
    assert isinstance(forecast, pd.Series)
    assert forecast.name == y.name


def test_a_wide_frame(make):
    _, y = load_longley()
    forecast = make(context_length=4, prediction_length=1, validation_fraction=0).fit(y)
    assert list(forecast.predict(fh=[1, 2]).columns) == list(y.columns)


def test_variates_keep_their_columns(make):
    y = make_series(n_columns=2)
    y["y1"] += 1000
    forecast = make().fit(y).predict(fh=[1, 2])
    assert (forecast["y0"] < 100).all()
    assert (forecast["y1"] > 900).all()


@pytest.mark.parametrize("n_columns", [1, 2])
def test_one_network_for_a_panel(make, n_columns):
    y = make_panel(n_columns=n_columns)
    forecaster = make().fit(y)
    assert not hasattr(forecaster, "forecasters_")  # not one per series
    forecast = forecaster.predict(fh=[1, 3])
    ends = {key: rows.index[-1][1] for key, rows in y.groupby(level=0)}
    expected = [(key, end + step) for key, end in ends.items() for step in (1, 3)]
    assert list(forecast.index) == expected
    assert forecast.index.names == y.index.names


def test_each_series_of_a_panel_is_forecast_from_its_own_past(make):
    y = make_panel(lengths=(40, 40, 40))
    forecaster = make().fit(y)
    forecast = forecaster.predict(fh=[1, 2])
    for i, level in enumerate((10, 20, 30)):
        assert ((forecast.loc[f"s{i}"] - level).abs() < 6).to_numpy().all()
    other = y.copy()
    other.loc["s1"] = other.loc["s1"].to_numpy()[::-1]
    changed = make().fit(y)
    changed._known.rows.loc["s1"] = changed._known.rows.loc["s1"].to_numpy()[::-1]
    difference = (changed.predict(fh=[1, 2]) - forecast).abs().groupby(level=0).max()
    assert (difference["y0"] > 0).tolist() == [False, True, False]


def test_an_absolute_horizon_on_a_ragged_panel(make):
    y = make_panel(lengths=(40, 39))
    time = y.index.get_level_values(1).max() + 2
    fh = ForecastingHorizon(pd.PeriodIndex([time]), is_relative=False)
    forecaster = make().fit(y)
    forecast = forecaster.predict(fh=fh)
    assert list(forecast.index) == [("s0", time), ("s1", time)]
    by_steps = forecaster.predict(fh=[2, 3])
    assert forecast.iloc[0, 0] == by_steps.loc[("s0", time), "y0"]
    assert forecast.iloc[1, 0] == by_steps.loc[("s1", time), "y0"]


def test_short_series_of_a_panel_take_the_frequency_of_the_longest(make):
    times = pd.date_range("2000-01-01", periods=40, freq="MS")
    parts = {
        "long": make_series(40, index=times),
        "short": make_series(2, index=times[:2]),
    }
    parts["one"] = make_series(1, index=times[:1])
    y = pd.concat(parts, names=["series", "time"])
    with pytest.warns(ShortSeriesWarning), pytest.warns(ConstantSeriesWarning):
        forecast = make().fit(y).predict(fh=[1])
    ends = [times[-1] + times.freq, times[1], times[2]]
    assert sorted(forecast.index.get_level_values(1)) == sorted(ends)


def test_a_panel_of_short_series_is_validated(make):
    y = make_panel(lengths=[60] * 12)
    history = make(validation_fraction=None).fit(y).history_
    assert history["validation_loss"].notna().all()


def test_a_hierarchy(make):
    y = load_hierarchical_sales_toydata()
    forecast = make(max_epochs=1).fit(y).predict(fh=[1, 2])
    assert forecast.index.names == y.index.names
    assert len(forecast) == 2 * len(y.index.droplevel(-1).unique())
    assert np.isfinite(forecast.to_numpy()).all()


@pytest.mark.parametrize("levels", [1, 2])
def test_series_come_back_in_their_order(make, levels):
    y = make_panel()
    y = pd.concat([y.loc[[key]] for key in ("s2", "s0", "s1")])
    if levels == 2:
        y = pd.concat({"z": y, "a": y}, names=["group"])
    by = list(range(levels))
    forecaster = make(intervals=None).fit(y.groupby(level=by).head(24))
    for _ in range(2):
        found = forecaster.predict(fh=[1, 2]).index.droplevel(-1).unique()
        assert found.tolist() == y.index.droplevel(-1).unique().tolist()
        forecaster.update(y.groupby(level=by).head(25), update_params=False)
