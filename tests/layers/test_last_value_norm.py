import torch

from sktime_llm.layers.last_value_norm import LastValueNorm
from tests.reference import llm_ts_net as reference

close = torch.testing.assert_close


def make_windows(share_there=0.6):
    torch.manual_seed(0)
    context = 5 + 3 * torch.randn(4, 9, 3, dtype=torch.float64)
    return context, torch.rand(context.shape) < share_there


def test_equals_the_reference():
    context, there = make_windows()
    actual = LastValueNorm()(context, there)
    assert actual.loc.shape == actual.scale.shape == (4, 1, 3)
    for b in range(4):
        values, last, scale = reference.last_value_norm(context[b], there[b])
        close(actual.values[b], values)
        close(actual.loc[b, 0], last)
        close(actual.scale[b, 0], scale.expand(3))


def test_by_hand():
    # differences -2, 0 and 4, 0: mean square 5
    window = torch.tensor([[[1.0, 9.0], [3.0, 5.0]]])
    there = torch.ones_like(window, dtype=torch.bool)
    values, loc, scale = LastValueNorm(eps=4.0)(window, there)
    assert loc.flatten().tolist() == [3.0, 5.0]
    assert scale.flatten().tolist() == [3.0, 3.0]
    close(values, torch.tensor([[[-2.0, 4.0], [0.0, 0.0]]]) / 3)


def test_loc_and_scale_undo_it():
    context, there = make_windows()
    values, loc, scale = LastValueNorm()(context, there)
    close(values * scale + loc, context)


def test_what_was_not_observed_does_not_count_in_the_scale():
    context, there = make_windows()
    there[:, -1] = True
    changed = context.where(there, 1e6)
    close(LastValueNorm()(changed, there).scale, LastValueNorm()(context, there).scale)


def test_a_variate_without_a_value_does_not_change_the_scale_of_the_others():
    context, there = make_windows(share_there=1.0)
    alone = LastValueNorm()(context[:, :, :2], there[:, :, :2])
    context[:, :, 2], there[:, :, 2] = 0.0, False
    scale = LastValueNorm()(context, there).scale
    close(scale[:, :, :2], alone.scale)


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
        there = torch.ones_like(context, dtype=torch.bool)
        values, loc, _ = LastValueNorm()(context, there)
        assert torch.equal(values, torch.zeros(2, 9, 3))
        assert torch.equal(loc, context[:, -1:])
        values.sum().backward()
        assert context.grad.isfinite().all()
