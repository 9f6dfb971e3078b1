"""In-sample forecasts: every row of the past, from those before it."""

import copy
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sktime.transformations.series.detrend import Detrender

from .common import FORECASTERS, each_forecaster, make_panel, make_series

INDICES = {
    "integers": pd.RangeIndex(5, 65),
    "periods": pd.period_range("2000-01", periods=60, freq="M"),
    "datetimes": pd.date_range("2000-01-01", periods=60, freq="D"),
    "time zone": pd.date_range("2000-01-01", periods=60, freq="h", tz="Asia/Tokyo"),
}

same = pd.testing.assert_frame_equal


@each_forecaster
@pytest.mark.filterwarnings("ignore::sktime_llm.errors.LaterRowsDroppedWarning")
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_a_row_is_forecast_as_if_it_were_the_next_one(make, index):
    y = make_series(index=index, n_columns=2)
    forecaster = make().fit(y)
    forecast = forecaster.predict(fh=[-59, -20, 0, 1, 4])
    assert list(forecast.index[:3]) == list(y.index[[0, 39, 59]])
    same(forecast[3:], forecaster.predict(fh=[1, 4]), check_freq=False)
    # taken back by an update, the same network forecasts that row as the next one
    for row in (39, 59):
        back = copy.deepcopy(forecaster).update(y[20:row], update_params=False)
        expected = back.predict(fh=[1])
        same(forecast.loc[[y.index[row]]], expected, check_freq=False, rtol=1e-4)


@each_forecaster
def test_later_rows_change_nothing(make):
    y = make_series()
    other = y.copy()
    other.iloc[50:] += 100.0
    first = make().fit(y)
    second = copy.deepcopy(first).update(other[50:], update_params=False)
    steps = np.arange(-59, -9)
    same(first.predict(fh=steps), second.predict(fh=steps))
    last = [each.predict(fh=[0]).to_numpy().item() for each in (first, second)]
    assert abs(last[1] - last[0]) > 1.0


@each_forecaster
def test_panel_and_update(make):
    y = make_panel((40, 30, 25))
    later = make_panel((44, 34, 29)).groupby(level=0).tail(4)
    fitted = make().fit(y)
    one = copy.deepcopy(fitted).update(later.loc[["s1"]], update_params=False)
    forecaster = fitted.update(later, update_params=False)
    fh = [-24, -3, 0, 1]
    forecast = forecaster.predict(fh=fh)
    assert len(forecast) == 12
    same(forecast.loc["s1"], one.predict(fh=fh).loc["s1"], rtol=1e-4)


@each_forecaster
def test_residuals_and_detrending(make):
    y = make_series(n_rows=80)["y0"]
    forecaster = make(max_epochs=16, learning_rate=3e-3).fit(y, fh=[1, 2])
    residuals = forecaster.predict_residuals(y)
    expected = y - forecaster.predict(fh=y.index)
    pd.testing.assert_series_equal(residuals, expected, check_names=False)
    assert residuals.std() < 0.9 * y.std()
    detrender = Detrender(forecaster=make())
    detrended = detrender.fit_transform(y)
    restored = detrender.inverse_transform(detrended)
    pd.testing.assert_series_equal(restored, y, check_names=False, check_freq=False)


@each_forecaster
def test_intervals_are_those_of_one_step(make):
    y = make_series(n_rows=120)
    forecaster = make(calibration_fraction=0.3).fit(y)
    bounds = forecaster.predict_interval(fh=np.arange(-100, 1), coverage=0.9)
    truth = y[-101:]["y0"].to_numpy()
    low, high = bounds.to_numpy().T
    assert (low < high).all()
    assert 0.6 < ((low <= truth) & (truth <= high)).mean() <= 1.0


@each_forecaster
def test_fit_for_the_past_only(make):
    y = make_series()
    forecaster = make(prediction_length=None).fit(y, fh=[-3, 0])
    assert list(forecaster.predict().index) == list(y.index[[-4, -1]])


def test_descriptions_in_the_past_are_those_of_their_time():
    y = make_panel((60, 45))
    known = FORECASTERS["llm-ts-net"](n_descriptions=4).fit(y)._known
    for key, values in y.groupby(level=0):
        numbers = known.row_numbers[key]
        assert len(numbers) == len(values) + 1
        assert len(np.unique(numbers)) > 1
        assert (np.diff(numbers) >= 0).all()
        assert numbers[-1] == known.numbers[key]


@pytest.mark.filterwarnings("ignore::sktime_llm.errors.ShortSeriesWarning")
def test_rows_held_out_of_short_series_shift_no_description():
    y = make_panel((60, 8))
    net = partial(FORECASTERS["llm-ts-net"], n_descriptions=4, validation_fraction=0.0)
    known = net(calibration_fraction=0.2).fit(y)._known
    lengths = y.groupby(level=0).size()
    held_out = {key: max(3, round(0.2 * n)) for key, n in lengths.items()}
    rows = [y.loc[[key]][: n - held_out[key]] for key, n in lengths.items()]
    expected = net(intervals=None).fit(pd.concat(rows))._known
    for key, numbers in expected.row_numbers.items():
        assert known.row_numbers[key].tolist() == numbers.tolist()
