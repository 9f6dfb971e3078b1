import torch

from sktime_llm.layers.last_value_norm import LastValueNorm

close = torch.testing.assert_close


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
