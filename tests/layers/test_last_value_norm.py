import torch

from sktime_llm.layers.last_value_norm import LastValueNorm
from tests.reference import llm_ts_net as reference

close = torch.testing.assert_close


def make_windows(share_observed=0.6):
    torch.manual_seed(0)
    context = 5 + 3 * torch.randn(4, 9, 3, dtype=torch.float64)
    return context, torch.rand(context.shape) < share_observed


def test_equals_the_reference():
    context, observed = make_windows()
    actual = LastValueNorm()(context, observed)
    assert actual.loc.shape == actual.scale.shape == (4, 1, 3)
    for b in range(4):
        values, last, scale = reference.last_value_norm(context[b], observed[b])
        close(actual.values[b], values)
        close(actual.loc[b, 0], last)
        close(actual.scale[b, 0], scale.expand(3))


def test_by_hand():
    # differences -2, 0 and 4, 0: mean square 5
    window = torch.tensor([[[1.0, 9.0], [3.0, 5.0]]])
    observed = torch.ones_like(window, dtype=torch.bool)
    values, loc, scale = LastValueNorm(eps=4.0)(window, observed)
    assert loc.flatten().tolist() == [3.0, 5.0]
    assert scale.flatten().tolist() == [3.0, 3.0]
    close(values, torch.tensor([[[-2.0, 4.0], [0.0, 0.0]]]) / 3)


def test_without_any_value_the_forecast_of_a_network_hardly_moves():
    context = torch.zeros(2, 9, 3)
    values, _, scale = LastValueNorm()(
        context, torch.zeros_like(context, dtype=torch.bool)
    )
    assert not values.any()
    close(scale, torch.full((2, 1, 3), 1e-5**0.5))


def test_constant_windows_become_zeros():
    for level in (0.0, 0.1, 1e6 + 0.3):
        context = torch.full((2, 9, 3), level, requires_grad=True)
        observed = torch.ones_like(context, dtype=torch.bool)
        values, loc, _ = LastValueNorm()(context, observed)
        assert torch.equal(values, torch.zeros(2, 9, 3))
        assert torch.equal(loc, context[:, -1:])
        values.sum().backward()
        assert context.grad.isfinite().all()
