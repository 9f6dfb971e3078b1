import copy
import logging
import math
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from sktime_llm import _progress
from sktime_llm.errors import InputError, TrainingDivergedError, TrainingInterrupted
from sktime_llm.training import trainer
from sktime_llm.training.trainer import train

from .toy import (
    SHAPE,
    LinearNetwork,
    make_config,
    make_network,
    make_windows,
    split_windows,
)


def run(config=None, *, network=None, windows=None):
    network = network or make_network()
    history = train(network, *(windows or make_windows()), config or make_config())
    return network, history


def test_training_learns_and_tells_its_history():
    network = make_network().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, history = run(make_config(max_epochs=30), network=network)
    assert not network.training  # as before
    assert history[-1]["validation_loss"] < 0.2 * history[0]["validation_loss"]
    assert history[-1]["loss"] < history[0]["loss"]
    assert [r["epoch"] for r in history] == list(range(1, 31))
    losses = ["loss", "task", "validation_loss"]
    assert list(history[0]) == ["epoch", *losses, "learning_rate", "seconds", "best"]
    assert sum(r["best"] for r in history) == 1


def test_validation_loss_is_the_error_without_dropout():
    network, history = run(network=make_network(dropout=0.5))
    best = next(r for r in history if r["best"])
    _, validation = make_windows()
    context, target = validation.gather(torch.arange(len(validation)))
    error = (network.eval()(context).forecast - target).square().mean()
    assert best["validation_loss"] == pytest.approx(error.item(), rel=1e-5)


def test_the_loss_of_an_epoch_is_a_mean_over_windows():
    # the last batch has a single window; a rate of next to nothing changes no weight
    network, windows = make_network(), make_windows()
    config = make_config(learning_rate=1e-30, max_epochs=1, batch_size=7)
    assert len(windows[0]) % 7 == 1
    _, history = run(config, network=network, windows=windows)
    expected = network(*windows[0].gather(torch.arange(len(windows[0])))).losses
    for name, value in expected.items():
        assert history[0][name] == pytest.approx(value.item(), rel=1e-5)


def make_windows_with_gaps():
    """Validation targets half missing, one of them altogether but for one value."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 2))
    rows[25:, 0] = rows[[22, 24], 1] = np.nan
    return split_windows([rows], SHAPE, 0.3)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("mse", lambda f, t: (f - t) ** 2),
        ("mae", lambda f, t: abs(f - t)),
        (
            "gaussian_nll",  # of the variance below
            lambda f, t: (math.log(1 + f**2) + (f - t) ** 2 / (1 + f**2)) / 2,
        ),
    ],
)
def test_missing_targets_do_not_count_in_validation(name, error, batch_size):
    network = make_network().eval()
    windows = make_windows_with_gaps()
    context, target = windows[1].gather(torch.arange(len(windows[1])))

    def forward(context, target=None, features=None):
        # what the network knows of missing values is its own affair
        out = LinearNetwork.forward(network, context.nan_to_num(), target)
        return out._replace(variance=1 + out.forecast.square())

    network.forward = forward
    config = make_config(validation_loss=name, batch_size=batch_size)
    forecast = network(context).forecast
    pairs = zip(forecast.flatten().tolist(), target.flatten().tolist(), strict=True)
    errors = [error(f, t) for f, t in pairs if not math.isnan(t)]
    assert len(errors) < target.numel() - 10
    actual = trainer._Run(network, *windows, config).validate()
    assert actual == pytest.approx(np.mean(errors), rel=1e-5)


class FeatureNetwork(LinearNetwork):
    """Has the mean of a window as a feature, and records what it is given."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.described = 0
        self.inside = []

    def window_features(self, context, last_observed=None):
        self.described += len(context)
        return {"mean": context.mean(dim=1)}

    def forward(self, context, target=None, features=None):
        self.calls.append((context, features, self.training, list(self.inside)))
        return super().forward(context, target)

    @contextmanager
    def training_context(self):
        self.inside.append("remember")
        try:
            yield
        finally:
            self.inside.clear()


def test_features_are_computed_once_and_given_in_every_step():
    network, windows = FeatureNetwork(), make_windows()
    run(make_config(max_epochs=3), network=network, windows=windows)
    assert network.described == len(windows[0]) + len(windows[1])
    assert {training for *_, training, _ in network.calls} == {True, False}
    assert {tuple(inside) for *_, inside in network.calls} == {("remember",)}
    assert network.inside == []
    for context, features, *_ in network.calls:
        assert torch.equal(features["mean"], context.mean(dim=1))
        assert features["series"].tolist() == [0] * len(context)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_stops_training_ends_remember(error):
    network = FeatureNetwork()

    def stop(context, target=None, features=None):
        assert network.inside == ["remember"]
        raise error("stop")

    network.forward = stop
    with pytest.raises(error):
        run(network=network)
    assert network.inside == []


def test_the_best_epoch_is_restored():
    # too high a learning rate: validation gets worse after a while
    network, history = run(make_config(learning_rate=0.5, max_epochs=15))
    losses = [r["validation_loss"] for r in history]
    best = losses.index(min(losses))
    assert best < len(losses) - 1
    assert history[best]["best"] == 1
    shorter, _ = run(
        make_config(learning_rate=0.5, max_epochs=best + 1), network=make_network()
    )
    assert torch.equal(network.linear.weight, shorter.linear.weight)


def test_patience_stops_training():
    _, history = run(make_config(learning_rate=0.5, max_epochs=50, patience=3))
    best = next(r["epoch"] for r in history if r["best"])
    assert len(history) == best + 3 < 50


def test_an_epoch_that_is_only_as_good_is_not_better():
    config = make_config(learning_rate=1e-30, max_epochs=9, patience=2)
    _, history = run(config)
    assert [r["best"] for r in history] == [1, 0, 0]


def test_without_validation_the_last_epoch_counts():
    windows = make_windows(validation_fraction=0.0)
    _, history = run(make_config(max_epochs=4, patience=1), windows=windows)
    assert len(history) == 4
    assert history[-1]["best"] == 1
    assert history[-1]["validation_loss"] != history[-1]["validation_loss"]  # NaN


def test_frozen_tensors_do_not_change():
    network, _ = run(make_config(weight_decay=0.1, optimizer="adamw"))
    assert network.training  # as before
    assert torch.equal(network.frozen, torch.ones(3))


def test_the_same_seed_gives_the_same_weights():
    before = torch.get_rng_state()
    one, other, third = (
        run(make_config(seed=seed), network=make_network(dropout=0.3))[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.linear.weight, other.linear.weight)
    assert not torch.equal(one.linear.weight, third.linear.weight)


def gathered(network=None, **settings):
    """Numbers of the training windows, as they are gathered step by step."""
    seen, windows = [], make_windows()
    gather = windows[0].gather
    windows[0].gather = lambda i: seen.append(i) or gather(i)
    run(make_config(**settings), network=network, windows=windows)
    return seen[1:]  # after the window whose FLOPs are counted


def drawn(seed):
    """The order of windows, and what dropout drops."""
    network, kept = make_network(dropout=0.5), []
    network.dropout.register_forward_hook(
        lambda module, _, out: kept.append(out != 0) if module.training else None
    )
    order = gathered(network, seed=seed, max_epochs=1)
    return torch.cat(order), torch.cat(kept)


def test_the_seed_is_that_of_the_order_and_of_dropout():
    one, same, other = map(drawn, (1, 1, 2))
    for i in range(2):
        assert torch.equal(one[i], same[i])
        assert not torch.equal(one[i], other[i])


def test_an_epoch_sees_every_window_once():
    n, seen = len(make_windows()[0]), gathered(max_epochs=2, batch_size=7)
    epochs = torch.cat(seen).split(n)
    assert all(torch.equal(e.sort().values, torch.arange(n)) for e in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_steps_per_epoch_bounds_an_epoch():
    seen = gathered(max_epochs=3, batch_size=4, steps_per_epoch=2)
    assert [len(indices) for indices in seen] == [4] * 6


def rates_of(**settings):
    return rates_of_config(make_config(**settings))


def rates_of_config(config):
    return [r["learning_rate"] for r in run(config)[1]]


def test_schedules_of_the_learning_rate():
    rates = rates_of(max_epochs=5, lr_schedule="cosine", cosine_epochs=4)
    assert rates[0] == 0.02
    assert rates == sorted(rates, reverse=True)
    assert rates[4] == pytest.approx(1e-8)
    rates = rates_of(max_epochs=10, lr_schedule="one-cycle")
    assert 0 < rates.index(max(rates)) < 9
    assert rates[9] < rates[0] < max(rates)
    rates = rates_of(max_epochs=4, lr_schedule="step", learning_rate=0.08)
    assert rates == pytest.approx([0.08, 0.04, 0.02, 0.01])
    assert set(rates_of(lr_schedule="constant")) == {0.02}


@pytest.mark.parametrize("lr_schedule", ["cosine", "one-cycle", "step", "constant"])
def test_projections_may_train_at_a_rate_of_their_own(lr_schedule):
    # Adam's steps are about the rate, whatever the gradient, while its sign stays
    start = make_network()
    start.projection_names = lambda: {"linear.bias"}
    settings = {"max_epochs": 4, "cosine_epochs": 4, "lr_schedule": lr_schedule}
    settings |= {"learning_rate": 1e-3, "batch_size": 100}  # a step an epoch
    config = make_config(**settings, projection_learning_rate=1e-5)
    windows = make_windows(validation_fraction=0.0)
    network, _ = run(config, network=copy.deepcopy(start), windows=windows)
    moved = (network.linear.bias - start.linear.bias).detach().abs()
    assert moved.max().item() == pytest.approx(4e-5, rel=0.1)
    assert (network.linear.weight - start.linear.weight).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("name", "optimizer"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_steps_are_those_of_the_optimizer(name, optimizer, clip, decay):
    expected, windows = make_network(), make_windows(validation_fraction=0.0)
    every = windows[0].gather(torch.arange(len(windows[0])))
    parameters = list(expected.linear.parameters())
    steps = optimizer(parameters, lr=0.1, weight_decay=decay)
    for _ in range(8):
        steps.zero_grad()
        expected(*every).losses["loss"].backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        steps.step()
    settings = {"optimizer": name, "weight_decay": decay, "gradient_clip": clip}
    settings |= {"learning_rate": 0.1, "lr_schedule": "constant"}
    config = make_config(**settings, max_epochs=8, batch_size=100)
    network, _ = run(config, windows=windows)
    torch.testing.assert_close(network.linear.weight, expected.linear.weight)
    torch.testing.assert_close(network.linear.bias, expected.linear.bias)


def test_gradient_clipping_bounds_the_step():
    # plain gradients of any size make Adam's first step the learning rate; a clip
    # far below Adam's epsilon makes it smaller
    start = make_network()
    config = make_config(max_epochs=1, steps_per_epoch=1, gradient_clip=1e-12)
    network, _ = run(config, network=copy.deepcopy(start))
    step = (network.linear.weight - start.linear.weight).abs().max()
    assert 0 < step < 1e-4


def test_a_patience_of_no_epochs():
    with pytest.raises(InputError, match="patience=0, expected an integer of at least"):
        make_config(patience=0)


@pytest.mark.parametrize(
    ("batch_size", "call", "message"),
    [
        (8, 6 + 3, "epoch 2, step 3 of 6"),
        (1, 43 + 25, "epoch 2, step 25 of 43"),  # not among the first that are checked
    ],
)
def test_a_loss_that_is_not_finite_names_epoch_and_step(batch_size, call, message):
    network = make_network()
    forward, calls = network.forward, []

    def broken(context, target=None, features=None):
        out = forward(context, target, features)
        if target is not None:
            calls.append(1)
            if len(calls) == call:
                out.losses["loss"] = out.losses["loss"] * float("nan")
        return out

    network.forward = broken
    with pytest.raises(TrainingDivergedError, match=message):
        run(make_config(batch_size=batch_size), network=network)


def test_weights_that_the_last_step_ruins_are_refused():
    config = make_config(
        learning_rate=1e38, max_epochs=1, steps_per_epoch=1, lr_schedule="constant"
    )
    with pytest.raises(TrainingDivergedError, match="after epoch 1 the weights or"):
        run(config)


def interrupt_in_step(monkeypatch, step):
    counter = []
    original = trainer._Run.train_step

    def interrupted(self, indices, share):
        counter.append(1)
        if len(counter) == step:
            raise KeyboardInterrupt
        return original(self, indices, share)

    monkeypatch.setattr(trainer._Run, "train_step", interrupted)


def test_interrupt_keeps_the_best_weights_and_says_so(monkeypatch):
    interrupt_in_step(monkeypatch, 15)
    network = make_network()
    with pytest.raises(TrainingInterrupted, match=r"in epoch 3; .* epoch 2") as caught:
        run(network=network)
    monkeypatch.undo()
    expected, _ = run(make_config(max_epochs=2))
    assert len(caught.value.records) == 2
    assert torch.equal(network.linear.weight, expected.linear.weight)


def test_interrupt_before_the_first_epoch_is_passed_on(monkeypatch):
    interrupt_in_step(monkeypatch, 3)
    message = r"before the first epoch.*nothing of it"
    with pytest.raises(KeyboardInterrupt, match=message):
        run()


def test_progress_bar_is_shown_and_can_be_silenced(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "_SHOW_AFTER_SECONDS", 0)
    shown = []
    bar = _progress.tqdm

    def spy(*args, **kwargs):
        shown.append(kwargs["disable"])
        return bar(*args, **{**kwargs, "disable": kwargs["disable"] is True})

    monkeypatch.setattr(_progress, "tqdm", spy)
    run(make_config(verbose=0))
    assert capsys.readouterr().err == ""
    run(make_config(verbose=1))
    assert shown == [True, None]
    assert "training" in capsys.readouterr().err


def test_verbose_logs_every_epoch(caplog):
    with caplog.at_level(logging.INFO, logger="sktime_llm"):
        run(make_config(verbose=1))
        assert not caplog.records
        run(make_config(verbose=2, max_epochs=3))
    assert len(caplog.records) == 3
    assert "validation_loss" in caplog.text


def test_bfloat16_trains_float32_weights():
    network, kinds = make_network(), set()
    network.linear.register_forward_hook(
        lambda module, _, out: kinds.add((network.training, out.dtype))
    )
    config = make_config(precision="bfloat16", max_epochs=20)
    _, history = run(config, network=network)
    assert kinds == {(True, torch.bfloat16), (False, torch.bfloat16)}
    assert network.linear.weight.dtype == torch.float32
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
    exact, _ = run(make_config(max_epochs=20))
    assert not torch.equal(network.linear.weight, exact.linear.weight)


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives():
    windows = make_windows()
    cuda = torch.device("cuda")
    for w in windows:
        w.starts, w._views = w.starts.to(cuda), w._views.to(cuda)
    config = make_config(precision="float32")
    on_gpu, _ = run(config, network=make_network().to(cuda), windows=windows)
    on_cpu, _ = run(config)
    torch.testing.assert_close(on_gpu.linear.weight.cpu(), on_cpu.linear.weight)


def test_a_cycle_of_a_single_step_trains():
    settings = {"max_epochs": 1, "steps_per_epoch": 1, "lr_schedule": "one-cycle"}
    assert rates_of(**settings) == [pytest.approx(0.02 / 25)]


@pytest.mark.parametrize(
    ("schedule", "share"),
    [("one-cycle", 1 / 25), ("cosine", 1 / 5), ("step", 1 / 5), ("constant", 1 / 5)],
)
def test_an_update_stays_at_a_low_rate(schedule, share):
    config = make_config(lr_schedule=schedule, max_epochs=3)
    assert rates_of_config(config.of_update()) == 3 * [pytest.approx(0.02 * share)]
    assert config.of_update().projection_learning_rate is None
    config = make_config(lr_schedule=schedule, projection_learning_rate=0.01)
    rate = config.of_update().projection_learning_rate
    assert rate == pytest.approx(0.01 / 5)  # which is no peak
