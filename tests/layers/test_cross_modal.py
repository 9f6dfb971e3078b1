import pytest
import torch

from sktime_llm.layers.cross_modal import CrossAttention
from tests.layers.tools import assert_same, random
from tests.reference import calf as reference

BATCH, TOKENS, ENTRIES, WIDTH = 3, 5, 7, 8


@pytest.mark.parametrize("n_heads", [1, 2, 4, 8])
def test_equals_the_reference(n_heads):
    layer = CrossAttention(WIDTH, n_heads).double()
    tokens = random(BATCH, TOKENS, WIDTH).requires_grad_()
    table = random(ENTRIES, WIDTH, seed=2).requires_grad_()
    weights = dict(layer.named_parameters())
    expected = torch.stack(
        [reference.cross_attention(weights, one, table, n_heads) for one in tokens]
    )
    # a bias of the keys has no effect
    parameters = [p for name, p in weights.items() if name != "key.bias"]
    assert_same(layer(tokens, table), expected, (tokens, table, *parameters))
