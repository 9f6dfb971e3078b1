import numpy as np
import pytest
import torch
from sktime.performance_metrics.forecasting import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanAbsoluteScaledError,
    MeanSquaredError,
)

from sktime_llm.layers.losses import DISTANCES, mase, smape

BATCH, CONTEXT, HORIZON, CHANNELS = 3, 12, 4, 2


def make_arrays():
    rng = np.random.default_rng(0)
    level = np.array([1.0, -20.0])  # of both signs, and errors below and above 1
    forecast, target = (
        level + 2 * rng.normal(size=(BATCH, HORIZON, CHANNELS)) for _ in range(2)
    )
    context = level + rng.normal(size=(BATCH, CONTEXT, CHANNELS))
    return forecast, target, context


def tensors(*arrays):
    return [torch.tensor(a) for a in arrays]


@pytest.mark.parametrize(
    ("name", "metric", "factor"),
    [
        ("mae", MeanAbsoluteError(), 1),
        ("mse", MeanSquaredError(), 1),
        # sktime's is a fraction from 0 to 2, M4's a percentage from 0 to 200
        ("smape", MeanAbsolutePercentageError(symmetric=True), 100),
    ],
)
def test_agrees_with_sktime(name, metric, factor):
    forecast, target, _ = make_arrays()
    theirs = np.mean([metric(t, f) for t, f in zip(target, forecast, strict=True)])
    ours = DISTANCES[name](*tensors(forecast, target)).item()
    assert ours == pytest.approx(factor * theirs, rel=1e-12)


@pytest.mark.parametrize("lag", [1, 4])
def test_mase_agrees_with_sktime(lag):
    metric, arrays = MeanAbsoluteScaledError(sp=lag), make_arrays()
    theirs = np.mean(
        [
            metric(target, forecast, y_train=context, sp=lag)
            for forecast, target, context in zip(*arrays, strict=True)
        ]
    )
    assert mase(*tensors(*arrays), lag).item() == pytest.approx(theirs, rel=1e-12)


def test_smape_by_hand():
    forecast = torch.tensor([0.0, 0.0, 1.0, 3.0, -2.0], requires_grad=True)
    target = torch.tensor([0.0, 5.0, -1.0, 3.0, -6.0])
    # nothing to miss, missed whole, of the other sign, hit, halfway
    loss = smape(forecast, target)
    assert loss.item() == pytest.approx((0 + 200 + 200 + 0 + 100) / 5)
    loss.backward()
    assert forecast.grad.isfinite().all()


def test_mase_adds_nothing_for_constant_contexts():
    forecast, target, context = tensors(*make_arrays())
    forecast.requires_grad_()
    context[1, :, 0] = 7.0
    loss = mase(forecast, target, context, 1)
    loss.backward()
    scales = context.diff(dim=1).abs().mean(dim=1, keepdim=True)
    scales[1, :, 0] = np.inf
    # the mean is still over all
    expected = ((forecast - target).abs().detach() / scales).mean()
    torch.testing.assert_close(loss.detach(), expected)
    assert forecast.grad.isfinite().all()
    assert not forecast.grad[1, :, 0].any()
