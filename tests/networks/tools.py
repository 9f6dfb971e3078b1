"""Data and comparisons that the tests of all networks share."""

import torch

TINY = ["tiny-random", "tiny-random-decoder"]

close = torch.testing.assert_close


def exact(actual, expected):
    close(actual, expected, rtol=1e-10, atol=1e-10)


def trained(network):
    return {n: p for n, p in network.named_parameters() if p.requires_grad}


def shake(parameters, seed=2):
    """Leave no tensor zero, one or symmetric."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in parameters:
            p.add_(torch.empty_like(p).normal_(std=0.3, generator=generator))


def make_windows(batch, context_length, prediction_length, n_channels, dtype):
    """Windows and variates on levels and scales of their own."""
    generator = torch.Generator().manual_seed(3)
    shape = (batch, context_length + prediction_length, n_channels)
    rows = torch.randn(shape, generator=generator, dtype=torch.float64)
    scales, levels = 1 + torch.arange(n_channels), 2 * torch.arange(batch)
    rows = (rows * scales + levels[:, None, None]).to(dtype)
    return rows[:, :context_length], rows[:, context_length:]


def assert_gradients(network, loss, expected, weights, name_of=str):
    """Compare the gradients of a loss with those of the reference's by its weights."""
    loss.backward()
    names = list(trained(network))
    gradients = torch.autograd.grad(expected, [weights[name_of(n)] for n in names])
    for name, gradient in zip(names, gradients, strict=True):
        actual = network.get_parameter(name).grad
        close(actual, gradient, rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f"{n} {m}")


def take_steps(network, context, target):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(4):
        optimizer.zero_grad()
        network(context, target).losses["loss"].backward()
        optimizer.step()


def with_gradient(network, context, target):
    """Names of the parameters that a step of training reaches."""
    network(context, target).losses["loss"].backward()
    return {n for n, p in network.named_parameters() if p.grad is not None}
