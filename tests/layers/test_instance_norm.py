import numpy as np
import pytest
import torch

from sktime_llm.layers.instance_norm import InstanceNorm


def make_windows(*shape, dtype=torch.float64):
    values = np.random.default_rng(0).normal(5.0, 3.0, size=shape)
    return torch.tensor(values, dtype=dtype)


def test_values_are_those_of_numpy():
    context = make_windows(4, 9, 3)
    values, loc, scale = InstanceNorm()(context)
    x = context.numpy()
    expected_loc = x.mean(axis=1, keepdims=True)
    expected_scale = np.sqrt(x.var(axis=1, ddof=0, keepdims=True) + 1e-5)
    np.testing.assert_allclose(loc, expected_loc, rtol=1e-13)
    np.testing.assert_allclose(scale, expected_scale, rtol=1e-13)
    np.testing.assert_allclose(values, (x - expected_loc) / expected_scale, rtol=1e-11)


@pytest.mark.parametrize("level", [0.0, 0.1, -3.3, 1e6 + 0.3])
@pytest.mark.parametrize("length", [1, 7, 96, 1000])
def test_constant_windows_become_zeros(level, length):
    context = torch.full((2, length, 3), level, requires_grad=True)
    values, loc, scale = InstanceNorm()(context)
    # a window of one value has no rounding error to blow up
    assert torch.equal(values, torch.zeros(2, length, 3))
    torch.testing.assert_close(scale, torch.full((2, 1, 3), 1e-5).sqrt())
    assert torch.equal(loc, context[:, :1])
    values.sum().backward()
    assert context.grad.isfinite().all()


def test_a_high_level_does_not_cancel_the_variance():
    # values of size 1 on a level of 10,000, in float32
    context = make_windows(2, 96, 3, dtype=torch.float32) + 1e4
    values, _, _ = InstanceNorm()(context)
    expected, _, _ = InstanceNorm()(context.double())
    torch.testing.assert_close(values.double(), expected, rtol=1e-3, atol=1e-3)
