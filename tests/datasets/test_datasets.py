"""Shipped data sets and seasonal periods."""

import re

import numpy as np
import pandas as pd
import pytest

from sktime_llm.datasets import (
    Dataset,
    dataset_names,
    infer_seasonal_period,
    load_dataset,
)
from sktime_llm.errors import InputError

LENGTHS = {"airline": (144, 1), "lynx": (114, 1), "shampoo_sales": (36, 1)}
LENGTHS |= {"pbs": (204, 1), "us_consumption": (187, 1), "us_change": (187, 5)}


@pytest.mark.parametrize("name", LENGTHS)
def test_shipped_dataset(name):
    data = load_dataset(name)
    assert isinstance(data, Dataset)
    assert (data.name, len(data.y), data.n_variates) == (name, *LENGTHS[name])
    assert isinstance(data.y.index, pd.PeriodIndex)
    assert np.isfinite(data.y.to_numpy(dtype=float)).all()
    # At least two seasons are left in front of three folds.
    assert len(data.y) - 3 * data.horizon >= 2 * data.seasonal_period


def test_us_change_ends_when_its_source_ends():
    y = load_dataset("us_change").y
    assert str(y.index[-1]) == "2016Q3"
    assert dataset_names() == list(LENGTHS)
    with pytest.raises(InputError, match=r"'air', expected one of .*'lynx', .*'us_cha"):
        load_dataset("air")
    pd.testing.assert_series_equal(load_dataset("us_consumption").y, y["Consumption"])


PERIODS = {1: "Y 2D ms", 4: "Q Q-NOV", 6: "2M 10s", 7: "D", 12: "M 2h", 24: "h"}
PERIODS |= {48: "30min", 52: "W W-WED", 60: "min", 96: "15min", 288: "5min"}
STAMPS = {1: "YS SME", 4: "QS-FEB QE BQS", 5: "B", 7: "D", 12: "MS ME BMS BME"}
STAMPS |= {24: "h", 52: "W-MON"}
SAME = {"24h": "D", "1440min": "D", "86400s": "D", "7D": "W", "168h": "W", "14D": "2W"}
SAME |= {"300s": "5min", "900s": "15min", "60s": "min", "120s": "2min", "60min": "h"}
SAME |= {"3600s": "h", "7200s": "2h", "1000ms": "s", "3600000ms": "h", "3ME": "QE"}
SAME |= {"12ME": "YE", "12MS": "YS", "6MS": "2QS", "4QE": "YE", "48h": "2D"}


def cases(seasons):
    return [(alias, n) for n, aliases in seasons.items() for alias in aliases.split()]


@pytest.mark.parametrize(("frequency", "expected"), cases(PERIODS))
def test_seasonal_period_of_periods(frequency, expected):
    index = pd.period_range("2020-01-01", periods=20, freq=frequency)
    assert infer_seasonal_period(pd.Series(0.0, index=index)) == expected


@pytest.mark.parametrize(("frequency", "expected"), cases(STAMPS))
@pytest.mark.parametrize("keep_frequency", [True, False])
def test_seasonal_period_of_time_stamps(frequency, expected, keep_frequency):
    index = pd.date_range("2020-01-01", periods=20, freq=frequency)
    if not keep_frequency:
        index = pd.DatetimeIndex(index.to_numpy())
        assert index.freq is None
    assert infer_seasonal_period(pd.Series(0.0, index=index)) == expected


@pytest.mark.parametrize("kind", ["stamps", "no frequency", "periods"])
@pytest.mark.parametrize(("one", "other"), SAME.items())
def test_seasonal_period_is_that_of_the_same_step_in_other_units(one, other, kind):
    def season(alias):
        index = pd.date_range("2020-01-06", periods=20, freq=alias)
        if kind == "no frequency":
            index = pd.DatetimeIndex(index.to_numpy())
        if kind == "periods":
            alias = re.sub("(?<=[MQY])[ES]$", "", alias)
            index = pd.period_range("2020-01-06", periods=20, freq=alias)
        return infer_seasonal_period(pd.Series(0.0, index=index))

    assert season(one) == season(other)


@pytest.mark.parametrize("index", [pd.DatetimeIndex([]), range(10), range(5, 15)])
def test_seasonal_period_without_a_frequency_is_one(index):
    assert infer_seasonal_period(pd.Series(0.0, index=index)) == 1


@pytest.mark.parametrize("n_levels", [1, 2])
def test_seasonal_period_of_a_panel(n_levels):
    months = pd.Series(0.0, index=pd.date_range("2020-01-01", periods=9, freq="MS"))
    short, long = ("a",) * n_levels, ("b",) * n_levels
    y = pd.concat({short: months.iloc[:2], long: months}).to_frame()
    assert y.index.nlevels == n_levels + 1
    assert infer_seasonal_period(y) == 12
