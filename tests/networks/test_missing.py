"""Missing values in CALF and BALM-TSF: filled, flagged, and in no loss or statistic."""

import pytest
import torch

from sktime_llm import BALMTSFForecaster, CALFForecaster
from sktime_llm.training.windows import WindowShape

L, H, C = 12, 4, 2
NAN = float("nan")
MAKE = {
    "calf": lambda: CALFForecaster(backbone="tiny-random", d_ff=8, task_loss="mse"),
    "balm-tsf": lambda: BALMTSFForecaster(
        backbone="tiny-random", patch_length=4, patch_stride=2, d_model=8, d_ff=8
    ),
}

close = torch.testing.assert_close


@pytest.fixture(params=MAKE)
def network(request):
    """In float64, without dropout; flags have weights that are not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MAKE[request.param]()._build_network(WindowShape(L, H))
        torch.nn.init.normal_(network.embedding.missing)
    return network.double().eval()


def make_windows(n=5):
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(n, L + H, C, generator=generator, dtype=torch.float64)
    return windows[:, :L], windows[:, L:]


def unknown(n=5):
    return {"last_observed": torch.full((n, C), NAN, dtype=torch.float64)}


def test_without_gaps_it_is_the_published_network(network):
    context, target = make_windows()
    plain, masked = network(context, target), network(context, target, unknown())
    close(masked.forecast, plain.forecast)
    for name, loss in plain.losses.items():
        close(masked.losses[name], loss)


def test_missing_targets_count_in_no_loss(network):
    context, target = make_windows()
    target[0, :3, 1] = target[2, 1:] = NAN
    task = network(context, target, unknown()).losses["task"]
    error = (network(context).forecast - target)[~target.isnan()]
    close(task, error.square().mean())


def test_a_gap_is_filled_flagged_and_counts_in_no_statistic(network):
    context, _ = make_windows()
    context[:, 5:8, 0] = NAN
    filled = context.where(~context.isnan(), context[:, 4:5])
    with_flags = network(context, features=unknown()).forecast
    assert with_flags.isfinite().all()
    torch.nn.init.zeros_(network.embedding.missing)
    without = network(context, features=unknown()).forecast
    assert (without - with_flags).abs().max() > 1e-3
    # statistics of the filled values would be others
    assert (without - network(filled).forecast)[..., 0].abs().max() > 1e-6


def test_a_leading_gap_takes_the_value_before_the_window(network):
    context, _ = make_windows()
    context[:, :3, 1] = NAN
    forecasts = [
        network(context, features={"last_observed": torch.full_like(context[:, 0], v)})
        for v in (1.0, 1.0, 2.0)
    ]
    one, same, other = (each.forecast for each in forecasts)
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
