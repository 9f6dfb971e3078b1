import pytest
import torch

from sktime_llm.layers.missing import fill_gaps
from tests.reference import llm_ts_net as reference

NAN = float("nan")


def column(*values):
    return torch.tensor(values)[None, :, None]


@pytest.mark.parametrize(
    ("values", "filled"),
    [
        ([1.0, NAN, NAN, 4.0], [1.0, 1.0, 1.0, 4.0]),
        ([NAN, NAN, 3.0, NAN], [3.0, 3.0, 3.0, 3.0]),
        ([NAN, 2.0, NAN, 4.0], [2.0, 2.0, 2.0, 4.0]),
        ([NAN, NAN], [0.0, 0.0]),
        ([NAN], [0.0]),
        ([1.0, 2.0], [1.0, 2.0]),
    ],
    ids=str,
)
def test_by_hand(values, filled):
    found = fill_gaps(column(*values))
    assert found.values.flatten().tolist() == filled
    assert found.there.flatten().tolist() == [v == v for v in values]


def test_each_window_and_variate_is_on_its_own():
    torch.manual_seed(0)
    context = torch.randn(4, 9, 3, dtype=torch.float64)
    context[torch.rand(context.shape) < 0.5] = NAN
    found = fill_gaps(context)
    for b in range(4):
        for c in range(3):
            values, flags = reference.fill_gaps(context[b, :, c])
            assert torch.equal(found.values[b, :, c], values)
            assert torch.equal(found.there[b, :, c], flags.bool())


def test_the_input_is_left_as_it_is():
    context = column(1.0, NAN)
    fill_gaps(context)
    assert context[0, 1, 0].isnan()
    whole = column(1.0, 2.0)
    assert fill_gaps(whole).values is whole


def test_a_filled_value_passes_its_gradient_to_where_it_is_from():
    context = column(NAN, 2.0, NAN, NAN).requires_grad_()
    (gradient,) = torch.autograd.grad(fill_gaps(context).values.sum(), context)
    assert gradient.flatten().tolist() == [0.0, 4.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("values", "before", "filled"),
    [
        ([NAN, NAN, 3.0, NAN], 7.0, [7.0, 7.0, 3.0, 3.0]),
        ([NAN, NAN], 7.0, [7.0, 7.0]),
        ([NAN, 3.0], NAN, [3.0, 3.0]),
        ([NAN, NAN], NAN, [0.0, 0.0]),
        ([1.0, NAN], 7.0, [1.0, 1.0]),
        ([1.0, 2.0], 7.0, [1.0, 2.0]),
    ],
    ids=str,
)
def test_a_gap_at_the_start_takes_what_was_before_the_window(values, before, filled):
    found = fill_gaps(column(*values), torch.tensor([[before]]))
    assert found.values.flatten().tolist() == filled
    assert found.there.flatten().tolist() == [v == v for v in values]


def test_what_was_before_is_of_each_window_and_variate():
    torch.manual_seed(0)
    context = torch.randn(4, 9, 3, dtype=torch.float64)
    context[torch.rand(context.shape) < 0.8] = NAN
    before = torch.randn(4, 3, dtype=torch.float64)
    before[0, 1] = before[2, 2] = NAN
    found = fill_gaps(context, before)
    for b in range(4):
        for c in range(3):
            values, _ = reference.fill_gaps(context[b, :, c], before[b, c])
            assert torch.equal(found.values[b, :, c], values)
