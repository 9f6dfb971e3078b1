"""Statistics of windows against plain formulas written from their definition."""

import math

import numpy as np
import pytest
import torch

from sktime_llm.layers.normalization import instance_norm
from sktime_llm.text.window_text import WindowStatistics, window_statistics
from tests.reference import balm_tsf as reference

N_LAGS = 5
DTYPES = [torch.float32, torch.float64]
TIED = {
    "alternating": [1, -1] * 12,
    "period three": [0, 0, 1] * 8,
    "period four": [3, 1, -2, 0] * 9,
    "one peak": [5] + 23 * [0],
    "one peak, odd": 11 * [1] + [2] + 11 * [1],
    "two peaks": [0, 0, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0],
    "ties in the middle of the rank": [2, 0, 1, 0, 0, 1, 0, 2, 0, 0, 0, 0],
    "symmetric": [0, 1, 2, 3, 4, 3, 2, 1],
}


def random_windows(length, batch=8):
    windows = torch.from_numpy(
        np.random.default_rng(length).normal(size=(batch, length))
    )
    return instance_norm(windows[..., None]).values[..., 0]


def assert_is_reference(windows, n_lags=N_LAGS):
    actual = window_statistics(windows, n_lags)
    expected = [reference.statistics(window, n_lags) for window in windows.numpy()]
    assert actual.lags.tolist() == [s.lags for s in expected]
    assert actual.trend.tolist() == [s.trend for s in expected]
    for name in ("minimum", "maximum", "median"):
        value = torch.tensor([getattr(s, name) for s in expected], dtype=torch.float64)
        # the mean of two values is rounded once in the precision of the window
        torch.testing.assert_close(getattr(actual, name), value.to(windows.dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [10, 11, 24, 37, 96])
def test_random_windows(length, dtype):
    assert_is_reference(random_windows(length).to(dtype))


@pytest.mark.parametrize("level", [-1e3, 1e4])
def test_level_does_not_hide_the_lags(level):
    windows = random_windows(24)
    assert_is_reference(windows + level)
    actual = window_statistics(windows + level, N_LAGS).lags
    assert actual.equal(window_statistics(windows, N_LAGS).lags)


@pytest.mark.parametrize("n_lags", [0, 1, 5, 12, 40])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 9, 10, 24])
def test_lags_are_at_most_half_the_window(length, n_lags):
    windows = random_windows(length)
    actual = window_statistics(windows.float(), n_lags)
    assert actual.lags.shape == (8, min(n_lags, length // 2))
    assert actual.lags.dtype == actual.trend.dtype == torch.int64
    for values in actual[:3]:
        assert (values.shape, values.dtype) == ((8,), torch.float32)
    assert_is_reference(windows, n_lags)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0.0, 0.3, -7.0, 1e6])
def test_constant_windows_are_flat(value, dtype):
    windows = torch.full((2, 30), value, dtype=dtype)
    for w in (windows, instance_norm(windows[..., None]).values[..., 0]):
        actual = window_statistics(w, N_LAGS)
        assert actual.trend.tolist() == [0, 0]
        assert actual.lags.tolist() == 2 * [[1, 2, 3, 4, 5]]
        assert actual.minimum.equal(w[:, 0])
        assert actual.maximum.equal(w[:, 0])
        torch.testing.assert_close(actual.median, w[:, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", TIED.values(), ids=TIED)
def test_of_equal_autocorrelations_the_smaller_lag_is_first(window, dtype):
    windows = torch.tensor(
        np.array([window, window[::-1], np.roll(window, 3)]), dtype=dtype
    )
    assert_is_reference(windows)
    # normalized, equal products are equal still
    assert_is_reference(instance_norm(windows[..., None]).values[..., 0])


def test_autocorrelations_with_few_decimals_are_told_apart_the_same_way():
    window = [0, -2, 0, 1, -2, 1, -2, 0, 2, 2, 2, 1, -1, -2]  # 5 / 32, twice
    windows = torch.tensor(np.array([window, window[::-1], np.roll(window, 3)]))
    assert_is_reference(windows.double())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("period", [6, 24])
def test_multiples_of_the_period_are_in_order(period, dtype):
    # equal but for the rounding of the sine itself
    steps = torch.arange(20 * period, dtype=torch.float64)
    windows = torch.stack([torch.sin(2 * math.pi * steps / period + p) for p in (0, 1)])
    lags = window_statistics(windows.to(dtype), N_LAGS).lags
    assert lags.tolist() == 2 * [[k * period for k in range(1, N_LAGS + 1)]]


def test_order_is_by_autocorrelation():
    # three peaks, of which each two meet at a lag of their own
    window = torch.zeros(1, 40, dtype=torch.float64)
    window[0, [0, 1]] = torch.tensor([4.0, 3.0], dtype=torch.float64)
    window[0, [4]] = 2.0
    expected = reference.top_lags(window[0].numpy(), 3)
    assert expected == [1, 4, 3]  # 4 * 3, 4 * 2, 3 * 2
    assert window_statistics(window, 3).lags.tolist() == [expected]


@pytest.mark.parametrize(
    ("window", "trend", "median"),
    [
        ([0, 5, 1], 1, 1),
        ([0, -5, -1], -1, -1),
        ([2, 9, 2, 2], 0, 2),
        ([7, 1, 3, 4], -1, 3.5),
        ([2, 2 + 1e-5], 1, 2 + 5e-6),
        ([4], 0, 4),
    ],
)
def test_trend_and_median(window, trend, median):
    actual = window_statistics(torch.tensor([window], dtype=torch.float64), N_LAGS)
    assert actual.trend.tolist() == [trend]
    assert actual.median.tolist() == [median]


def test_windows_of_a_batch_do_not_see_each_other():
    # of very different scale, so that a tolerance must be each window's own
    scales = torch.tensor([1e-6, 1.0, 1e6, 0.0], dtype=torch.float64)
    windows = scales[:, None] * random_windows(24, batch=4)
    before = windows.clone()
    together = window_statistics(windows, N_LAGS)
    assert windows.equal(before)
    alone = [window_statistics(window[None], N_LAGS) for window in windows]
    for name in WindowStatistics._fields:
        expected = torch.cat([getattr(statistics, name) for statistics in alone])
        assert getattr(together, name).equal(expected)
    assert_is_reference(windows)
