import pytest
import torch

from sktime_llm.layers.variate_embedding import VariateEmbedding
from tests.layers.tools import random, shaken
from tests.reference import calf as reference

BATCH, LENGTH, VARIATES, WIDTH, HEADS, D_FF = 3, 7, 5, 8, 2, 12

close = torch.testing.assert_close


@pytest.fixture
def layer():
    """With layer norms that do something."""
    torch.manual_seed(0)
    return shaken(VariateEmbedding(LENGTH, WIDTH, HEADS, D_FF, dropout=0.1)).eval()


@pytest.fixture
def context():
    return random(BATCH, LENGTH, VARIATES)


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


def test_dropout_is_on_in_training_only(layer, context):
    assert torch.equal(layer(context), layer(context))
    layer.train()
    assert not torch.equal(layer(context), layer(context))
