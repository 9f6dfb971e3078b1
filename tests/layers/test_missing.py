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
    assert found.observed_mask.flatten().tolist() == [v == v for v in values]


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
    ("values", "last_observed", "filled"),
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
def test_a_gap_at_the_start_takes_the_last_observed_value(
    values, last_observed, filled
):
    found = fill_gaps(column(*values), torch.tensor([[last_observed]]))
    assert found.values.flatten().tolist() == filled
    assert found.observed_mask.flatten().tolist() == [v == v for v in values]


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_last_observed_values_are_by_window_and_variate(share):
    torch.manual_seed(0)
    context = torch.randn(4, 9, 3, dtype=torch.float64)
    context[torch.rand(context.shape) < share] = NAN
    last_observed = torch.randn(4, 3, dtype=torch.float64)
    last_observed[0, 1] = last_observed[2, 2] = NAN
    found = fill_gaps(context, last_observed)
    for b in range(4):
        for c in range(3):
            values, flags = reference.fill_gaps(context[b, :, c], last_observed[b, c])
            assert torch.equal(found.values[b, :, c], values)
            assert torch.equal(found.observed_mask[b, :, c], flags.bool())
