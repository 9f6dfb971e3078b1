import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.layers.time_space import TimeSpaceBlock
from tests.reference import llm_ts_net as reference

BATCH, SERIES, TOKENS, WIDTH, HEADS, KV_HEADS = 2, 3, 4, 8, 4, 2
ALL, INTRA, INTER, NONE = (
    {"intra_series": intra, "inter_series": inter}
    for intra, inter in ((True, True), (True, False), (False, True), (False, False))
)

close = torch.testing.assert_close


def make_block(parts=ALL, **kwargs):
    """With layer norms that do something."""
    torch.manual_seed(0)
    block = TimeSpaceBlock(WIDTH, HEADS, KV_HEADS, d_ff=12, **parts, **kwargs).double()
    with torch.no_grad():
        for p in block.parameters():
            p.add_(torch.randn_like(p), alpha=0.3)
    return block


def random(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make_tokens():
    return random(BATCH, SERIES, TOKENS, WIDTH)


def make_mask():
    mask = torch.ones(BATCH, SERIES, TOKENS, dtype=torch.bool)
    mask[0, 0, 1:] = False
    mask[0, 1, 3] = False
    mask[1, 2] = False  # a series without a token
    mask[1, :, 0] = False  # a place without a token
    return mask


def gradients(out, *inputs):
    return torch.autograd.grad((out * random(*out.shape)).sum(), inputs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("parts", [ALL, INTRA, INTER, NONE])
def test_equals_the_reference(parts, masked):
    block, tokens = make_block(parts), make_tokens().requires_grad_()
    mask = make_mask() if masked else None
    out = block(tokens, mask)
    expected = torch.stack(
        [
            reference.time_space_block(
                dict(block.named_parameters()),
                tokens[i],
                HEADS,
                KV_HEADS,
                None if mask is None else mask[i],
            )
            for i in range(BATCH)
        ]
    )
    assert out.shape == tokens.shape
    close(out, expected, rtol=1e-11, atol=1e-11)
    inputs = (tokens, *block.parameters())
    for ours, theirs in zip(
        gradients(out, *inputs), gradients(expected, *inputs), strict=True
    ):
        close(ours, theirs, rtol=1e-9, atol=1e-9)


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


def test_masked_tokens_are_seen_by_no_other():
    block, tokens, mask = make_block(), make_tokens(), make_mask()
    changed = tokens.masked_fill(~mask.unsqueeze(3), 1e3)
    close(block(changed, mask)[mask], block(tokens, mask)[mask])
    assert not torch.allclose(block(changed)[mask], block(tokens)[mask])


def test_permuted_series_and_tokens_give_permuted_outputs():
    block, tokens = make_block(), make_tokens()
    series, places = torch.tensor([2, 0, 1]), torch.tensor([3, 1, 0, 2])
    close(block(tokens[:, series]), block(tokens)[:, series])
    close(block(tokens[:, :, places]), block(tokens)[:, :, places])


def test_time_comes_before_space():
    block, tokens = make_block(), make_tokens()
    swapped = make_block()
    swapped.intra_series, swapped.inter_series = block.inter_series, block.intra_series
    swapped_out = swapped(tokens.transpose(1, 2)).transpose(1, 2)
    assert not torch.allclose(swapped_out, block(tokens))


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
