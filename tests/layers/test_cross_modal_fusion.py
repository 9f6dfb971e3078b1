import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.layers.cross_modal_fusion import CrossModalFusion
from tests.reference import llm_ts_net as reference

BATCH, SERIES, TOKENS, WIDTH, TEXT_WIDTH, HEADS = 2, 5, 3, 8, 6, 2

close = torch.testing.assert_close


def make_layer(**kwargs):
    """With layer norms that do something."""
    torch.manual_seed(0)
    layer = CrossModalFusion(WIDTH, TEXT_WIDTH, HEADS, **kwargs).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.randn_like(p), alpha=0.3)
    return layer


def random(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def gradients(out, *inputs):
    return torch.autograd.grad((out * random(*out.shape)).sum(), inputs)


def test_equals_the_reference():
    layer = make_layer()
    states = random(BATCH, SERIES, WIDTH).requires_grad_()
    text = random(SERIES, TEXT_WIDTH).requires_grad_()
    out = layer(states, text)
    expected = torch.stack(
        [
            reference.cross_modal_fusion(
                dict(layer.named_parameters()), window, text, HEADS
            )
            for window in states
        ]
    )
    close(out, expected, rtol=1e-11, atol=1e-11)
    inputs = (states, text, *layer.parameters())
    for ours, theirs in zip(
        gradients(out, *inputs), gradients(expected, *inputs), strict=True
    ):
        close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_states_of_several_tokens_are_fused_one_by_one():
    layer, text = make_layer(), random(SERIES, TEXT_WIDTH)
    states = random(BATCH, SERIES, TOKENS, WIDTH)
    out = layer(states, text)
    for token in range(TOKENS):
        close(out[:, :, token], layer(states[:, :, token], text))


@pytest.mark.parametrize("shape", [(SERIES, WIDTH), (SERIES, TOKENS, WIDTH)])
def test_windows_may_have_texts_of_their_own(shape):
    layer = make_layer()
    states, text = random(BATCH, *shape), random(BATCH, SERIES, TEXT_WIDTH)
    expected = [layer(states[i : i + 1], text[i])[0] for i in range(BATCH)]
    close(layer(states, text), torch.stack(expected))


def test_every_text_reaches_every_series():
    layer, states = make_layer(), random(BATCH, SERIES, WIDTH)
    text = random(SERIES, TEXT_WIDTH)
    changed = text.clone()
    changed[2, 0] += 1
    differs = (layer(states, changed) - layer(states, text)).abs().amax(-1) > 1e-9
    assert differs.all()


def test_it_matters_which_text_is_whose():
    layer, states = make_layer(), random(BATCH, SERIES, WIDTH)
    text = random(SERIES, TEXT_WIDTH)
    assert not torch.allclose(layer(states, text.roll(1, 0)), layer(states, text))


def test_the_order_of_the_series_does_not_matter():
    layer, states = make_layer(), random(BATCH, SERIES, WIDTH)
    text, order = random(SERIES, TEXT_WIDTH), torch.tensor([3, 0, 4, 1, 2])
    close(layer(states[:, order], text[order]), layer(states, text)[:, order])


def test_series_see_no_state_of_another():
    layer, states = make_layer(), random(BATCH, SERIES, WIDTH)
    text = random(SERIES, TEXT_WIDTH)
    changed = states.clone()
    changed[0, 1] += torch.arange(WIDTH)
    differs = (layer(changed, text) - layer(states, text)).abs().amax(-1) > 1e-9
    assert differs.nonzero().tolist() == [[0, 1]]


def test_the_size_of_the_embeddings_does_not_matter():
    layer, states = make_layer(), random(BATCH, SERIES, WIDTH)
    text = random(SERIES, TEXT_WIDTH)
    close(layer(states, 100 * text), layer(states, text), rtol=1e-3, atol=1e-3)


def test_dropout_is_on_in_training_only():
    layer = make_layer(dropout=0.5)
    states, text = random(BATCH, SERIES, WIDTH), random(SERIES, TEXT_WIDTH)
    assert not torch.equal(layer(states, text), layer(states, text))
    layer.eval()
    close(layer(states, text), make_layer()(states, text))


@pytest.mark.parametrize(
    "shape", [(1, TEXT_WIDTH), (SERIES + 1, TEXT_WIDTH), (1, SERIES, TEXT_WIDTH)]
)
def test_not_one_text_per_series(shape):
    with pytest.raises(InputError, match="expected one for each of the 5 series"):
        make_layer()(random(BATCH, SERIES, WIDTH), random(*shape))


def test_heads_that_do_not_divide():
    with pytest.raises(InputError, match="n_heads=3, expected a divisor of d_model=8"):
        CrossModalFusion(8, TEXT_WIDTH, 3)
