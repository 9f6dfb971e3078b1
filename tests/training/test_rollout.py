import pytest
import torch

from sktime_llm.networks._interface import ForecastOutput
from sktime_llm.training.rollout import flops_of, roll_forward

from .toy import LinearNetwork, make_network


def naive_roll(network, context, n_steps):
    rows = list(context[0])
    while len(rows) < len(context[0]) + n_steps:
        rows += list(network(torch.stack(rows[-4:])[None]).forecast[0])
    return torch.stack(rows[4 : 4 + n_steps])


def test_longer_horizons_feed_forecasts_back():
    network = make_network().eval()
    context = torch.randn(3, 4, 1)
    for n_steps in (1, 2, 3, 7):
        out, variance, _ = roll_forward(network, context, n_steps, batch_size=2)
        assert out.shape == (3, n_steps, 1)
        assert variance is None
        with torch.no_grad():
            for i in range(3):
                expected = naive_roll(network, context[i : i + 1], n_steps)
                torch.testing.assert_close(out[i], expected)


class SureNetwork(LinearNetwork):
    """Knows its variance, which depends on context and series; records the series."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, context, target=None, features=None):
        series = features["series"]
        self.seen.append(series.tolist())
        variance = context[:, -2:].square() + 10.0 * series[:, None, None]
        forecast = super().forward(context).forecast
        return ForecastOutput(forecast, {}, variance.to(forecast.dtype))


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5])
def test_variance_adds_up_where_forecasts_are_fed_back(n_steps):
    network, context = SureNetwork().eval(), torch.randn(3, 4, 1)
    series = torch.tensor([2, 0, 1])
    out = roll_forward(network, context, n_steps, batch_size=2, series=series)
    assert out.variance.shape == out.mean.shape == (3, n_steps, 1)

    known = torch.cat([context, out.mean], dim=1)
    for i in range(3):
        carried = 0.0
        for first in range(0, n_steps, 2):
            own = known[i, first + 2 : first + 4].square() + 10.0 * series[i]
            expected = own + carried
            carried = expected[-1]
            n = min(2, n_steps - first)
            torch.testing.assert_close(out.variance[i, first : first + n], expected[:n])


DISTANCES = torch.tensor([-1.0, 0.0, 2.0])


class RangeNetwork(LinearNetwork):
    """Knows quantiles, whose distances depend on the context."""

    def forward(self, context, target=None, features=None):
        forecast = super().forward(context).forecast
        distances = context[:, -2:].abs().unsqueeze(-1) * DISTANCES
        return ForecastOutput(forecast, {}, None, forecast.unsqueeze(-1) + distances)


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5])
def test_squared_distances_of_quantiles_add_up_likewise(n_steps):
    network, context = RangeNetwork().eval(), torch.randn(3, 4, 1)
    out = roll_forward(network, context, n_steps, batch_size=2)
    assert out.quantiles.shape == (3, n_steps, 1, len(DISTANCES))
    known = torch.cat([context, out.mean], dim=1)
    for i in range(3):
        carried = 0.0
        for first in range(0, n_steps, 2):
            own = known[i, first + 2 : first + 4].abs()[..., None] * DISTANCES
            squares = own * own.abs() + carried
            carried = squares[-1]
            found = (out.quantiles - out.mean[..., None])[i, first : first + 2]
            expected = squares.sign() * squares.abs().sqrt()
            torch.testing.assert_close(found, expected[: len(found)])


class CovariateNetwork(LinearNetwork):
    """Records the covariates."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, context, target=None, features=None):
        self.seen.append(features["covariates"])
        return super().forward(context)


def test_covariates_move_on_with_the_context():
    network = CovariateNetwork().eval()
    covariates = torch.arange(20.0).reshape(2, 10, 1)
    context = torch.randn(2, 4, 1)
    roll_forward(network, context, 5, batch_size=2, covariates=covariates)
    for first, seen in zip((0, 2, 4), network.seen, strict=True):
        assert torch.equal(seen, covariates[:, first : first + 6])


def test_each_series_keeps_its_number_in_every_step():
    network = SureNetwork().eval()
    series = torch.tensor([5, 3, 4])
    roll_forward(network, torch.randn(3, 4, 1), 3, batch_size=2, series=series)
    assert network.seen == [[5, 3], [5, 3], [4], [4]]


def test_forecasts_in_bfloat16_are_kept_in_float32():
    network, context = SureNetwork().eval(), torch.randn(3, 4, 1)
    settings = {"batch_size": 3, "series": torch.zeros(3, dtype=torch.int64)}
    exact = roll_forward(network, context, 3, **settings)
    out = roll_forward(network, context, 3, precision="bfloat16", **settings)
    assert out.mean.dtype == out.variance.dtype == torch.float32
    assert not torch.equal(out.mean, exact.mean)
    torch.testing.assert_close(out.mean, exact.mean, rtol=0.05, atol=0.05)


class BeforeNetwork(LinearNetwork):
    """Forecasts nothing but NaN-free zeros; records what was before each context."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, context, target=None, features=None):
        self.seen.append(features["last_observed"].flatten().tolist())
        return ForecastOutput(torch.zeros(len(context), 2, 1), {})


def test_what_was_before_moves_on_with_the_context():
    nan = float("nan")
    context = torch.tensor([[1.0, nan, nan, nan], [nan, nan, nan, 4.0]])[:, :, None]
    network = BeforeNetwork().eval()
    before = torch.tensor([[8.0], [9.0]])
    roll_forward(network, context, 6, batch_size=2, last_observed=before)
    assert network.seen == [[8.0, 9.0], [1.0, 9.0], [1.0, 4.0]]
    network.seen.clear()
    roll_forward(network, context, 1, batch_size=1, last_observed=before)
    assert network.seen == [[8.0], [9.0]]


@pytest.mark.parametrize(("n_threads", "is_counted"), [(1, False), (2, True)])
def test_operations_are_counted_only_to_choose_threads(n_threads, is_counted):
    network, before = make_network(), torch.get_num_threads()
    network.flops = None
    torch.set_num_threads(n_threads)
    try:
        roll_forward(network, torch.zeros(1, 4, 1), 1, batch_size=1)
    finally:
        torch.set_num_threads(before)
    assert (network.flops is not None) == is_counted


def test_operations_are_counted_without_dropout():
    network, before, modes = make_network(), torch.get_num_threads(), []
    network.flops = None
    network.linear.register_forward_hook(lambda *_: modes.append(network.training))
    torch.set_num_threads(2)
    try:
        assert flops_of(network, torch.zeros(1, 4, 1), {}) > 0
    finally:
        torch.set_num_threads(before)
    assert modes == [False]
    assert network.training  # as before
