import numpy as np
import pytest
import torch

from sktime_llm.training.sharing import Share, part_of

from .toy import SHAPE, split_windows


def make_windows(n_missing):
    values = np.random.default_rng(0).normal(size=(60, 2))
    values.flat[np.random.default_rng(1).choice(120, n_missing, replace=False)] = np.nan
    return split_windows([values], SHAPE, 0.0)[0]


def losses_of(windows, indices, scale):
    """Losses of windows, of which one does not depend on what is observed."""
    context, target = windows.gather(indices)
    errors = (target - scale)[~target.isnan()]
    task, pinball = errors.square().mean(), errors.abs().mean()
    other = (context.nan_to_num() * scale).exp().mean()
    losses = {"task": task, "pinball": pinball, "other": other}
    return {"loss": task + pinball + 3 * other, **losses}


@pytest.mark.parametrize("n_missing", [0, 1, 60])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_losses_and_gradients_of_parts_make_those_of_the_batch(world, n_missing):
    windows = make_windows(n_missing)
    batch = torch.randperm(len(windows), generator=torch.manual_seed(0))[:5]
    scale = torch.tensor(0.3, requires_grad=True)
    expected = losses_of(windows, batch, scale)
    (gradient,) = torch.autograd.grad(expected["loss"], scale)
    means = dict.fromkeys(expected, 0.0)
    for rank in range(world):
        part, share = part_of(batch, windows, rank, world)
        losses = share.weighed(losses_of(windows, part, scale))
        for name, value in losses.items():
            means[name] += value * share.of_windows / world
    torch.testing.assert_close(means, expected)
    (found,) = torch.autograd.grad(means["loss"], scale)
    torch.testing.assert_close(found, gradient)


@pytest.mark.parametrize(("world", "n_missing"), [(1, 60), (2, 0), (3, 0)])
def test_nothing_is_counted_or_changed_without_missing_values_or_parts(
    world, n_missing, monkeypatch
):
    windows = make_windows(n_missing)
    monkeypatch.delattr(type(windows), "n_observed")
    part, share = part_of(torch.arange(5), windows, 0, world)
    assert torch.equal(part, torch.arange(0, 5, world))
    assert share == Share(len(part) * world / 5)
    losses = losses_of(windows, part, torch.tensor(0.3))
    assert share.weighed(losses) is losses
