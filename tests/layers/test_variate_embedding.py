import pytest
import torch

from sktime_llm.layers.variate_embedding import VariateEmbedding
from tests.reference import calf as reference

BATCH, LENGTH, VARIATES, WIDTH, HEADS, D_FF = 3, 7, 5, 8, 2, 12

close = torch.testing.assert_close


@pytest.fixture
def layer():
    """With layer norms that do something."""
    torch.manual_seed(0)
    layer = VariateEmbedding(LENGTH, WIDTH, HEADS, D_FF, dropout=0.1).double().eval()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.randn_like(p), alpha=0.3)
    return layer


@pytest.fixture
def context():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, LENGTH, VARIATES, generator=generator).double()


@pytest.mark.parametrize("with_gradient", [True, False])
def test_equals_the_reference_window_by_window(layer, context, with_gradient):
    # torch takes another path where no gradient is needed
    with torch.set_grad_enabled(with_gradient):
        tokens = layer(context)
    expected = torch.stack(
        [
            reference.variate_embedding(layer.state_dict(), window, HEADS)
            for window in context
        ]
    )
    assert tokens.shape == (BATCH, VARIATES, WIDTH)
    close(tokens, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n_variates", [1, 2, 30])
def test_any_number_of_variates(layer, n_variates):
    context = torch.randn(BATCH, LENGTH, n_variates, dtype=torch.float64)
    assert layer(context).shape == (BATCH, n_variates, WIDTH)


def test_permuted_variates_give_permuted_tokens(layer, context):
    order = torch.tensor([3, 0, 4, 1, 2])
    close(layer(context[..., order]), layer(context)[:, order])
    assert not torch.allclose(layer(context), layer(context)[:, order])


def test_variates_see_each_other_within_a_window_only(layer, context):
    changed = context.clone()
    changed[1, :, 2] += torch.arange(LENGTH)
    differs = (layer(changed) - layer(context)).abs().amax(-1) > 1e-9
    assert differs.tolist() == [[False] * 5, [True] * 5, [False] * 5]


def test_the_order_of_time_matters(layer, context):
    assert not torch.allclose(layer(context.flip(1)), layer(context))


def test_tokens_end_in_a_layer_norm():
    layer = VariateEmbedding(LENGTH, WIDTH, HEADS, D_FF, dropout=0.0)
    tokens = layer(torch.randn(BATCH, LENGTH, VARIATES))
    close(tokens.mean(-1), torch.zeros(BATCH, VARIATES), rtol=0, atol=1e-5)
    close(tokens.var(-1, correction=0), torch.ones(BATCH, VARIATES), rtol=0, atol=1e-2)


def test_dropout_is_on_in_training_only(layer, context):
    assert torch.equal(layer(context), layer(context))
    layer.train()
    assert not torch.equal(layer(context), layer(context))
