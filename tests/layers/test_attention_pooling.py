import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.layers.attention_pooling import AttentionPooling
from tests.reference import llm_ts_net as reference

BATCH, TOKENS, WIDTH = 3, 5, 8
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 1]])

close = torch.testing.assert_close


def random(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make_layer():
    layer = AttentionPooling(WIDTH).double()
    with torch.no_grad():
        layer.query.copy_(3 * random(WIDTH))
    return layer


@pytest.mark.parametrize("mask", [None, MASK, MASK.bool()])
def test_equals_the_reference(mask):
    layer, states = make_layer(), random(BATCH, TOKENS, WIDTH).requires_grad_()
    pooled = layer(states, mask)
    is_token = torch.ones(BATCH, TOKENS) if mask is None else mask
    expected = torch.stack(
        [
            reference.attention_pooling({"query": layer.query}, states[i], is_token[i])
            for i in range(BATCH)
        ]
    )
    close(pooled, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(pooled.square().sum(), (states, layer.query)),
        torch.autograd.grad(expected.square().sum(), (states, layer.query)),
        strict=True,
    ):
        close(ours, theirs, rtol=1e-10, atol=1e-10)
        assert ours.any()


def test_untrained_pooling_is_the_mean_of_the_tokens():
    layer, states = AttentionPooling(WIDTH).double(), random(BATCH, TOKENS, WIDTH)
    close(layer(states), states.mean(1))
    close(layer(states, MASK)[1], states[1, :2].mean(0))


def test_the_query_learns_from_the_start():
    layer = AttentionPooling(WIDTH).double()
    layer(random(BATCH, TOKENS, WIDTH), MASK).square().sum().backward()
    assert layer.query.grad.abs().max() > 0.01


def test_weights():
    weights = make_layer().weights(random(BATCH, TOKENS, WIDTH), MASK)
    close(weights.sum(1), torch.ones(BATCH, dtype=torch.float64))
    assert ((weights > 0) == MASK.bool()).all()


def test_padding_does_not_matter():
    layer, states = make_layer(), random(BATCH, TOKENS, WIDTH)
    changed = states.masked_fill(MASK.unsqueeze(2) == 0, 1e3)
    close(layer(changed, MASK), layer(states, MASK))
    close(layer(states[1:2, :2]), layer(states, MASK)[1:2])


def test_the_order_of_tokens_does_not_matter():
    layer, states = make_layer(), random(BATCH, TOKENS, WIDTH)
    close(layer(states.flip(1), MASK.flip(1)), layer(states, MASK))


def test_a_sequence_without_token():
    mask = MASK.clone()
    mask[1:] = 0
    with pytest.raises(InputError, match="no token in sequence 1, 2 of a batch of 3"):
        make_layer()(random(BATCH, TOKENS, WIDTH), mask)
