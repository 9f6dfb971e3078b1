import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.layers.grouped_query_attention import GroupedQueryAttention
from tests.layers.tools import assert_same, random
from tests.reference import llm_ts_net as reference

BATCH, TOKENS, KEYS, WIDTH, HEADS = 3, 4, 5, 8, 4

close = torch.testing.assert_close


def make_layer(n_kv_heads):
    torch.manual_seed(0)
    return GroupedQueryAttention(WIDTH, HEADS, n_kv_heads).double()


@pytest.mark.parametrize("to_itself", [False, True])
@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_equals_the_reference(n_kv_heads, to_itself):
    layer = make_layer(n_kv_heads)
    tokens = random(BATCH, KEYS if to_itself else TOKENS, WIDTH).requires_grad_()
    memory = tokens if to_itself else random(BATCH, KEYS, WIDTH).requires_grad_()
    weights, heads = dict(layer.named_parameters()), (HEADS, n_kv_heads)
    expected = [
        reference.grouped_query_attention(weights, *pair, *heads)
        for pair in zip(tokens, memory, strict=True)
    ]
    out = layer(tokens, None if to_itself else memory)
    inputs = (tokens, memory, *layer.parameters())
    assert_same(out, torch.stack(expected), inputs)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_no_matrix_of_all_pairs_is_kept(n_kv_heads):
    n_tokens, kept = 64, []
    layer = make_layer(n_kv_heads).float()
    tokens = torch.randn(2, n_tokens, WIDTH)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.untyped_storage().nbytes()) or t, lambda t: t
    ):
        layer(tokens)
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
