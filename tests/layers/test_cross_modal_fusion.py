import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.layers.cross_modal_fusion import CrossModalFusion
from tests.layers.tools import assert_same, random, shaken
from tests.reference import llm_ts_net as reference

BATCH, SERIES, WIDTH, TEXT_WIDTH, HEADS = 2, 5, 8, 6, 2

close = torch.testing.assert_close


def make_layer(**kwargs):
    torch.manual_seed(0)
    return shaken(CrossModalFusion(WIDTH, TEXT_WIDTH, HEADS, **kwargs))


@pytest.mark.parametrize("shared", [True, False])
def test_equals_the_reference(shared):
    layer, states = make_layer(), random(BATCH, SERIES, WIDTH).requires_grad_()
    text = random(*(() if shared else (BATCH,)), SERIES, TEXT_WIDTH).requires_grad_()
    weights = dict(layer.named_parameters())
    pairs = zip(states, [text] * BATCH if shared else text, strict=True)
    expected = [reference.cross_modal_fusion(weights, *pair, HEADS) for pair in pairs]
    inputs = (states, text, *layer.parameters())
    assert_same(layer(states, text), torch.stack(expected), inputs)


@pytest.mark.parametrize(
    "shape", [(1, TEXT_WIDTH), (SERIES + 1, TEXT_WIDTH), (1, SERIES, TEXT_WIDTH)]
)
def test_not_one_text_per_series(shape):
    with pytest.raises(InputError, match="expected one for each of the 5 series"):
        make_layer()(random(BATCH, SERIES, WIDTH), random(*shape))


def test_heads_that_do_not_divide():
    with pytest.raises(InputError, match="n_heads=3, expected a divisor of d_model=8"):
        CrossModalFusion(8, TEXT_WIDTH, 3)
