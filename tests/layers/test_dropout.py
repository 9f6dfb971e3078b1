"""Dropout: how much it drops, what it keeps, and when it draws."""

import pytest
import torch
from torch import nn

from sktime_llm.layers.dropout import BlockDropout, drop_in_blocks
from sktime_llm.training import trainer

from ..forecasting.common import FORECASTERS, make_panel


def drop(p, *shape, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return BlockDropout(p)(torch.ones(shape, dtype=dtype))


@pytest.mark.parametrize("p", [0.01, 0.1, 0.25, 0.5, 0.9])
def test_shares_and_mean(p):
    n = 400_000
    values = drop(p, n)
    dropped = (values == 0).double().mean().item()
    assert abs(dropped - p) < 5 * (p * (1 - p) / n) ** 0.5 + 2**-17
    assert values.unique().numel() == 2
    assert values.max().item() == pytest.approx(1 / (1 - p), rel=1e-3)
    assert values.mean().item() == pytest.approx(1, abs=0.02)


def test_what_is_kept_is_scaled_by_the_rounded_rate():
    # at this rate one of 2**16 values is kept
    values = drop(1 - 1.2 * 2**-16, 400_000)
    assert values.unique().tolist() == [0, 2**16]


@pytest.mark.parametrize("part", range(4))
def test_every_part_of_a_drawn_word_drops_as_often(part):
    dropped = (drop(0.5, 100_000, 4)[:, part] == 0).double().mean().item()
    assert abs(dropped - 0.5) < 0.01


def test_neighbors_are_independent():
    kept = (drop(0.5, 100_000, 4) != 0).double()
    correlations = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlations.abs().max() < 0.02


@pytest.mark.parametrize("shape", [(), (3, 5), (2, 0), (8193,), (7, 3, 1_234)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_any_shape_and_precision(shape, dtype):
    values = drop(0.5, *shape, dtype=dtype)
    assert values.shape == shape
    assert values.dtype == dtype
    assert set(values.flatten().tolist()) <= {0.0, 2.0}


def test_gradients_pass_where_values_are_kept():
    inputs = torch.ones(10_000, requires_grad=True)
    outputs = BlockDropout(0.3)(inputs)
    outputs.sum().backward()
    assert torch.equal(inputs.grad, outputs.detach())


def test_the_seed_decides():
    assert torch.equal(drop(0.5, 9_000), drop(0.5, 9_000))
    assert not torch.equal(drop(0.5, 9_000), drop(0.5, 9_000, seed=1))


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1e-9, 1.0), (1.0, 0.0)])
def test_rates_at_the_edges_are_those_of_pytorch(p, expected):
    assert torch.equal(drop(p, 9_000), torch.full((9_000,), expected))


def test_small_tensors_draw_as_pytorch_does():
    torch.manual_seed(0)
    expected = nn.Dropout(0.3)(torch.ones(500))
    assert torch.equal(drop(0.3, 500), expected)
    torch.manual_seed(0)
    assert not torch.equal(nn.Dropout(0.3)(torch.ones(9_000)), drop(0.3, 9_000))


def test_nothing_is_dropped_after_training():
    module = BlockDropout(0.5).eval()
    values = torch.ones(9_000)
    assert module(values) is values


def test_only_the_dropout_of_pytorch_is_replaced():
    network = nn.Sequential(nn.Dropout(0.2), nn.Sequential(nn.Dropout1d(0.3)))
    drop_in_blocks(network)
    assert [type(m) for m in network.modules()][1::2] == [BlockDropout, nn.Dropout1d]
    assert network[0].p == 0.2


@pytest.mark.parametrize("name", FORECASTERS)
def test_all_dropout_of_a_network_in_training_is_drawn_in_blocks(name, monkeypatch):
    networks = []
    step = trainer._Run.train_step

    def recorded(run, *args):
        networks.append(run.network)
        return step(run, *args)

    monkeypatch.setattr(trainer._Run, "train_step", recorded)
    FORECASTERS[name](max_epochs=1, steps_per_epoch=1).fit(make_panel((60, 60)), fh=[1])
    kinds = {type(m) for m in networks[0].modules() if isinstance(m, nn.Dropout)}
    assert kinds == {BlockDropout}
