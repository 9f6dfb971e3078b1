"""Statistics of windows in words, and words as token ids."""

from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from sktime_llm.errors import InputError
from sktime_llm.text.statistics import WindowStatistics

TEXT_STYLES = ("short", "published")
PADDING = -1
"""Stands where a text has no token; a tokenizer need not have one for padding."""

_TREND = {
    "short": {-1: "falling", 0: "flat", 1: "rising"},
    "published": {-1: "downward", 0: "downward", 1: "upward"},
}


def write_texts(statistics: WindowStatistics, style: str = "short") -> np.ndarray:
    """Write the statistics of every window as one sentence.

    Parameters
    ----------
    statistics : WindowStatistics
        Of any number of windows.
    style : {"short", "published"}, default="short"
        ``"published"`` is the sentence of [1]_, with numbers in full; ``"short"`` says
        the same in a quarter of the tokens, with numbers as whole tenths: 13 is 1.3.

    Returns
    -------
    array of str of shape (batch,)

    Raises
    ------
    InputError
        If there is no such style.

    References
    ----------
    .. [1] S. Zhou et al. (2025). BALM-TSF: Balanced Multimodal Alignment for LLM-Based
       Time Series Forecasting. CIKM. arXiv 2509.00622.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.text.window_text import write_texts
    >>> from sktime_llm.text.statistics import window_statistics
    >>> windows = torch.tensor([[-1.0, 0.5, -1.0, 0.5, -1.0, 1.0]])
    >>> write_texts(window_statistics(windows, n_lags=2)).tolist()
    ['min -10 max 10 median -2 rising lags 2 1']
    """
    if style not in TEXT_STYLES:
        raise InputError(f"text_style={style!r}, expected one of {TEXT_STYLES}.")
    numbers = [_numbers(part, style) for part in statistics[:3]]
    trend = _words(statistics.trend, _TREND[style])
    lags = [column.astype(str) for column in statistics.lags.cpu().numpy().T]
    if style == "short":
        pieces = ["min ", numbers[0], " max ", numbers[1], " median ", numbers[2]]
        pieces += [" ", trend, " lags" if lags else ""]
        for lag in lags:
            pieces += [" ", lag]
    else:
        pieces = ["min value ", numbers[0], ", max value ", numbers[1]]
        pieces += [", median value ", numbers[2], ", the trend of input is ", trend]
        pieces += [f", top {len(lags)} lags are : [" if lags else ""]
        for i, lag in enumerate(lags):
            pieces += [", " if i else "", lag]
        pieces += ["]" if lags else ""]
    join: Any = np.char.add
    return np.asarray(reduce(join, pieces))


def _numbers(values: Tensor, style: str) -> np.ndarray:
    numbers = values.cpu().numpy().astype(np.float64)
    if style == "short":  # half the tokens: tokenizers take each digit after a point
        return (numbers * 10).round().astype(np.int64).astype(str)
    return (numbers + 0.0).astype(str)  # + 0.0: there is no -0.0


def _words(codes: Tensor, words: dict[int, str]) -> np.ndarray:
    order = sorted(words)
    table = np.array([words[code] for code in order])
    return table[np.searchsorted(order, codes.cpu().numpy())]


def tokenize(texts: np.ndarray, tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Turn texts into token ids; equal texts are tokenized once.

    Parameters
    ----------
    texts : array of str of shape (batch,)
        Any texts.
    tokenizer : PreTrainedTokenizerBase
        A fast one. No special tokens are added.

    Returns
    -------
    Tensor of int32 of shape (batch, token)
        Padded at the end by -1.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_llm.backbone.loading import load_tokenizer
    >>> from sktime_llm.text.window_text import tokenize
    >>> tokenize(np.array(["abc", "a"]), load_tokenizer("tiny-random"))
    tensor([[ 5,  6,  7],
            [ 5, -1, -1]], dtype=torch.int32)
    """
    distinct, which = np.unique(texts, return_inverse=True)
    encoded = tokenizer(
        distinct.tolist(),
        add_special_tokens=False,
        return_attention_mask=False,
        verbose=False,
    )["input_ids"]
    lengths = np.array([len(ids) for ids in encoded])
    table = np.full((len(encoded), lengths.max()), PADDING, dtype=np.int32)
    table[np.arange(lengths.max()) < lengths[:, None]] = np.concatenate(encoded)
    return torch.from_numpy(table[which.ravel()])
