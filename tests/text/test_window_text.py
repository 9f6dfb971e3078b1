"""Statistics of windows against plain formulas, their words, and states of texts."""

import copy
import logging
import math

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from sktime_llm.backbone.loading import load_tokenizer
from sktime_llm.errors import InputError
from sktime_llm.layers.normalization import instance_norm
from sktime_llm.text.window_text import (
    PADDING,
    TEXT_STYLES,
    TextStateCache,
    WindowStatistics,
    tokenize,
    window_statistics,
    write_texts,
)
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


THIRD = 1 / 3


def make_statistics(
    minimum=(-1.26,), maximum=(2.0,), median=(THIRD,), trend=(1,), lags=((3, 12),)
):
    numbers = [torch.tensor(v, dtype=torch.float64) for v in (minimum, maximum, median)]
    lags = torch.tensor(lags, dtype=torch.int64).view(len(trend), -1)
    return WindowStatistics(*numbers, torch.tensor(trend), lags)


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


class CountingTokenizer:
    """The tiny tokenizer, and what it was given."""

    def __init__(self):
        self.given, self.most = [], 0
        self.tokenizer = load_tokenizer("tiny-random")

    def __call__(self, texts, **kwargs):
        self.given += texts
        self.most = max(self.most, len(texts))
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


def test_many_texts_are_tokenized_a_few_at_a_time():
    # of each, a tokenizer returns many times the memory of its token ids
    tokenizer = CountingTokenizer()
    texts = [f"{i}" for i in range(1000)]
    assert decode(tokenize(texts, tokenizer)) == texts
    assert tokenizer.given == texts
    assert tokenizer.most <= 256


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


SHAPE = (2, 3)
TOKEN_BYTES = 2 * 3 * 4
TEXTS = [[3, 4, 5], [3], [7, 8], [4, 3], [9, 9, 9, 9]]


class Reader:
    """Returns what depends on all tokens of a text, and rubbish at its padding."""

    def __init__(self):
        self.seen = []

    def __call__(self, token_ids):
        self.seen += [tuple(ids[ids >= 0].tolist()) for ids in token_ids]
        ids = token_ids.float()
        history = (ids.clamp(min=0) * 0.7).cumsum(dim=1) + ids**2
        history = history.where(ids >= 0, torch.tensor(-99.0))
        return history[:, :, None, None] * torch.arange(1.0, 7.0).view(SHAPE)


def ids_of(texts, width=None):
    width = width or max(map(len, texts))
    rows = [text + [-1] * (width - len(text)) for text in texts]
    return torch.tensor(rows, dtype=torch.int32)


def what_reading_gives(token_ids):
    states = Reader()(token_ids)
    return states.masked_fill((token_ids < 0)[:, :, None, None], 0.0)


def cache_for(n_tokens):
    return TextStateCache(n_tokens * TOKEN_BYTES / 1e9)


@pytest.mark.parametrize("n_tokens", [0, 3, 5, 1000])
@pytest.mark.parametrize("width", [None, 4, 9])
def test_the_same_with_and_without_room(n_tokens, width):
    cache, read = cache_for(n_tokens), Reader()
    batches = [TEXTS[:2], TEXTS[1:4], TEXTS[3:], TEXTS[::-1], TEXTS[1:2], TEXTS[:2] * 2]
    for texts in batches:
        token_ids = ids_of(texts, width)
        actual = cache.states(token_ids, read)
        assert torch.equal(actual, what_reading_gives(token_ids))
        actual.zero_()  # which must not change what is kept


@pytest.mark.parametrize(
    ("n_tokens", "n_kept", "n_read"), [(1000, 5, 5), (4, 2, 2 + 3 * 3), (0, 0, 5 * 3)]
)
def test_texts_that_are_kept_are_read_once(n_tokens, n_kept, n_read):
    cache, read = cache_for(n_tokens), Reader()
    for width in (4, 7, 4):
        cache.states(ids_of([*TEXTS, TEXTS[0]], width), read)  # equal ones together
    assert len(cache) == n_kept
    assert len(read.seen) == n_read
    assert set(read.seen) == set(map(tuple, TEXTS))


@pytest.mark.parametrize(
    ("n_tokens", "n_kept"), [(0, 0), (1, 1), (2, 1), (3, 1), (5, 2), (8, 4)]
)
def test_the_limit_holds_for_the_memory_in_use(n_tokens, n_kept):
    cache, read = cache_for(n_tokens), Reader()
    for i in range(0, len(TEXTS), 2):
        cache.states(ids_of(TEXTS[i : i + 2], width=9), read)
    states = cache._kept.values()
    n_bytes = sum(state.untyped_storage().nbytes() for state in states)
    assert n_bytes <= n_tokens * TOKEN_BYTES
    # a text does not hold the storage of its whole batch
    assert n_bytes == sum(state.numel() * state.element_size() for state in states)
    # texts that still fit are kept after one that does not
    assert len(cache) == n_kept


def test_texts_read_in_inference_mode_can_be_trained_on():
    cache, read = cache_for(1000), Reader()
    token_ids = ids_of(TEXTS)
    with torch.inference_mode():
        cache.states(token_ids, read)
    weight = torch.ones(3, requires_grad=True)
    (cache.states(token_ids, read) * weight).square().sum().backward()
    expected = 2 * what_reading_gives(token_ids).square().sum(dim=(0, 1, 2))
    torch.testing.assert_close(weight.grad, expected)
    assert len(read.seen) == len(TEXTS)
