import pytest
import torch

from sktime_llm.training.averaging import WeightAverage
from sktime_llm.training.trainer import _Run, train

from .toy import make_config, make_network, make_windows


def weights_of_steps(config, windows):
    """The weights that train, before the first step and after each."""
    network = make_network()
    steps = [network.linear.weight.detach().clone()]
    take = _Run.train_step

    def train_step(self, indices, share):
        losses = take(self, indices, share)
        steps.append(network.linear.weight.detach().clone())
        return losses

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Run, "train_step", train_step)
        train(network, *windows, config)
    return network, steps


def averages(steps, decay):
    """The average after each step, in plain words."""
    average, found = steps[0].double(), []
    for n, weights in enumerate(steps[1:], start=1):
        share = min(decay, (1 + n) / (10 + n))
        average = share * average + (1 - share) * weights
        found.append(average)
    return found


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.99])
def test_the_average_of_all_steps_is_kept(decay):
    config = make_config(max_epochs=4, batch_size=8, ema_decay=decay)
    network, steps = weights_of_steps(config, make_windows(validation_fraction=0.0))
    assert len(steps) > 20
    expected = averages(steps, decay)[-1].float()
    torch.testing.assert_close(network.linear.weight.detach(), expected)
    alike = torch.allclose(network.linear.weight, steps[-1], atol=1e-4)
    assert alike == (decay == 0)


def test_it_trains_as_without_an_average():
    windows = make_windows(validation_fraction=0.0)
    settings = {"max_epochs": 3, "batch_size": 8}
    plain = weights_of_steps(make_config(**settings), windows)[1]
    averaged = weights_of_steps(make_config(**settings, ema_decay=0.9), windows)[1]
    assert all(map(torch.equal, plain, averaged))


def test_the_average_is_what_is_validated():
    windows = make_windows()
    config = make_config(max_epochs=6, batch_size=8, learning_rate=0.5, ema_decay=0.9)
    network = make_network()
    records = train(network, *windows, config)
    best = min(records, key=lambda record: record["validation_loss"])
    assert best["best"] == 1
    every = windows[1].gather(torch.arange(len(windows[1])))
    error = (network(every[0]).forecast - every[1]).square().mean().item()
    assert error == pytest.approx(best["validation_loss"], rel=1e-5)


def test_an_error_leaves_the_weights_that_train():
    trained = {"weight": torch.nn.Parameter(torch.ones(2))}
    average = WeightAverage(trained, 0.5)
    with torch.no_grad():
        trained["weight"].fill_(3.0)
    in_place = average.in_place()
    in_place.__enter__()
    assert trained["weight"].tolist() == [1.0, 1.0]
    assert not in_place.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert trained["weight"].tolist() == [3.0, 3.0]
