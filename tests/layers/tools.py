"""Random inputs and the comparison of gradients, for the tests of layers."""

import torch
from torch import nn


def random(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def shaken(layer):
    """The layer with norms and biases that do something, in float64."""
    layer.double()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        for p in layer.parameters():
            p.add_(torch.randn_like(p), alpha=0.3)
    return layer


def assert_same(ours, theirs, inputs):
    """Compare outputs, and the gradients of a weighted sum of them."""
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    weights = random(*ours.shape, seed=3)
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), inputs, retain_graph=True),
        torch.autograd.grad((theirs * weights).sum(), inputs, retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def dropout_rates(layer, *inputs):
    """Rates of all dropout that is drawn in a call, part by part."""
    rates = []
    for module in layer.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda m, *_: rates.append(m.p))
    layer.train()(*inputs)
    return rates
