"""Statistics of windows, all windows at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_EQUAL_WITHIN = 1e-4 / math.sqrt(2)
"""Autocorrelations that round to the same multiple of this are equal. It is irrational,
so that a ratio of round numbers never falls halfway between two multiples."""


class WindowStatistics(NamedTuple):
    """Statistics of windows, each (batch,), and lags, (batch, lag), the highest first.

    The trend is the sign of the last value minus the first.
    """

    minimum: Tensor
    maximum: Tensor
    median: Tensor
    trend: Tensor
    lags: Tensor


def window_statistics(windows: Tensor, n_lags: int) -> WindowStatistics:
    """Compute the statistics of finite windows, (batch, time).

    Windows of fewer than ``2 * n_lags`` steps have half as many lags as steps.
    """
    ordered, length = windows.sort(dim=1).values, windows.shape[1]
    # torch's own median is the lower of the two values in the middle
    median = (ordered[:, (length - 1) // 2] + ordered[:, length // 2]) / 2
    trend = (windows[:, -1] - windows[:, 0]).sign().to(torch.int64)
    lags = top_lags(windows, n_lags)
    return WindowStatistics(ordered[:, 0], ordered[:, -1], median, trend, lags)


def top_lags(windows: Tensor, n_lags: int) -> Tensor:
    """Find the lags of highest circular autocorrelation, (batch, time) to (batch, lag).

    The autocorrelation of a window around its mean is the inverse transform of its
    power spectrum. It is symmetric around half the window, so only lags up to there are
    ranked, without lag 0. Among lags that agree to about 1e-4 the shorter comes first,
    so a constant window has the lags 1, 2, 3 and so on.
    """
    length = windows.shape[1]
    if windows.device.type != "mps":  # which has no float64
        windows = windows.double()
    spectrum = torch.fft.rfft(windows - windows.mean(dim=1, keepdim=True))
    power = spectrum.real.square() + spectrum.imag.square()
    covariance = torch.fft.irfft(power, n=length)[:, : length // 2 + 1]
    variance = covariance[:, :1]
    correlation = covariance[:, 1:] / variance.where(variance > 0, 1.0)
    rounded = (correlation / _EQUAL_WITHIN).round()
    order = rounded.argsort(dim=1, descending=True, stable=True)
    return order[:, :n_lags] + 1
