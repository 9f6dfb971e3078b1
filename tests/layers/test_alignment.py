"""Scale and contrast against plain formulas, and by hand."""

import math

import pytest
import torch

from sktime_llm.layers.alignment import ContrastiveAlignment, balance
from tests.layers.tools import random

BATCH, N_TEXT, N_PATCHES, WIDTH = 4, 3, 7, 5

close = torch.testing.assert_close


def make_tokens(scale=10.0):
    """Text on a scale and level of its own, and series."""
    text = scale * random(BATCH, N_TEXT, WIDTH) * torch.arange(1, WIDTH + 1) + 3.0
    return text, random(BATCH, N_PATCHES, WIDTH, seed=2) - 1.0


def deviation(tokens):
    return tokens.std(dim=1, correction=0)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e4])
def test_balanced_text_has_the_scale_of_the_series(scale):
    text, series = make_tokens(scale)
    balanced = balance(text, series)
    # but for the epsilon
    close(deviation(balanced), deviation(series), rtol=0.05, atol=0.0)
    # of the text only the scale changes: of each feature and sample one factor
    factor = balanced / text
    close(factor, factor[:, :1].expand_as(factor))
    assert (factor > 0).all()


@pytest.mark.parametrize("what", ["text", "series", "both"])
def test_tokens_that_are_all_equal_give_finite_values_and_gradients(what):
    text, series = make_tokens()
    if what != "series":
        text = text[:, :1].expand_as(text).clone()
    if what != "text":
        series = series[:, :1].expand_as(series).clone()
    text.requires_grad_()
    series.requires_grad_()
    balanced = balance(text, series)
    balanced.square().sum().backward()
    for values in (balanced, text.grad, series.grad):
        assert values.isfinite().all()


def loss_of(cosines, temperature=1.0):
    """Of given cosines: series are unit vectors, texts the columns."""
    series = torch.eye(len(cosines), dtype=torch.float64)[:, None]
    rest = (1 - cosines.square().sum(dim=0, keepdim=True)).sqrt()
    text = torch.cat([cosines, rest]).T[:, None]
    series = torch.cat([series, torch.zeros_like(series[:, :, :1])], dim=2)
    return ContrastiveAlignment(temperature)(series, text).loss


def test_each_text_is_counted_once():
    # by hand: own text 0.5, the other 0.1, the series as queries
    cosines = torch.tensor([[0.5, 0.1], [0.3, 0.2]], dtype=torch.float64)
    first = math.exp(0.5) / (math.exp(0.5) + math.exp(0.1))
    second = math.exp(0.2) / (math.exp(0.3) + math.exp(0.2))
    expected = -(math.log(first) + math.log(second)) / 2
    assert loss_of(cosines).item() == pytest.approx(expected)


@pytest.mark.parametrize("start", [1e-3, 0.07, 1.0, 20.0])
def test_the_temperature_starts_as_asked_and_stays_positive(start):
    layer = ContrastiveAlignment(start)
    assert layer.temperature.item() == pytest.approx(start)
    assert list(dict(layer.named_parameters())) == ["log_temperature"]
    text, series = make_tokens()
    optimizer = torch.optim.Adam(layer.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        layer(series, text).loss.backward()
        optimizer.step()
        assert layer.temperature > 0
    assert layer.temperature.item() != pytest.approx(start, rel=0.5)


def test_no_length_no_direction():
    # tokens whose mean is zero
    series = torch.zeros(2, 3, WIDTH, requires_grad=True)
    actual = ContrastiveAlignment(0.07)(series, torch.ones(2, 3, WIDTH))
    assert torch.equal(actual.similarity, torch.zeros(2, 2))
    actual.loss.backward()
    assert series.grad.isfinite().all()


def test_loss_is_finite_in_bfloat16_and_at_extremes():
    layer = ContrastiveAlignment(1e-3)
    tokens = torch.eye(6).unsqueeze(1)
    swapped = tokens.roll(1, dims=0)
    with torch.autocast("cpu", torch.bfloat16):
        own, other = layer(tokens, tokens).loss, layer(tokens, swapped).loss
    assert own == 0.0
    assert other.item() == pytest.approx(1000.0, rel=1e-2)
