"""The cache never returns anything but what reading the texts gives."""

import pytest
import torch

from sktime_llm.text.window_text import TextStateCache

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
