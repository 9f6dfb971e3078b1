import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktime_llm.errors import InputError
from sktime_llm.layers.grouped_query_attention import GroupedQueryAttention
from tests.reference import llm_ts_net as reference

BATCH, TOKENS, KEYS, WIDTH, HEADS = 3, 4, 5, 8, 4

close = torch.testing.assert_close


def make_layer(n_kv_heads, **kwargs):
    torch.manual_seed(0)
    return GroupedQueryAttention(WIDTH, HEADS, n_kv_heads, **kwargs).double()


def random(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make_mask():
    mask = torch.ones(BATCH, KEYS, dtype=torch.bool)
    mask[0, 1:3] = False
    mask[1, :4] = False
    return mask


def gradients(out, *inputs):
    weights = random(*out.shape)
    return torch.autograd.grad((out * weights).sum(), inputs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("to_itself", [False, True])
@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_equals_the_reference(n_kv_heads, to_itself, masked):
    layer = make_layer(n_kv_heads)
    tokens = random(BATCH, KEYS if to_itself else TOKENS, WIDTH).requires_grad_()
    memory = tokens if to_itself else random(BATCH, KEYS, WIDTH).requires_grad_()
    mask = make_mask() if masked else None
    out = layer(tokens, None if to_itself else memory, mask)
    expected = torch.stack(
        [
            reference.grouped_query_attention(
                dict(layer.named_parameters()),
                tokens[i],
                memory[i],
                HEADS,
                n_kv_heads,
                None if mask is None else mask[i].tolist(),
            )
            for i in range(BATCH)
        ]
    )
    close(out, expected, rtol=1e-12, atol=1e-12)
    inputs = (tokens, memory, *layer.parameters())
    for ours, theirs in zip(
        gradients(out, *inputs), gradients(expected, *inputs), strict=True
    ):
        close(ours, theirs, rtol=1e-10, atol=1e-10)


def torch_layer(layer):
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double()
    parts = (layer.query, layer.key, layer.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
        theirs.out_proj.load_state_dict(layer.output.state_dict())
    return theirs


@pytest.mark.parametrize("masked", [False, True])
def test_equals_torch_with_as_many_key_heads_as_query_heads(masked):
    layer = make_layer(None)
    tokens, memory = random(BATCH, TOKENS, WIDTH), random(BATCH, KEYS, WIDTH)
    mask = make_mask() if masked else None
    padding = None if mask is None else ~mask
    theirs, _ = torch_layer(layer)(tokens, memory, memory, key_padding_mask=padding)
    close(layer(tokens, memory, mask), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_equals_grouped_attention_of_torch(n_kv_heads):
    layer = make_layer(n_kv_heads)
    tokens = random(BATCH, TOKENS, WIDTH)
    d_head = WIDTH // HEADS
    queries, keys, values = (
        projection(tokens).unflatten(2, (-1, d_head)).transpose(1, 2)
        for projection in (layer.query, layer.key, layer.value)
    )
    mixed = F.scaled_dot_product_attention(queries, keys, values, enable_gqa=True)
    expected = layer.output(mixed.transpose(1, 2).flatten(2))
    close(layer(tokens), expected, rtol=1e-12, atol=1e-12)


def test_fewer_key_heads_have_fewer_parameters():
    assert make_layer(2).key.weight.shape == (4, WIDTH)
    assert make_layer(1).value.weight.shape == (2, WIDTH)


def test_masked_keys_do_not_matter():
    layer, mask = make_layer(2), make_mask()
    tokens, memory = random(BATCH, TOKENS, WIDTH), random(BATCH, KEYS, WIDTH)
    changed = memory.masked_fill(~mask.unsqueeze(2), 1e3)
    close(layer(tokens, changed, mask), layer(tokens, memory, mask))
    assert not torch.allclose(layer(tokens, changed), layer(tokens, memory))


def test_a_sample_without_keys_gives_the_bias_and_finite_gradients():
    layer = make_layer(2)
    tokens = random(BATCH, KEYS, WIDTH).requires_grad_()
    mask = make_mask()
    mask[1] = False
    out = layer(tokens, mask=mask)
    close(out[1], layer.output.bias.expand(KEYS, -1))
    out.square().sum().backward()
    assert tokens.grad.isfinite().all()
    assert not tokens.grad[1].any()
    assert tokens.grad[0].any()


def test_permuted_tokens_give_permuted_outputs():
    layer, tokens = make_layer(2), random(BATCH, KEYS, WIDTH)
    order = torch.tensor([3, 0, 4, 1, 2])
    close(layer(tokens[:, order]), layer(tokens)[:, order])
    close(layer(tokens, tokens[:, order]), layer(tokens))


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_no_matrix_of_all_pairs_is_kept(n_kv_heads):
    n_tokens, kept = 64, []
    layer = make_layer(n_kv_heads).float()
    tokens = torch.randn(2, n_tokens, WIDTH)
    mask = torch.rand(2, n_tokens) < 0.8
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.untyped_storage().nbytes()) or t, lambda t: t
    ):
        layer(tokens, mask=mask)
    assert max(kept) < 4 * 2 * n_tokens * n_tokens


def test_dropout_is_on_in_training_only():
    layer, tokens = make_layer(2, dropout=0.5), random(BATCH, KEYS, WIDTH)
    assert not torch.equal(layer(tokens), layer(tokens))
    layer.eval()
    close(layer(tokens), make_layer(2)(tokens))


@pytest.mark.parametrize(
    ("d_model", "n_heads", "n_kv_heads", "message"),
    [
        (8, 3, 1, "n_heads=3, expected a divisor of d_model=8"),
        (8, 0, 1, "n_heads=0, expected a divisor of d_model=8"),
        (8, 4, 3, "n_kv_heads=3, expected a divisor of n_heads=4"),
        (8, 4, 8, "n_kv_heads=8, expected a divisor of n_heads=4"),
        (8, 4, 0, "n_kv_heads=0, expected a divisor of n_heads=4"),
    ],
)
def test_heads_that_do_not_divide(d_model, n_heads, n_kv_heads, message):
    with pytest.raises(InputError, match=message):
        GroupedQueryAttention(d_model, n_heads, n_kv_heads)
