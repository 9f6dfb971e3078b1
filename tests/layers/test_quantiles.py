"""Quantiles that never cross, and their loss, by plain formulas."""

import numpy as np
import pytest
import torch

from sktime_llm.layers.quantiles import LEVELS, QuantileHead, pinball_loss

N = len(LEVELS)
close = torch.testing.assert_close


def draw(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_quantiles_never_cross_whatever_the_weights():
    head = QuantileHead(6, 4).double()
    torch.nn.init.normal_(head.project.weight, std=30.0)
    quantiles = head(draw(5, 3, 6), draw(5, 4, 3), draw(5, 1, 3).abs())
    assert quantiles.shape == (5, 4, 3, N)
    assert (quantiles.diff(dim=-1) >= 0).all()


def test_quantiles_by_hand():
    head = QuantileHead(1, 1).double()
    torch.nn.init.zeros_(head.project.weight)
    with torch.no_grad():
        head.project.bias.copy_(torch.arange(N, dtype=torch.float64))
    forecast = torch.tensor([[[10.0]]], dtype=torch.float64)
    scale = torch.tensor([[[3.0]]], dtype=torch.float64)
    found = head(torch.zeros(1, 1, 1, dtype=torch.float64), forecast, scale)
    steps = np.log1p(np.exp(np.arange(N)))
    below = [4 - steps[i:4].sum() for i in range(4)]
    above = [4 + steps[5 : i + 1].sum() for i in range(5, N)]
    expected = 10 + np.sqrt(9 + 0.01) * np.array([*below, 4, *above])
    np.testing.assert_allclose(found.detach().flatten(), expected, rtol=1e-12)


def test_the_point_forecast_has_no_gradient_of_the_pinball_loss():
    head, forecast = QuantileHead(2, 3), torch.zeros(4, 3, 2, requires_grad=True)
    quantiles = head(torch.randn(4, 2, 2), forecast, torch.ones(4, 1, 2))
    pinball_loss(quantiles, torch.ones(4, 3, 2)).backward()
    assert forecast.grad is None
    assert head.project.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("missing", [False, True])
def test_pinball_loss_is_twice_the_mean_of_each_level(missing):
    quantiles, target = draw(5, 4, 3, N), draw(5, 4, 3)
    if missing:
        target[0] = target[2, 1:, 2] = float("nan")
    parts = [
        max(level * (y - q), (level - 1) * (y - q))
        for qs, y in zip(
            quantiles.flatten(0, 2).tolist(), target.flatten().tolist(), strict=True
        )
        for q, level in zip(qs, LEVELS, strict=True)
        if not np.isnan(y)
    ]
    close(pinball_loss(quantiles, target).item(), 2 * float(np.mean(parts)))


def test_its_minimum_is_at_the_quantiles():
    sample = draw(4000)
    best = torch.quantile(sample, torch.tensor(LEVELS, dtype=torch.float64))
    target = sample[:, None, None]

    def loss(quantiles):
        return pinball_loss(quantiles.expand(4000, 1, 1, N), target)

    for i in range(N):
        for step in (-0.1, 0.1):
            other = best.clone()
            other[i] += step
            assert loss(other) > loss(best)
