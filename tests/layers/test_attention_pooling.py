import pytest
import torch

from sktime_llm.layers.attention_pooling import AttentionPooling
from tests.layers.tools import assert_same, random
from tests.reference import llm_ts_net as reference

BATCH, TOKENS, WIDTH = 3, 5, 8
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 1]])

close = torch.testing.assert_close


def make_layer():
    layer = AttentionPooling(WIDTH).double()
    with torch.no_grad():
        layer.query.copy_(3 * random(WIDTH))
    return layer


@pytest.mark.parametrize("mask", [None, MASK, MASK.bool()])
def test_equals_the_reference(mask):
    layer, states = make_layer(), random(BATCH, TOKENS, WIDTH).requires_grad_()
    is_token = torch.ones(BATCH, TOKENS) if mask is None else mask
    weights = {"query": layer.query}
    pairs = zip(states, is_token, strict=True)
    expected = [reference.attention_pooling(weights, *pair) for pair in pairs]
    assert_same(layer(states, mask), torch.stack(expected), (states, layer.query))


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
