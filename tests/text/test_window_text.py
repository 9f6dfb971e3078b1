"""Statistics in words, and words as token ids."""

import copy
import logging

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from sktime_llm.backbone.loading import load_tokenizer
from sktime_llm.errors import InputError
from sktime_llm.text.window_text import (
    PADDING,
    TEXT_STYLES,
    WindowStatistics,
    tokenize,
    window_statistics,
    write_texts,
)

THIRD = 1 / 3


def make_statistics(
    minimum=(-1.26,), maximum=(2.0,), median=(THIRD,), trend=(1,), lags=((3, 12),)
):
    numbers = [torch.tensor(v, dtype=torch.float64) for v in (minimum, maximum, median)]
    lags = torch.tensor(lags, dtype=torch.int64).view(len(trend), -1)
    return WindowStatistics(*numbers, torch.tensor(trend), lags)


# words


@pytest.mark.parametrize(
    ("changes", "short", "published"),
    [
        (
            {},
            "min -13 max 20 median 3 rising lags 3 12",
            "min value -1.26, max value 2.0, median value 0.3333333333333333, the "
            "trend of input is upward, top 2 lags are : [3, 12]",
        ),
        (
            {"trend": (0,), "median": (-0.05,), "minimum": (-0.051,), "lags": ((7,),)},
            "min -1 max 20 median 0 flat lags 7",
            "min value -0.051, max value 2.0, median value -0.05, the trend of input "
            "is downward, top 1 lags are : [7]",
        ),
        (
            {"trend": (-1,), "minimum": (-0.0,), "maximum": (0.0,), "lags": ((),)},
            "min 0 max 0 median 3 falling",
            "min value 0.0, max value 0.0, median value 0.3333333333333333, the "
            "trend of input is downward",
        ),
    ],
    ids=["all", "rounding", "no lags"],
)
def test_text(changes, short, published):
    statistics = make_statistics(**changes)
    assert write_texts(statistics) == [short]
    assert write_texts(statistics, "published") == [published]


def test_published_numbers_are_those_of_a_float32_window_in_full():
    windows = torch.tensor([[0.1, -0.7, 0.3]])
    (text,) = write_texts(window_statistics(windows, 1), "published")
    assert "min value -0.699999988079071, " in text


@pytest.mark.parametrize("style", TEXT_STYLES)
def test_every_window_has_its_own_sentence(style):
    windows = {
        "minimum": (-1.5, -2.5, -3.5),
        "maximum": (1.0, 2.0, 13.0),
        "median": (0.25, -0.5, 0.0),
        "trend": (1, -1, 0),
        "lags": ((1, 2), (24, 12), (5, 130)),
    }
    alone = []
    for i in range(3):
        one = {name: values[i : i + 1] for name, values in windows.items()}
        alone += write_texts(make_statistics(**one), style)
    assert write_texts(make_statistics(**windows), style) == alone
    assert len(set(alone)) == 3


@pytest.mark.parametrize("style", ["long", "", None])
def test_unknown_style(style):
    message = r"text_style=.*, expected one of \('short', 'published'\)"
    with pytest.raises(InputError, match=message):
        write_texts(make_statistics(), style)


# token ids


class CountingTokenizer:
    """The tiny tokenizer, and what it was given."""

    def __init__(self):
        self.given = []
        self.tokenizer = load_tokenizer("tiny-random")

    def __call__(self, texts, **kwargs):
        self.given += texts
        return self.tokenizer(texts, **kwargs)


def decode(token_ids):
    tokenizer = load_tokenizer("tiny-random")
    return [
        "".join(tokenizer.convert_ids_to_tokens(ids[ids != PADDING]))
        for ids in token_ids
    ]


def test_each_text_is_tokenized_once_and_padded_at_the_end():
    tokenizer = CountingTokenizer()
    texts = ["rising", "min -13", "x", "rising"]
    token_ids = tokenize(texts, tokenizer)
    assert sorted(tokenizer.given) == ["min -13", "rising", "x"]
    assert decode(token_ids) == texts
    assert token_ids.dtype == torch.int32
    assert token_ids.shape == (4, 7)
    n_padding = (token_ids == PADDING).sum(dim=1).tolist()
    assert n_padding == [1, 0, 6, 1]
    assert (token_ids.sort(dim=1, descending=True).values[2, 1:] == PADDING).all()


def test_neither_special_tokens_nor_a_padding_token_is_needed():
    # BERT's tokenizer adds special tokens, GPT-2's has none for padding
    tokenizer = copy.deepcopy(load_tokenizer("tiny-random"))
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=special
    )
    tokenizer.pad_token = None
    assert tokenizer(["a"])["input_ids"][0][0] == 2
    assert decode(tokenize(["ab", "a"], tokenizer)) == ["ab", "a"]


def test_texts_longer_than_the_model_are_left_whole_without_a_word(caplog, monkeypatch):
    # how many tokens fit is not the tokenizer's affair
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    tokenizer = copy.deepcopy(load_tokenizer("tiny-random"))  # it warns only once
    assert tokenize(["a" * 700], tokenizer).shape == (1, 700)
    assert caplog.records == []
