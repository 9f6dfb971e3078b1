"""Shipped data sets and seasonal periods."""

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

# ------------------------------------------------------------------ shipped data sets

LENGTHS = {
    "airline": (144, 1),
    "lynx": (114, 1),
    "shampoo_sales": (36, 1),
    "pbs": (204, 1),
    "us_consumption": (187, 1),
    "us_change": (187, 5),
}


def test_every_shipped_dataset_has_a_known_shape():
    assert dataset_names() == list(LENGTHS)


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
    pd.testing.assert_series_equal(load_dataset("us_consumption").y, y["Consumption"])


def test_unknown_dataset_names_the_known_ones():
    with pytest.raises(InputError, match=r"'airlines'.*airline, lynx, .*us_change"):
        load_dataset("airlines")


# -------------------------------------------------------------------- seasonal period


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        ("Y", 1),
        ("Q", 4),
        ("Q-NOV", 4),
        ("M", 12),
        ("2M", 6),
        ("W", 52),
        ("W-WED", 52),
        ("D", 7),
        ("2D", 1),
        ("h", 24),
        ("2h", 12),
        ("30min", 48),
        ("15min", 96),
        ("5min", 288),
        ("min", 60),
        ("10s", 6),
        ("ms", 1),
    ],
)
def test_seasonal_period_of_periods(frequency, expected):
    index = pd.period_range("2020-01-01", periods=20, freq=frequency)
    assert infer_seasonal_period(pd.Series(0.0, index=index)) == expected


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        ("YS", 1),
        ("QS-FEB", 4),
        ("QE", 4),
        ("MS", 12),
        ("ME", 12),
        ("W-MON", 52),
        ("D", 7),
        ("B", 5),
        ("h", 24),
        ("SME", 1),
        ("BMS", 12),
        ("BME", 12),
        ("BQS", 4),
    ],
)
@pytest.mark.parametrize("keep_frequency", [True, False])
def test_seasonal_period_of_time_stamps(frequency, expected, keep_frequency):
    index = pd.date_range("2020-01-01", periods=20, freq=frequency)
    if not keep_frequency:
        index = pd.DatetimeIndex(index.to_numpy())
        assert index.freq is None
    assert infer_seasonal_period(pd.Series(0.0, index=index)) == expected


def test_seasonal_period_of_no_time_stamps_is_one():
    assert (
        infer_seasonal_period(pd.Series(dtype=float, index=pd.DatetimeIndex([]))) == 1
    )


def test_seasonal_period_of_integers_is_one():
    assert infer_seasonal_period(pd.Series(range(10))) == 1
    assert infer_seasonal_period(pd.Series(range(10), index=range(5, 15))) == 1


@pytest.mark.parametrize("n_levels", [1, 2])
def test_seasonal_period_of_a_panel(n_levels):
    short = pd.date_range("2020-01-01", periods=2, freq="MS")
    long = pd.date_range("2020-01-01", periods=9, freq="MS")
    series = {
        ("a",) * n_levels: pd.DataFrame({"y": 0.0}, index=short),
        ("b",) * n_levels: pd.DataFrame({"y": 0.0}, index=long),
    }
    y = pd.concat(series)
    assert y.index.nlevels == n_levels + 1
    assert infer_seasonal_period(y) == 12


def test_importing_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, sktime_llm.datasets; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
