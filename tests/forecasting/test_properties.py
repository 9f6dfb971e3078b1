"""What holds of forecasts whatever the data; hypothesis looks for data where not."""

import copy
import functools
import warnings

import numpy as np
import pandas as pd
import pytest

from sktime_llm.errors import SktimeLLMWarning

from .common import FORECASTERS, make_panel, make_series

hypothesis = pytest.importorskip("hypothesis")
given, st = hypothesis.given, hypothesis.strategies

FH = [1, 2, 3, 4]
N_ROWS = 40


def examples(n):
    return hypothesis.settings(
        max_examples=n, deadline=None, derandomize=True, database=None
    )


KINDS = {
    "wave": lambda t, rng: np.sin(t / rng.uniform(0.5, 4)),
    "walk": lambda t, rng: rng.normal(size=t.shape).cumsum(axis=0) / 3,
    "step": lambda t, rng: 1.0 * (t > rng.integers(1, len(t) - 1)),
    "spikes": lambda t, rng: 5.0 * (rng.random(t.shape) < 0.1),
    "counts": lambda t, rng: rng.poisson(0.4, size=t.shape),
    "flat": lambda t, rng: 0.0 * t,
}


@st.composite
def values(draw, n_rows=N_ROWS, n_columns=1):
    """Draw series about 0 of a size about 1, (time, channel), which vary."""
    rng = np.random.default_rng(draw(st.integers(0, 100)))
    t = np.arange(n_rows)[:, None] + np.zeros(n_columns)
    series = KINDS[draw(st.sampled_from(list(KINDS)))](t, rng)
    noise = draw(st.sampled_from([0.01, 0.1, 1.0]))
    trend = draw(st.integers(-2, 2))
    return series + trend * t / n_rows + noise * rng.normal(size=t.shape)


def frame(array):
    return make_series(*array.shape) * 0 + array


def quiet(call):
    """Call where our own warnings are no errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SktimeLLMWarning)
        return call()


@functools.lru_cache
def fitted(name, panel=False):
    y = make_panel(lengths=(40, 40, 40)) if panel else make_series(N_ROWS)
    return FORECASTERS[name](max_epochs=1).fit(y)


@functools.lru_cache
def pretrained(name):
    return FORECASTERS[name](max_epochs=1).pretrain(make_panel())


def zero_shot(name, y):
    """Forecast by a network that is not trained on these series."""
    return quiet(lambda: pretrained(name).clone().fit(y).predict(fh=FH))


each_name = pytest.mark.parametrize("name", FORECASTERS)


@each_name
@given(values(), st.floats(-9, 9), st.floats(-1e4, 1e4), st.booleans())
@examples(10)
def test_forecasts_move_and_stretch_with_the_series(
    name, array, exponent, level, trains
):
    """Within 0.1 % of the spread of a series, at levels up to 10,000 times its size."""
    scale = 10.0**exponent
    moved = scale * (array + level)
    if trains:
        one, other = (
            quiet(lambda y=y: FORECASTERS[name]().fit(y).predict(fh=FH))
            for y in (frame(array), frame(moved))
        )
    else:
        one, other = zero_shot(name, frame(array)), zero_shot(name, frame(moved))
    back = other.to_numpy() / scale - level
    np.testing.assert_allclose(back, one, rtol=0, atol=1e-3 * array.std())


@each_name
@given(st.lists(values(), min_size=2, max_size=4), st.randoms(use_true_random=False))
@examples(6)
def test_the_order_of_series_does_not_matter(name, arrays, random):
    keys = [f"s{i}" for i in range(len(arrays))]
    parts = {key: frame(each) for key, each in zip(keys, arrays, strict=True)}
    shuffled = random.sample(keys, len(keys))
    labels = {name: f"t{i}" for i, name in enumerate(shuffled)}
    other = {labels[key]: parts[key] for key in shuffled}
    one = zero_shot(name, pd.concat(parts, names=["series", "time"]))
    two = zero_shot(name, pd.concat(other, names=["series", "time"]))
    for key in keys:
        np.testing.assert_allclose(one.loc[key], two.loc[labels[key]], atol=1e-4)


@each_name
@given(values(4), st.floats(-3, 3), st.integers(0, 2))
@examples(6)
def test_a_series_does_not_hear_of_the_others(name, rows, exponent, which):
    new = make_panel(lengths=(44, 44, 44)).groupby(level=0).tail(4)
    changed = new.copy()
    changed.loc[f"s{which}"] = 10.0**exponent * (rows + 10)
    one, two = (predict_after(name, y) for y in (new, changed))
    for i in range(3):
        same = np.allclose(one.loc[f"s{i}"], two.loc[f"s{i}"], rtol=1e-6)
        assert same == (i != which)


def predict_after(name, y):
    """Forecast the series of a panel after new rows."""
    forecaster = copy.deepcopy(fitted(name, panel=True))
    forecaster.update(y, update_params=False)
    return quiet(lambda: forecaster.predict(fh=FH))


@each_name
@given(st.sets(st.integers(1, 9), min_size=1))
@examples(8)
def test_a_part_of_the_horizon_is_a_part_of_the_forecast(name, steps):
    forecaster = fitted(name)
    whole, part = forecaster.predict(fh=range(1, 10)), forecaster.predict(fh=[*steps])
    expected = whole.iloc[[step - 1 for step in sorted(steps)]]
    pd.testing.assert_frame_equal(part, expected, check_freq=False)


@each_name
@given(
    values(n_columns=2),
    st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
    st.floats(-1e4, 1e4),
)
@examples(6)
def test_forecasts_are_finite_at_any_scale(name, array, exponents, level):
    y = frame((array + level) * 10.0 ** np.array(exponents))
    forecaster = quiet(lambda: FORECASTERS[name](max_epochs=1).fit(y))
    forecast = forecaster.predict(fh=FH)
    assert np.isfinite(forecast.to_numpy()).all()
    reach = 100 * y.std() + 1e-6 * y.abs().max()
    assert ((forecast - y.iloc[-1]).abs() <= reach).all(axis=None)


def patterns():
    """Where values are missing: here and there, in runs, whole rows, an end."""
    scattered = st.tuples(st.integers(0, 100), st.sampled_from([0.05, 0.3, 0.6])).map(
        lambda of: np.random.default_rng(of[0]).random((N_ROWS, 2)) < of[1]
    )
    rows = np.arange(N_ROWS)[:, None]
    runs = st.tuples(
        st.integers(0, N_ROWS - 15), st.integers(1, 15), st.sampled_from([0, 1, 2])
    ).map(lambda of: (of[0] <= rows) & (rows < of[0] + of[1]) & (np.arange(2) < of[2]))
    ends = st.integers(1, 12).map(lambda n: (rows >= N_ROWS - n) & (np.arange(2) < 1))
    return st.one_of(scattered, runs, ends)


@each_name
@given(values(n_columns=2), patterns())
@examples(10)
def test_forecasts_are_finite_whatever_is_missing(name, array, missing):
    forecaster = FORECASTERS[name](max_epochs=1)
    if not forecaster.get_tag("capability:missing_values"):
        pytest.skip("takes no missing values")
    y = frame(np.where(missing, np.nan, array))
    forecast = quiet(lambda: forecaster.fit(y).predict(fh=FH))
    assert np.isfinite(forecast.to_numpy()).all()
