"""Which times a horizon may ask for."""

import pandas as pd
import pytest
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm.errors import InputError

from .common import FORECASTERS, each_forecaster, make_panel, make_series

OFF_STEPS = [
    ("B", "Saturday", "2001-01-01", "2001-03-31"),
    ("MS", "the middle", "2001-01-01", "2006-02-15"),
    ("ME", "the first day", "2001-01-01", "2006-02-01"),
    ("W-WED", "Monday", "2001-01-01", "2002-03-04"),
    ("D", "noon", "2001-01-01", "2001-03-05 12:00"),
    ("15min", "between", "2001-01-01", "2001-01-01 15:22"),
    ("h", "between", "2001-01-01", "2001-01-03 13:30"),
    ("QS", "another month", "2001-01-01", "2016-02-01"),
]


@each_forecaster
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize(
    ("freq", "start", "off"),
    [(freq, start, off) for freq, _, start, off in OFF_STEPS],
    ids=[f"{freq}, {what}" for freq, what, _, _ in OFF_STEPS],
)
def test_times_that_are_not_steps_are_refused(make, freq, start, off, zone):
    index = pd.date_range(start, periods=62, freq=freq, tz=zone)
    off = pd.Timestamp(off, tz=zone)
    forecaster = make(max_epochs=1).fit(make_series(index=index[:60]))
    message = rf"^fh has the time {off}.*, expected steps of '{freq}.*' from "
    message = message.replace("+", r"\+")
    for fh in ([off], [index[60], off], [off, index[61]]):
        with pytest.raises(InputError, match=message):
            forecaster.predict(fh=pd.DatetimeIndex(sorted(fh)))
    assert list(forecaster.predict(fh=index[[61]]).index) == [index[61]]


@each_forecaster
def test_numbers_that_are_no_steps_are_no_times(make):
    fh = ForecastingHorizon([61, 62], is_relative=False)
    for index in (pd.date_range("2001-01-01", periods=60), None):
        forecaster = make(max_epochs=1).fit(make_series(index=index))
        with pytest.raises(InputError, match=r"fh has integers such as 61, but the"):
            forecaster.predict(fh=fh)
    forecaster = make(max_epochs=1).fit(make_series(index=pd.RangeIndex(60)))
    assert list(forecaster.predict(fh=fh).index) == [61, 62]


@each_forecaster
@pytest.mark.parametrize("later", ["2024-02-01", "2024-03-31", "2025-01-01"])
@pytest.mark.parametrize("of_panel", [False, True])
def test_two_rows_may_be_months_or_days_apart(make, later, of_panel):
    index = pd.DatetimeIndex(["2024-01-01", later])
    y = make_panel((2, 2), index=index) if of_panel else make_series(2, index=index)
    message = r"two rows, \d+ days apart, which may be .*to_period"
    with pytest.raises(InputError, match=message):
        make(max_epochs=1, prediction_length=1).fit(y, fh=[1, 2])


@each_forecaster
def test_two_rows_whose_frequency_is_known(make):
    lengths = {"context_length": 1, "prediction_length": 1}
    if make is FORECASTERS["balm-tsf"]:
        lengths |= {"patch_length": 1, "patch_stride": 1}

    def forecast(index):
        y = make_series(2, index=index)
        return make(max_epochs=1, **lengths).fit(y).predict(fh=[1]).index

    months = pd.date_range("2024-01-01", periods=3, freq="MS")
    assert list(forecast(months[:2])) == [months[2]]
    weeks = pd.DatetimeIndex(["2024-01-01", "2024-01-08"])
    assert list(forecast(weeks)) == [pd.Timestamp("2024-01-15")]
