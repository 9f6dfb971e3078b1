"""Statistics in words, and words as token ids."""

import copy
import logging

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from sktime_llm.backbone.loading import load_tokenizer
from sktime_llm.errors import InputError
from sktime_llm.text.statistics import WindowStatistics, window_statistics
from sktime_llm.text.window_text import PADDING, TEXT_STYLES, tokenize, write_texts

THIRD = 1 / 3


def make_statistics(
    minimum=(-1.26,), maximum=(2.0,), median=(THIRD,), trend=(1,), lags=((3, 12),)
):
    numbers = [torch.tensor(v, dtype=torch.float64) for v in (minimum, maximum, median)]
    lags = torch.tensor(lags, dtype=torch.int64).view(len(trend), -1)
    return WindowStatistics(*numbers, torch.tensor(trend), lags)


def write(style="short", **statistics):
    return write_texts(make_statistics(**statistics), style)


# words


def test_short_style():
    assert write() == ["min -13 max 20 median 3 rising lags 3 12"]


def test_published_style():
    assert write("published") == [
        "min value -1.26, max value 2.0, median value 0.3333333333333333, the trend of "
        "input is upward, top 2 lags are : [3, 12]"
    ]


def test_published_numbers_are_those_of_the_window_in_full():
    windows = torch.tensor([[0.1, -0.7, 0.3]])
    (text,) = write_texts(window_statistics(windows, 1), "published")
    assert f"min value {windows[0, 1].item()!r}, " in text
    assert "-0.699999988079071" in text


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ("short", ["falling", "flat", "rising"]),
        ("published", ["downward", "downward", "upward"]),
    ],
)
def test_trend(style, words):
    for trend, word in zip((-1, 0, 1), words, strict=True):
        (text,) = write(style, trend=(trend,))
        assert f" {word} " in text or f" {word}," in text


@pytest.mark.parametrize("style", TEXT_STYLES)
def test_every_window_has_its_own_sentence(style):
    windows = {
        "minimum": (-1.5, -2.5, -3.5),
        "maximum": (1.0, 2.0, 13.0),
        "median": (0.25, -0.5, 0.0),
        "trend": (1, -1, 0),
        "lags": ((1, 2), (24, 12), (5, 130)),
    }
    alone = [
        write(style, **{name: values[i : i + 1] for name, values in windows.items()})[0]
        for i in range(3)
    ]
    assert write(style, **windows) == alone
    assert len(set(alone)) == 3


@pytest.mark.parametrize("style", TEXT_STYLES)
def test_no_minus_zero(style):
    (text,) = write(style, minimum=(-0.0,), maximum=(-0.0,), median=(-0.0,))
    assert "-" not in text
    assert text.count(" 0.0" if style == "published" else " 0 ") == 3


def test_no_minus_zero_from_rounding():
    assert write(minimum=(-0.049,), median=(-0.05,)) == [
        "min 0 max 20 median 0 rising lags 3 12"
    ]
    assert write(minimum=(-0.051,))[0].startswith("min -1 ")


@pytest.mark.parametrize("style", TEXT_STYLES)
def test_without_lags(style):
    (text,) = write(style, lags=((),))
    assert "lag" not in text
    assert "[" not in text
    assert text == text.strip()
    # the rest is what it is with lags
    assert write(style)[0].startswith(text)


@pytest.mark.parametrize("style", TEXT_STYLES)
@pytest.mark.parametrize("n_lags", [1, 3])
def test_lags_in_their_order(style, n_lags):
    lags = [7, 3, 11][:n_lags]
    (text,) = write(style, lags=(tuple(lags),))
    listed = text.partition("lags")[2].strip(" are:[]")
    assert [int(lag) for lag in listed.replace(",", " ").split()] == lags


@pytest.mark.parametrize("style", TEXT_STYLES)
def test_statistics_in_float32(style):
    statistics = make_statistics()
    numbers = [values.float() for values in statistics[:3]]
    (text,) = write_texts(WindowStatistics(*numbers, *statistics[3:]), style)
    expected = f"{numbers[0].item()!r}" if style == "published" else "-13"
    assert expected in text


@pytest.mark.parametrize("style", ["long", "", None])
def test_unknown_style(style):
    message = r"text_style=.*, expected one of \('short', 'published'\)"
    with pytest.raises(InputError, match=message):
        write(style)


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


def test_tokens_are_those_of_the_texts():
    texts = ["rising", "min -13", "x", "rising"]
    token_ids = tokenize(texts, load_tokenizer("tiny-random"))
    assert decode(token_ids) == texts
    assert token_ids.dtype == torch.int32


def test_padding_is_at_the_end_and_no_longer_than_needed():
    texts = ["abc", "a", "ab"]
    token_ids = tokenize(texts, load_tokenizer("tiny-random"))
    assert (token_ids == PADDING).tolist() == [
        [False, False, False],
        [False, True, True],
        [False, False, True],
    ]


def test_equal_texts_are_tokenized_once():
    tokenizer = CountingTokenizer()
    texts = ["min 1", "max 2", "min 1", "min 1", "max 2"]
    token_ids = tokenize(texts, tokenizer)
    assert sorted(tokenizer.given) == ["max 2", "min 1"]
    assert decode(token_ids) == texts


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
