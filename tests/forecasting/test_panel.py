"""Panels are read, scaled and labeled as their series would be, each by itself."""

import sys

import numpy as np
import pandas as pd
import pytest

from sktime_llm.errors import InputError
from sktime_llm.forecasting._panel import Panel, in_stacks
from sktime_llm.forecasting._regular import check_frequency, frequency_of
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.forecasting._series import to_arrays, to_frame

from .common import each_forecaster, make_panel, make_series

LENGTHS = (12, 30, 12, 1, 7, 30)
MAX_CALLS_PER_SERIES = {
    "CALFForecaster": {"fit": 200, "predict": 25},
    "BALMTSFForecaster": {"fit": 350, "predict": 25},  # a text for each window
    "LLMTSNetForecaster": {"fit": 800, "predict": 25},  # a text for each series
}


def days(i, n):
    return pd.date_range("2020-01-01", periods=n + i, freq="D")[i:]


def hierarchy():
    keys = [("b", 2), ("a", 10), ("a", 2)]
    parts = {key: make_series(5 + i, 2, seed=i) for i, key in enumerate(keys)}
    return pd.concat(parts, names=["region", "shop", "time"])


FRAMES = {
    "panel": lambda: make_panel(LENGTHS, 2),
    "rows in another order": lambda: make_panel(LENGTHS, 2).sample(
        frac=1, random_state=0
    ),
    "unused levels": lambda: make_panel(LENGTHS).drop("s1"),
    "hierarchy": hierarchy,
    "numbered": lambda: pd.concat({3: make_series(4), 1: make_series(6)}),
    "days": lambda: pd.concat(
        {f"s{i}": make_series(20, index=days(i, 20)) for i in range(4)}
    ),
}


def groups_of(frame):
    levels = list(range(frame.index.nlevels - 1))
    by = levels if len(levels) > 1 else levels[0]
    for key, part in frame.groupby(level=by, observed=True):
        yield key, part.droplevel(levels)


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_a_panel_has_the_series_of_its_frame(make):
    frame = make()
    panel, groups = Panel.of(frame), dict(groups_of(frame))
    assert panel.keys == list(groups)
    for i, (values, rows) in enumerate(
        zip(panel.arrays(), groups.values(), strict=True)
    ):
        np.testing.assert_array_equal(values, rows)
        pd.testing.assert_index_equal(panel.index_of(i), rows.index)
    ends = panel.times[panel.last_codes]
    assert list(ends) == [rows.index[-1] for rows in groups.values()]


def test_stacks_have_every_series_once():
    series = Panel.of(make_panel(LENGTHS, 2)).arrays()
    seen = {}
    for numbers, stack in in_stacks(series):
        seen |= dict(zip(numbers.tolist(), stack, strict=True))
    assert sorted(seen) == list(range(len(series)))
    for i, values in seen.items():
        np.testing.assert_array_equal(values, series[i])


def test_scalings_of_many_series_have_the_digits_of_each():
    rng = np.random.default_rng(0)
    series = [rng.normal(1e6, 1, (n, 3)).T.copy().T for n in (9, 40, 9, 300, 40)]
    series[1][:20, 0] = np.nan
    series[2][:6, 1] = 5.0  # varies after the rows to train on only
    ends = [6, 30, 6, 300, 30]
    found = Scaling.of_each(series, ends)
    for one, values, end in zip(found, series, ends, strict=True):
        expected = Scaling.of(values[:end]).completed(values)
        for mine, alone in zip(one, expected, strict=True):
            np.testing.assert_array_equal(mine, alone)


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_forecasts_have_labels_like_those_of_the_data(make):
    frame = make()
    panel = Panel.of(frame)
    times = [rows.index[-2:] for _, rows in groups_of(frame)]
    values = np.arange(sum(map(len, times)) * frame.shape[1], dtype=float)
    values = values.reshape(-1, frame.shape[1])
    found = to_frame(values, panel.keys, times, frame)
    labels = [
        (*(key if isinstance(key, tuple) else (key,)), time)
        for key, each in zip(panel.keys, times, strict=True)
        for time in each
    ]
    index = pd.MultiIndex.from_tuples(labels, names=frame.index.names)
    expected = pd.DataFrame(values, index, frame.columns)
    in_order = list(frame.index.droplevel(-1).unique())  # of the data
    parts = dict(groups_of(expected))
    rows = {key: parts[key] for key in in_order}
    expected = pd.concat(rows, names=frame.index.names)
    pd.testing.assert_frame_equal(found, expected)


def test_the_first_bad_value_or_time_is_named():
    frame = make_panel((10, 10, 10))
    frame.iloc[25] = np.inf
    with pytest.raises(InputError, match=r"series 's2'.*infinite"):
        to_arrays(Panel.of(frame))
    frame = frame.drop(frame.index[13])
    with pytest.raises(InputError, match=r"series 's1'.*not regular"):
        to_arrays(Panel.of(frame))


def test_series_of_one_grid_share_its_frequency():
    index = pd.date_range("2020-01-01", periods=40, freq="MS")
    parts = {i: make_series(12, index=index[i : i + 12]) for i in range(9)}
    panel = Panel.of(pd.concat(parts))
    assert frequency_of(panel) == index.freq
    check_frequency(panel, index.freq)
    parts[4] = make_series(12, index=pd.date_range("2020", periods=12, freq="D"))
    with pytest.raises(InputError, match=r"series 4.*frequency 'MS'"):
        check_frequency(Panel.of(pd.concat(parts)), index.freq)


def count_calls(call):
    """Count the calls that Python makes, those of functions in C included."""
    n = 0

    def count(frame, event, arg):
        nonlocal n
        n += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(None)
    return n


@each_forecaster
def test_a_series_more_costs_few_calls(make):
    def count(n_series):
        y = make_panel((30,) * n_series).sort_index()  # else sktime counts, too
        # one step of a few series, so that only their number differs
        forecaster = make(max_epochs=1, steps_per_epoch=1, calibration_fraction=0.1)
        fitted = count_calls(lambda: forecaster.fit(y, fh=[1, 2]))
        forecaster.batch_size = 1000
        return {"fit": fitted, "predict": count_calls(forecaster.predict)}

    count(5)  # imports
    few, many = count(50), count(250)
    per_series = {name: (many[name] - few[name]) / 200 for name in few}
    most = MAX_CALLS_PER_SERIES[type(make()).__name__]
    assert {name: n for name, n in per_series.items() if n > most[name]} == {}
