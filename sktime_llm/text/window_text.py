"""Statistics of windows in words, words as token ids, and the states of texts."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sktime_llm._validation import one_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXT_STYLES = ("short", "published")
PADDING = -1
"""Stands where a text has no token; not every tokenizer has one for padding."""
_TOKENIZED_AT_ONCE = 256  # a tokenizer returns many times as much as the token ids

_TREND = {-1: "falling", 0: "flat", 1: "rising"}
_PUBLISHED_TREND = {-1: "downward", 0: "downward", 1: "upward"}
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
    """Return statistics of finite windows, (batch, time)."""
    ordered, length = windows.sort(dim=1).values, windows.shape[1]
    # torch's own median is the lower of the two values in the middle
    median = (ordered[:, (length - 1) // 2] + ordered[:, length // 2]) / 2
    trend = (windows[:, -1] - windows[:, 0]).sign().to(torch.int64)
    lags = _top_lags(windows, n_lags)
    return WindowStatistics(ordered[:, 0], ordered[:, -1], median, trend, lags)


def _top_lags(windows: Tensor, n_lags: int) -> Tensor:
    """Find the lags of highest circular autocorrelation, (batch, time) to (batch, lag).

    It is symmetric around half the window, so only lags up to there are ranked, without
    lag 0. Among lags that agree to about 1e-4 the shorter comes first.
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


def write_texts(statistics: WindowStatistics, style: str = "short") -> list[str]:
    """Write the statistics of every window as one sentence.

    "published" is that of BALM-TSF, arXiv 2509.00622; "short" says the same in a
    quarter of the tokens, with numbers as whole tenths: 13 is 1.3.
    """
    one_of(*TEXT_STYLES).check("text_style", style)
    write = _short if style == "short" else _published
    numbers = torch.stack(statistics[:3]).cpu().numpy().astype(np.float64)
    if style == "short":  # half the tokens: each digit after a point would be one
        numbers = (numbers * 10).round().astype(np.int64)
    rows = zip(
        *(numbers + 0).tolist(),  # + 0: there is no -0.0
        statistics.trend.tolist(),
        statistics.lags.tolist(),
        strict=True,
    )
    return [write(*row) for row in rows]


def _short(minimum: int, maximum: int, median: int, trend: int, lags: list[int]) -> str:
    text = f"min {minimum} max {maximum} median {median} {_TREND[trend]}"
    return f"{text} lags {' '.join(map(str, lags))}" if lags else text


def _published(
    minimum: float, maximum: float, median: float, trend: int, lags: list[int]
) -> str:
    text = (
        f"min value {minimum}, max value {maximum}, median value {median}, "
        f"the trend of input is {_PUBLISHED_TREND[trend]}, "
    )
    return f"{text}top {len(lags)} lags are : {lags}" if lags else text.rstrip(", ")


def tokenize(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> Tensor:
    """Return token ids, int32 of shape (text, token), padded at the end by -1.

    Equal texts are tokenized once, and no special tokens are added.
    """
    distinct = list(dict.fromkeys(texts))
    ids: list[Tensor] = []
    for at in range(0, len(distinct), _TOKENIZED_AT_ONCE):
        part = distinct[at : at + _TOKENIZED_AT_ONCE]
        encoded = tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"]
        ids += [torch.tensor(row, dtype=torch.int32) for row in encoded]
    rows = dict(zip(distinct, ids, strict=True))
    return pad_sequence(
        [rows[text] for text in texts], batch_first=True, padding_value=PADDING
    )


class TextStateCache:
    """Keep the states of texts, as many as fit; all others are read again."""

    def __init__(self, gigabytes: float) -> None:
        self._room = gigabytes * 10**9
        self._kept: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def states(self, token_ids: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the states of texts, (text, token, ...), zero at padding.

        `token_ids`, (text, token), are negative at padding; `read` takes some of them.
        """
        lengths = (token_ids >= 0).sum(dim=1).tolist()
        rows = token_ids.cpu().numpy()
        keys = [rows[i, :n].tobytes() for i, n in enumerate(lengths)]
        known = {key: self._kept[key] for key in keys if key in self._kept}
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            at = list(new.values())
            for (key, i), state in zip(new.items(), read(token_ids[at]), strict=True):
                known[key] = self._keep(key, state[: lengths[i]])
        states = pad_sequence([known[key] for key in keys], batch_first=True)
        n_missing = token_ids.shape[1] - states.shape[1]
        return F.pad(states, (0, 0) * (states.ndim - 2) + (0, n_missing))

    def _keep(self, key: bytes, state: Tensor) -> Tensor:
        size = state.numel() * state.element_size()
        if size <= self._room:
            self._room -= size
            self._kept[key] = state = state.clone()
        return state
