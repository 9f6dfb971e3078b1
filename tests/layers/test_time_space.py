import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.layers.time_space import TimeSpaceBlock
from tests.layers.tools import assert_same, random, shaken
from tests.reference import llm_ts_net as reference

BATCH, SERIES, TOKENS, WIDTH, HEADS, KV_HEADS = 2, 3, 4, 8, 4, 2
ALL, INTRA, INTER, NONE = (
    {"intra_series": intra, "inter_series": inter}
    for intra, inter in ((True, True), (True, False), (False, True), (False, False))
)

close = torch.testing.assert_close


def make_block(parts=ALL, **kwargs):
    torch.manual_seed(0)
    return shaken(TimeSpaceBlock(WIDTH, HEADS, KV_HEADS, d_ff=12, **parts, **kwargs))


def make_tokens():
    return random(BATCH, SERIES, TOKENS, WIDTH)


@pytest.mark.parametrize("parts", [ALL, INTRA, INTER, NONE])
def test_equals_the_reference(parts):
    block, tokens = make_block(parts), make_tokens().requires_grad_()
    weights = dict(block.named_parameters())
    expected = [
        reference.time_space_block(weights, window, HEADS, KV_HEADS)
        for window in tokens
    ]
    assert_same(block(tokens), torch.stack(expected), (tokens, *block.parameters()))


@pytest.mark.parametrize(
    ("parts", "seen_by"),
    [
        (ALL, [(i, j) for i in range(SERIES) for j in range(TOKENS)]),
        (INTRA, [(1, j) for j in range(TOKENS)]),
        (INTER, [(i, 2) for i in range(SERIES)]),
        (NONE, [(1, 2)]),
    ],
)
def test_which_tokens_see_a_token(parts, seen_by):
    block, tokens = make_block(parts), make_tokens()
    changed = tokens.clone()
    changed[0, 1, 2] += torch.arange(WIDTH)
    differs = (block(changed) - block(tokens)).abs().amax(-1) > 1e-9
    assert differs.nonzero().tolist() == [[0, *place] for place in seen_by]


def test_a_removed_attention_has_no_parameters():
    def size(parts):
        return sum(p.numel() for p in make_block(parts).parameters())

    assert size(INTRA) == size(INTER) < size(ALL)
    assert size(ALL) - size(INTRA) == size(INTRA) - size(NONE)


def test_memory_is_linear_in_the_number_of_series():
    def kept_bytes(n_series):
        kept = {}

        def pack(t):
            storage = t.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return t

        block = make_block(dropout=0.1).float()
        tokens = torch.randn(2, n_series, 3, WIDTH)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            out = block(tokens)
        return sum(kept.values()) / n_series + 0 * float(out.detach().sum())

    assert kept_bytes(200) < 1.1 * kept_bytes(100)


def test_dropout_is_on_in_training_only():
    block, tokens = make_block(dropout=0.5), make_tokens()
    assert not torch.equal(block(tokens), block(tokens))
    block.eval()
    close(block(tokens), make_block()(tokens))


def test_default_widths():
    block = TimeSpaceBlock(WIDTH, HEADS)
    assert block.feed_forward[0].out_features == 4 * WIDTH
    assert block.intra_series.attention.n_kv_heads == HEADS


def test_heads_that_do_not_divide():
    with pytest.raises(InputError, match="n_kv_heads=3, expected a divisor"):
        TimeSpaceBlock(WIDTH, HEADS, 3)
