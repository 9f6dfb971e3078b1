"""Statistics of windows in words, and words as token ids."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from sktime_llm._validation import one_of
from sktime_llm.text.statistics import WindowStatistics

TEXT_STYLES = ("short", "published")
PADDING = -1
"""Stands where a text has no token; not every tokenizer has one for padding."""

_TREND = {-1: "falling", 0: "flat", 1: "rising"}
_PUBLISHED_TREND = {-1: "downward", 0: "downward", 1: "upward"}


def write_texts(statistics: WindowStatistics, style: str = "short") -> list[str]:
    """Write the statistics of every window as one sentence.

    "published" is the sentence of BALM-TSF, arXiv 2509.00622; "short" says the same in
    a quarter of the tokens, with numbers as whole tenths: 13 is 1.3.
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


def tokenize(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Return token ids, int32 of shape (text, token), padded at the end by -1.

    Equal texts are tokenized once, and no special tokens are added.
    """
    distinct = list(dict.fromkeys(texts))
    encoded = tokenizer(distinct, add_special_tokens=False, verbose=False)["input_ids"]
    ids = [torch.tensor(row, dtype=torch.int32) for row in encoded]
    rows = dict(zip(distinct, ids, strict=True))
    return pad_sequence(
        [rows[text] for text in texts], batch_first=True, padding_value=PADDING
    )
