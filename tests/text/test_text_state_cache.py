"""What is remembered of texts: never anything else than what reading them gives."""

import pytest
import torch

from sktime_llm.text.text_state_cache import TextStateCache

SHAPE = (2, 3)
TOKEN_BYTES = 2 * 3 * 4
TEXTS = [[3, 4, 5], [3], [7, 8], [4, 3], [9, 9, 9, 9]]

room = pytest.mark.parametrize("n_tokens", [0, 3, 5, 1000])


class Reader:
    """Gives what depends on all tokens of a text, and rubbish at its padding."""

    def __init__(self):
        self.seen = []

    def __call__(self, token_ids):
        self.seen += [tuple(ids[ids >= 0].tolist()) for ids in token_ids]
        ids = token_ids.float()
        is_token = ids >= 0
        history = (ids.clamp(min=0) * 0.7).cumsum(dim=1) + ids**2
        history = history.where(is_token, torch.tensor(-99.0))
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


@room
def test_the_same_with_and_without_room(n_tokens):
    cache, read = cache_for(n_tokens), Reader()
    batches = [TEXTS[:2], TEXTS[1:4], TEXTS[3:], TEXTS[::-1], TEXTS[1:2]]
    for texts in batches:
        token_ids = ids_of(texts)
        actual = cache.states(token_ids, read)
        assert torch.equal(actual, what_reading_gives(token_ids))


@room
def test_padding_of_the_batch_is_kept(n_tokens):
    # another width each time: known, new, and both together
    cache, read = cache_for(n_tokens), Reader()
    for texts, width in [(TEXTS[:2], 6), (TEXTS[:2], 3), (TEXTS[1:4], 9)]:
        token_ids = ids_of(texts, width)
        actual = cache.states(token_ids, read)
        assert actual.shape == (len(texts), width, *SHAPE)
        assert torch.equal(actual, what_reading_gives(token_ids))


def test_each_text_is_read_once():
    cache, read = cache_for(1000), Reader()
    for _ in range(3):
        cache.states(ids_of(TEXTS[:3]), read)
        cache.states(ids_of(TEXTS[1:], width=7), read)
    assert sorted(read.seen) == sorted(map(tuple, TEXTS))
    assert len(cache) == len(TEXTS)


@room
def test_equal_texts_of_a_batch_are_read_once(n_tokens):
    cache, read = cache_for(n_tokens), Reader()
    token_ids = ids_of([TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[0]])
    actual = cache.states(token_ids, read)
    assert sorted(read.seen) == [(3,), (3, 4, 5)]
    assert torch.equal(actual, what_reading_gives(token_ids))
    # and take their room once
    cache = cache_for(4)
    cache.states(token_ids, read)
    assert len(cache) == 2


def test_a_text_is_not_its_beginning():
    cache, read = cache_for(1000), Reader()
    for texts in ([[3, 4]], [[3]], [[3, 4, 5]], [[4, 3]]):
        token_ids = ids_of(texts)
        actual = cache.states(token_ids, read)
        assert torch.equal(actual, what_reading_gives(token_ids))
    assert len(cache) == 4


def kept_bytes(cache):
    storages = [state.untyped_storage() for state in cache._kept.values()]
    return sum(storage.nbytes() for storage in storages)


@pytest.mark.parametrize("n_tokens", [0, 1, 2, 3, 5, 8])
def test_the_limit_is_of_what_is_held(n_tokens):
    cache, read = cache_for(n_tokens), Reader()
    for i in range(0, len(TEXTS), 2):
        cache.states(ids_of(TEXTS[i : i + 2], width=9), read)
    assert kept_bytes(cache) <= n_tokens * TOKEN_BYTES
    # the storage of a batch that is read is not held through one of its texts
    states = cache._kept.values()
    assert kept_bytes(cache) == sum(s.numel() * s.element_size() for s in states)
    # texts that still fit are kept after one that does not
    n_kept = {0: 0, 1: 1, 2: 1, 3: 1, 5: 2, 8: 4}[n_tokens]
    assert len(cache) == n_kept


def test_texts_beyond_the_limit_are_read_again():
    cache, read = cache_for(4), Reader()  # of the first two texts
    for _ in range(3):
        cache.states(ids_of(TEXTS[:3]), read)
    assert len(cache) == 2
    assert read.seen.count((7, 8)) == 3
    assert len(read.seen) == 2 + 3


def test_what_is_given_does_not_change_what_is_known():
    cache, read = cache_for(1000), Reader()
    token_ids = ids_of(TEXTS[:2])
    for _ in range(3):
        actual = cache.states(token_ids, read)
        assert torch.equal(actual, what_reading_gives(token_ids))
        actual.zero_()


def test_texts_met_in_inference_mode_can_be_trained_on():
    cache, read = cache_for(1000), Reader()
    token_ids = ids_of(TEXTS)
    with torch.inference_mode():
        cache.states(token_ids, read)
    weight = torch.ones(3, requires_grad=True)
    states = cache.states(token_ids, read)
    (states * weight).square().sum().backward()
    expected = 2 * what_reading_gives(token_ids).square().sum(dim=(0, 1, 2))
    torch.testing.assert_close(weight.grad, expected)
    assert len(read.seen) == len(TEXTS)
