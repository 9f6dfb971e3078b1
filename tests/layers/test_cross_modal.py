import pytest
import torch
from torch import nn

from sktime_llm.layers.cross_modal import CrossAttention
from tests.reference import calf as reference

BATCH, TOKENS, ENTRIES, WIDTH = 3, 5, 7, 8

close = torch.testing.assert_close


def make_layer(n_heads):
    torch.manual_seed(0)
    return CrossAttention(WIDTH, n_heads).double()


def make_inputs():
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(BATCH, TOKENS, WIDTH, generator=generator).double()
    memory = torch.randn(ENTRIES, WIDTH, generator=generator).double()
    return tokens.requires_grad_(), memory.requires_grad_()


def torch_layer(layer):
    """Torch's own attention with the same weights."""
    theirs = nn.MultiheadAttention(WIDTH, layer.n_heads, batch_first=True).double()
    parts = (layer.query, layer.key, layer.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
        theirs.out_proj.load_state_dict(layer.output.state_dict())
    return theirs


@pytest.mark.parametrize("n_heads", [1, 2, 4, 8])
def test_equals_torch_attention_to_copies_of_the_table(n_heads):
    layer = make_layer(n_heads)
    theirs = torch_layer(layer)
    ours_inputs, their_inputs = make_inputs(), make_inputs()
    out = layer(*ours_inputs)
    tokens, memory = their_inputs
    copies = memory.expand(BATCH, -1, -1)
    expected, _ = theirs(tokens, copies, copies)
    assert out.shape == (BATCH, TOKENS, WIDTH)
    close(out, expected, rtol=1e-12, atol=1e-12)

    out.square().sum().backward()
    expected.square().sum().backward()
    parts = (layer.query, layer.key, layer.value)
    weights = torch.cat([p.weight.grad for p in parts])
    biases = torch.cat([p.bias.grad for p in parts])
    close(weights, theirs.in_proj_weight.grad, rtol=1e-10, atol=1e-10)
    close(biases, theirs.in_proj_bias.grad, rtol=1e-10, atol=1e-10)
    close(layer.output.weight.grad, theirs.out_proj.weight.grad)
    for one, other in zip(ours_inputs, their_inputs, strict=True):
        close(one.grad, other.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n_heads", [1, 4])
def test_equals_the_reference_window_by_window(n_heads):
    layer = make_layer(n_heads)
    tokens, memory = make_inputs()
    expected = [
        reference.cross_attention(layer.state_dict(), window, memory, n_heads)
        for window in tokens
    ]
    close(layer(tokens, memory), torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_the_order_of_the_table_does_not_matter():
    layer = make_layer(2)
    tokens, memory = make_inputs()
    close(layer(tokens, memory.flip(0)), layer(tokens, memory))


def test_a_table_of_one_entry_is_its_value():
    layer = make_layer(2)
    tokens, memory = make_inputs()
    expected = layer.output(layer.value(memory[:1])).expand(BATCH, TOKENS, -1)
    close(layer(tokens, memory[:1]), expected)


def test_tokens_do_not_see_each_other():
    layer = make_layer(2)
    tokens, memory = make_inputs()
    changed = tokens.detach().clone()
    changed[0, 0] += 1
    differs = (layer(changed, memory) - layer(tokens, memory)).abs().amax(-1) > 1e-9
    assert differs.nonzero().tolist() == [[0, 0]]
