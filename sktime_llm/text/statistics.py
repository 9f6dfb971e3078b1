"""Statistics of windows, all windows at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_EQUAL_WITHIN = 1e-4 / math.sqrt(2)
"""Step in which autocorrelations are told apart. Irrational, as those of round numbers
are fractions, which must not lie halfway between two steps, where rounding decides."""


class WindowStatistics(NamedTuple):
    """Statistics of a batch of windows.

    Attributes
    ----------
    minimum, maximum, median : Tensor of shape (batch,)
        In the units of the windows. The median of an even number of values is the mean
        of the two in the middle.
    trend : Tensor of int64 of shape (batch,)
        Sign of the sum of first differences, which is the last value minus the first:
        -1, 0 or 1.
    lags : Tensor of int64 of shape (batch, lag)
        Lags of highest autocorrelation, the highest first.
    """

    minimum: Tensor
    maximum: Tensor
    median: Tensor
    trend: Tensor
    lags: Tensor


def window_statistics(windows: Tensor, n_lags: int) -> WindowStatistics:
    """Compute the statistics that a prompt tells of each window.

    Parameters
    ----------
    windows : Tensor of shape (batch, time)
        Finite values.
    n_lags : int
        Number of lags; of a window shorter than ``2 * n_lags`` as many as it has, which
        is half its length.

    Returns
    -------
    WindowStatistics

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.text.statistics import window_statistics
    >>> window_statistics(torch.tensor([[0.0, 1.0, 0.0, 1.0]]), n_lags=1).lags
    tensor([[2]])
    """
    minimum, maximum = windows.aminmax(dim=1)
    change = windows[:, -1] - windows[:, 0]
    return WindowStatistics(
        minimum,
        maximum,
        _median(windows),
        change.sign().to(torch.int64),
        top_lags(windows, n_lags),
    )


def top_lags(windows: Tensor, n_lags: int) -> Tensor:
    """Find the lags of highest circular autocorrelation, by FFT.

    The autocorrelation of a window around its mean is the inverse transform of its
    power spectrum. It is even around half the window, so lags up to there are ranked;
    lag 0 is not. Of lags that are equal to about 1e-4, the shorter
    comes first, so a constant window has the lags 1, 2, 3 and so on.

    Parameters
    ----------
    windows : Tensor of shape (batch, time)
        Finite values.
    n_lags : int
        As many, or half the length of a window if that is less.

    Returns
    -------
    Tensor of int64 of shape (batch, lag)
    """
    length = windows.shape[1]
    if windows.device.type != "mps":  # which has no float64
        windows = windows.double()
    spectrum = torch.fft.rfft(windows - windows.mean(dim=1, keepdim=True))
    power = spectrum.real.square() + spectrum.imag.square()
    covariance = torch.fft.irfft(power, n=length)[:, : length // 2 + 1]
    variance = covariance[:, :1]
    correlation = covariance[:, 1:] / variance.where(variance > 0, 1.0)
    # what only rounding distinguishes is equal
    correlation = (correlation / _EQUAL_WITHIN).round()
    order = correlation.argsort(dim=1, descending=True, stable=True)
    return order[:, :n_lags] + 1


def _median(windows: Tensor) -> Tensor:
    """Give the median; torch's own is the lower of the two values in the middle."""
    length = windows.shape[1]
    ordered = windows.sort(dim=1).values
    return (ordered[:, (length - 1) // 2] + ordered[:, length // 2]) / 2
