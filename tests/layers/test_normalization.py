import numpy as np
import pytest
import torch

from sktime_llm.layers.normalization import fill_gaps, instance_norm, last_value_norm
from tests.reference import llm_ts_net as reference

NAN = float("nan")

close = torch.testing.assert_close


def make_windows(*shape, dtype=torch.float64):
    values = np.random.default_rng(0).normal(5.0, 3.0, size=shape)
    return torch.tensor(values, dtype=dtype)


def all_observed(context):
    return torch.ones_like(context, dtype=torch.bool)


def test_instance_norm_is_that_of_numpy():
    context = make_windows(4, 9, 3)
    values, loc, scale = instance_norm(context)
    x = context.numpy()
    expected_loc = x.mean(axis=1, keepdims=True)
    expected_scale = np.sqrt(x.var(axis=1, ddof=0, keepdims=True) + 1e-5)
    np.testing.assert_allclose(loc, expected_loc, rtol=1e-13)
    np.testing.assert_allclose(scale, expected_scale, rtol=1e-13)
    np.testing.assert_allclose(values, (x - expected_loc) / expected_scale, rtol=1e-11)


@pytest.mark.parametrize("with_mask", [False, True])
def test_instance_norm_relative_to_the_last_value(with_mask):
    context = make_windows(4, 9, 3)
    observed = all_observed(context) if with_mask else None
    mean = instance_norm(context, observed)
    last = instance_norm(context, observed, subtract_last=True)
    assert torch.equal(last.loc, context[:, -1:])
    assert torch.equal(last.scale, mean.scale)
    assert torch.equal(last.values[:, -1], torch.zeros(4, 3, dtype=torch.float64))
    close(last.values * last.scale + last.loc, context)


@pytest.mark.parametrize("level", [0.0, 0.1, -3.3, 1e6 + 0.3])
@pytest.mark.parametrize("length", [1, 7, 96, 1000])
def test_constant_windows_become_zeros(level, length):
    context = torch.full((2, length, 3), level, requires_grad=True)
    by_last = last_value_norm(context, all_observed(context))
    for values, loc, scale in (instance_norm(context), by_last):
        # a window of one value has no rounding error to blow up
        assert torch.equal(values, torch.zeros(2, length, 3))
        close(scale, torch.full((2, 1, 3), 1e-5).sqrt())
        assert torch.equal(loc, context[:, :1])
        (gradient,) = torch.autograd.grad(values.sum(), context)
        assert gradient.isfinite().all()


def test_a_high_level_does_not_cancel_the_variance():
    # values of size 1 on a level of 10,000, in float32
    context = make_windows(2, 96, 3, dtype=torch.float32) + 1e4
    values, _, _ = instance_norm(context)
    expected, _, _ = instance_norm(context.double())
    close(values.double(), expected, rtol=1e-3, atol=1e-3)


def test_instance_norm_of_what_is_observed():
    context = make_windows(4, 30, 3) + 100
    observed = torch.rand(4, 30, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    observed[0, :, 1] = False
    _, loc, scale = instance_norm(context, observed)
    x = np.where(observed | ~observed.any(dim=1, keepdim=True), context, np.nan)
    np.testing.assert_allclose(loc[:, 0], np.nanmean(x, axis=1), rtol=1e-13)
    expected = np.sqrt(np.nanvar(x, axis=1) + 1e-5)
    np.testing.assert_allclose(scale[:, 0], expected, rtol=1e-12)
    constant = torch.full((2, 30, 3), 1e6 + 0.3)
    assert torch.equal(instance_norm(constant, observed[:2]).values, constant * 0)


def test_last_value_norm_by_hand():
    # differences -2, 0 and 4, 0: mean square 5
    window = torch.tensor([[[1.0, 9.0], [3.0, 5.0]]])
    values, loc, scale = last_value_norm(window, all_observed(window))
    assert loc.flatten().tolist() == [3.0, 5.0]
    close(scale, torch.full((1, 1, 2), (5 + 1e-5) ** 0.5))
    close(values, torch.tensor([[[-2.0, 4.0], [0.0, 0.0]]]) / scale)


def test_last_value_norm_of_what_is_observed():
    # differences -2, none, 0 and 4, 4, 0: mean square 36 / 5
    window = torch.tensor([[[1.0, 9.0], [1.0, 9.0], [3.0, 5.0]]])
    observed = all_observed(window)
    observed[0, 1, 0] = False
    _, loc, scale = last_value_norm(window, observed)
    assert loc.flatten().tolist() == [3.0, 5.0]
    close(scale, torch.full((1, 1, 2), (36 / 5 + 1e-5) ** 0.5))


def test_without_any_value_the_forecast_of_a_network_hardly_moves():
    context = torch.zeros(2, 9, 3)
    values, _, scale = last_value_norm(context, ~all_observed(context))
    assert not values.any()
    close(scale, torch.full((2, 1, 3), 1e-5**0.5))


def column(*values):
    return torch.tensor(values)[None, :, None]


@pytest.mark.parametrize(
    ("values", "last_observed", "filled"),
    [
        ([1.0, NAN, NAN, 4.0], None, [1.0, 1.0, 1.0, 4.0]),
        ([NAN, NAN, 3.0, NAN], None, [3.0, 3.0, 3.0, 3.0]),
        ([NAN, 2.0, NAN, 4.0], None, [2.0, 2.0, 2.0, 4.0]),
        ([NAN, NAN], None, [0.0, 0.0]),
        ([NAN], None, [0.0]),
        ([1.0, 2.0], None, [1.0, 2.0]),
        ([NAN, NAN, 3.0, NAN], 7.0, [7.0, 7.0, 3.0, 3.0]),
        ([NAN, NAN], 7.0, [7.0, 7.0]),
        ([NAN, 3.0], NAN, [3.0, 3.0]),
        ([NAN, NAN], NAN, [0.0, 0.0]),
        ([1.0, NAN], 7.0, [1.0, 1.0]),
        ([1.0, 2.0], 7.0, [1.0, 2.0]),
    ],
    ids=str,
)
def test_gaps_are_filled_by_hand(values, last_observed, filled):
    last = None if last_observed is None else torch.tensor([[last_observed]])
    found, observed_mask = fill_gaps(column(*values), last)
    assert found.flatten().tolist() == filled
    assert observed_mask.flatten().tolist() == [v == v for v in values]


def test_what_is_filled_is_left_as_it_is():
    context = column(1.0, NAN)
    fill_gaps(context)
    assert context[0, 1, 0].isnan()
    whole = column(1.0, 2.0)
    assert fill_gaps(whole)[0] is whole


def test_a_filled_value_passes_its_gradient_to_where_it_is_from():
    context = column(NAN, 2.0, NAN, NAN).requires_grad_()
    (gradient,) = torch.autograd.grad(fill_gaps(context)[0].sum(), context)
    assert gradient.flatten().tolist() == [0.0, 4.0, 0.0, 0.0]


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_last_observed_values_are_by_window_and_variate(share):
    torch.manual_seed(0)
    context = torch.randn(4, 9, 3, dtype=torch.float64)
    context[torch.rand(context.shape) < share] = NAN
    last_observed = torch.randn(4, 3, dtype=torch.float64)
    last_observed[0, 1] = last_observed[2, 2] = NAN
    found, observed_mask = fill_gaps(context, last_observed)
    for b in range(4):
        for c in range(3):
            values, flags = reference.fill_gaps(context[b, :, c], last_observed[b, c])
            assert torch.equal(found[b, :, c], values)
            assert torch.equal(observed_mask[b, :, c], flags.bool())
