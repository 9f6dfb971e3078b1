import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.layers.attention import (
    AttentionPooling,
    CrossModalFusion,
    GroupedQueryAttention,
    TimeSpaceBlock,
)
from tests.layers.tools import assert_same, dropout_rates, random, shaken
from tests.reference import llm_ts_net as reference

BATCH, SERIES, TOKENS, KEYS, WIDTH, TEXT_WIDTH, HEADS = 3, 4, 4, 5, 8, 6, 4
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]])

close = torch.testing.assert_close


def make_attention(n_kv_heads):
    torch.manual_seed(0)
    return GroupedQueryAttention(WIDTH, HEADS, n_kv_heads).double()


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_weights_are_those_that_mix_the_values(n_kv_heads):
    layer, tokens = make_attention(n_kv_heads), random(BATCH, TOKENS, WIDTH)
    memory = random(BATCH, KEYS, WIDTH, seed=2)
    weights = layer.weights(tokens, memory)
    close(weights.sum(dim=-1), torch.ones(BATCH, TOKENS, dtype=torch.float64))
    with torch.no_grad():  # heads of equal values mix them by their mean weights
        layer.value.weight.zero_()
        layer.value.weight[:, :KEYS] = random(1, KEYS, seed=4)
        layer.value.bias.zero_()
        one = layer.value(memory)[..., :1]
        layer.output.weight.copy_(torch.full((WIDTH, WIDTH), 1 / WIDTH))
        layer.output.bias.zero_()
    close(layer(tokens, memory)[..., :1], weights @ one)
    shared = layer.weights(tokens, memory[0])
    close(shared[0], weights[0])


@pytest.mark.parametrize("memory", ["itself", "another", "shared"])
@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_attention_equals_the_reference(n_kv_heads, memory):
    layer, tokens = make_attention(n_kv_heads), random(BATCH, TOKENS, WIDTH)
    tokens.requires_grad_()
    shape = (KEYS, WIDTH) if memory == "shared" else (BATCH, KEYS, WIDTH)
    other = tokens if memory == "itself" else random(*shape).requires_grad_()
    weights, heads = dict(layer.named_parameters()), (HEADS, n_kv_heads)
    pairs = zip(tokens, [other] * BATCH if memory == "shared" else other, strict=True)
    expected = [
        reference.grouped_query_attention(weights, *pair, *heads) for pair in pairs
    ]
    inputs = (tokens, other, *layer.parameters())
    assert_same(layer(tokens, other), torch.stack(expected), inputs)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_no_matrix_of_all_pairs_is_kept(n_kv_heads):
    n_tokens, kept = 64, []
    layer = make_attention(n_kv_heads).float()
    tokens = torch.randn(2, n_tokens, WIDTH)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.untyped_storage().nbytes()) or t, lambda t: t
    ):
        layer(tokens, tokens)
    assert max(kept) < 4 * 2 * n_tokens * n_tokens


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


def test_memory_of_a_block_is_linear_in_the_number_of_series():
    def kept_bytes(n_series):
        kept = {}

        def pack(t):
            storage = t.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return t

        parts = {"intra_series": True, "inter_series": True}
        block = TimeSpaceBlock(WIDTH, HEADS, 2, 12, 0.1, **parts)
        tokens = torch.randn(2, n_series, 3, WIDTH)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            out = block(tokens)
        return sum(kept.values()) / n_series + 0 * float(out.detach().sum())

    assert kept_bytes(200) < 1.1 * kept_bytes(100)


@pytest.mark.parametrize(
    ("intra_series", "inter_series"), [(True, True), (True, False), (False, True)]
)
def test_dropout_is_in_every_part_of_a_block(intra_series, inter_series):
    parts = {"intra_series": intra_series, "inter_series": inter_series}
    block = TimeSpaceBlock(WIDTH, HEADS, 2, 12, 0.37, **parts)
    rates = dropout_rates(block, torch.randn(BATCH, SERIES, TOKENS, WIDTH))
    # two in the feed-forward part
    assert rates == (intra_series + inter_series + 2) * [0.37]


def test_dropout_is_in_the_fusion():
    layer = CrossModalFusion(WIDTH, TEXT_WIDTH, HEADS, dropout=0.37)
    inputs = torch.randn(BATCH, SERIES, WIDTH), torch.randn(SERIES, TEXT_WIDTH)
    assert dropout_rates(layer, *inputs) == [0.37]


def make_fusion():
    torch.manual_seed(0)
    return shaken(CrossModalFusion(WIDTH, TEXT_WIDTH, HEADS, dropout=0.0))


@pytest.mark.parametrize("shared", [True, False])
def test_fusion_equals_the_reference(shared):
    layer, states = make_fusion(), random(BATCH, SERIES, WIDTH).requires_grad_()
    text = random(*(() if shared else (BATCH,)), SERIES, TEXT_WIDTH).requires_grad_()
    weights = dict(layer.named_parameters())
    pairs = zip(states, [text] * BATCH if shared else text, strict=True)
    expected = [reference.cross_modal_fusion(weights, *pair, HEADS) for pair in pairs]
    inputs = (states, text, *layer.parameters())
    assert_same(layer(states, text), torch.stack(expected), inputs)


def inputs_of(attention, call):
    """What attention is given in a call."""
    given = []
    attention.register_forward_pre_hook(lambda _, args: given.append(args))
    call()
    (inputs,) = given
    return inputs


@pytest.mark.parametrize("intra_series", [True, False])
def test_weights_between_series_are_those_of_the_run_over_all_tokens(intra_series):
    parts = {"intra_series": intra_series, "inter_series": True}
    block = shaken(TimeSpaceBlock(WIDTH, HEADS, 2, 12, 0.0, **parts))
    tokens = random(BATCH, SERIES, TOKENS + 1, WIDTH)
    attention = block.inter_series.attention
    each = attention.weights(*inputs_of(attention, lambda: block(tokens)))
    expected = each.unflatten(0, (BATCH, TOKENS + 1)).mean(dim=1)
    close(block.weights_between(tokens), expected)


def test_weights_of_texts_are_those_of_the_run():
    layer, states = make_fusion(), random(BATCH, SERIES, WIDTH)
    text = random(SERIES, TEXT_WIDTH, seed=2)
    inputs = inputs_of(layer.attention, lambda: layer(states, text))
    close(layer.weights(states, text), layer.attention.weights(*inputs))


def test_texts_change_nothing_before_training():
    layer = CrossModalFusion(WIDTH, TEXT_WIDTH, HEADS, 0.0)
    states = torch.randn(1, 2, WIDTH)
    assert torch.equal(layer(states, torch.randn(2, TEXT_WIDTH)), states)


@pytest.mark.parametrize(
    "shape", [(1, TEXT_WIDTH), (SERIES + 1, TEXT_WIDTH), (1, SERIES, TEXT_WIDTH)]
)
def test_not_one_text_per_series(shape):
    with pytest.raises(InputError, match="expected one for each of the 4 series"):
        make_fusion()(random(BATCH, SERIES, WIDTH), random(*shape))


@pytest.mark.parametrize("mask", [torch.ones_like(MASK), MASK, MASK.bool()])
def test_pooling_equals_the_reference(mask):
    layer = AttentionPooling(WIDTH).double()
    with torch.no_grad():
        layer.query.copy_(3 * random(WIDTH))
    states, weights = random(BATCH, TOKENS, WIDTH).requires_grad_(), {}
    weights["query"] = layer.query
    pairs = zip(states, mask, strict=True)
    expected = [reference.attention_pooling(weights, *pair) for pair in pairs]
    assert_same(layer(states, mask), torch.stack(expected), (states, layer.query))


def test_untrained_pooling_is_a_mean_and_learns_from_the_start():
    layer, states = AttentionPooling(WIDTH).double(), random(BATCH, TOKENS, WIDTH)
    pooled = layer(states, MASK)
    close(pooled[:2], torch.stack([states[0].mean(0), states[1, :2].mean(0)]))
    pooled.square().sum().backward()
    assert layer.query.grad.abs().max() > 0.01
