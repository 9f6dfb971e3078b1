"""Covariates in the networks, against plain formulas."""

import pytest
import torch

from sktime_llm import BALMTSFForecaster, LLMTSNetForecaster
from sktime_llm.layers.covariates import CovariateEmbedding
from sktime_llm.training.windows import WindowShape
from tests.networks import test_calf as calf
from tests.networks.tools import assert_gradients, exact, make_windows, shake, trained
from tests.reference import calf as reference
from tests.reference import llm_ts_net as net_reference

B, L, H, M = calf.B, calf.L, calf.H, calf.M
PAST_ONLY = [False, True, False]
K = len(PAST_ONLY)
NAN = float("nan")


def make_covariates(with_gaps=True, dtype=torch.float64):
    covariates = torch.cat(make_windows(B, L, H, K, dtype), dim=1)
    covariates[0, :, 2] = 4.0  # constant
    if with_gaps:
        covariates[1, 2:4, 0] = covariates[1, :2, 1] = NAN
        covariates[2, L - 1 :, 0] = covariates[2, :, 2] = NAN
    return covariates


def hidden(covariates):
    """What may be known of covariates: not the future of the second."""
    covariates = covariates.clone()
    covariates[:, L:, 1] = NAN
    return covariates


def with_covariates(network):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network.add_covariates(PAST_ONLY)
    network.double().eval()
    shake(network.covariates.parameters())
    return network


@pytest.mark.parametrize("with_gaps", [False, True])
@pytest.mark.parametrize("losses", [{}, calf.LOSSES["residual"]])
@pytest.mark.parametrize("backbone", calf.TINY)
def test_calf_is_the_reference(backbone, losses, with_gaps):
    network = with_covariates(calf.build_exact(backbone, **losses))
    (context, target), covariates = calf.make_data(), make_covariates(with_gaps)
    out = network(context, target, {"covariates": covariates})
    weights, settings = calf.weights_of(network), calf.settings_of(network, **losses)
    given = (weights, context, settings, covariates, PAST_ONLY)
    time, _ = reference.forward(*given)
    assert out.forecast.shape == (B, H, M)
    exact(out.forecast, time.forecast)
    expected = reference.losses(
        weights, context, target, settings, covariates, PAST_ONLY
    )
    for name, value in expected._asdict().items():
        exact(out.losses[name], value)
    assert_gradients(network, out.losses["loss"], expected.loss, weights)
    assert all(parameter.grad.any() for parameter in network.covariates.parameters())


def make_net(**params):
    forecaster = LLMTSNetForecaster(
        text_fusion=False, patch_length=2, d_model=8, n_heads=4, d_ff=8, **params
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = forecaster._build_network(WindowShape(L, H)).double().eval()
    shake(trained(network).values())
    return with_covariates(network)


@pytest.mark.parametrize("params", [{}, {"prompt_pool": False, "uncertainty": True}])
def test_llm_ts_net_is_the_reference(params):
    network = make_net(**params)
    (context, _), covariates = calf.make_data(), make_covariates()
    out = network(context, features={"covariates": covariates})
    settings = net_reference.Settings(2, H, 4, 2, 2)
    for i in range(B):
        expected = net_reference.forward(
            network.state_dict(), context[i], None, settings, covariates[i], PAST_ONLY
        )
        exact(out.forecast[i], expected.forecast)
        if params.get("uncertainty"):
            exact(out.variance[i], expected.variance)


@pytest.fixture(params=["calf", "llm-ts-net"])
def network(request):
    if request.param == "calf":
        return with_covariates(calf.build_exact("tiny-random"))
    return make_net()


def test_the_future_of_a_past_covariate_is_not_looked_at(network):
    context, target = calf.make_data()
    covariates = make_covariates()
    out, other = (
        network(context, target, {"covariates": each})
        for each in (covariates, hidden(covariates))
    )
    exact(out, other)


def test_the_order_of_covariates_does_not_matter_to_attention_between_series():
    network = make_net()
    context, _ = calf.make_data()
    covariates = make_covariates()
    expected = network(context, features={"covariates": covariates}).forecast
    order = [2, 0, 1]
    old = network.covariates
    new = CovariateEmbedding([PAST_ONLY[i] for i in order], L, H, 8).double()
    with torch.no_grad():
        for i, j in enumerate(order):
            new.embeds[i].load_state_dict(old.embeds[j].state_dict())
            new.unknown[i] = old.unknown[j]
    network.covariates = new
    out = network(context, features={"covariates": covariates[..., order]})
    exact(out.forecast, expected)


def test_flags_start_at_zero_and_a_constant_is_not_blown_up():
    embedding = CovariateEmbedding(PAST_ONLY, L, H, 8).double()
    assert not embedding.unknown.any()
    covariates = make_covariates()
    covariates[0, L:, 2] = 5.0  # where it was 4 in the whole context
    steps, known = embedding._normalize(covariates)
    exact(steps[0, L:-1, 2], torch.ones(H, dtype=torch.float64) / (1 + 1e-5) ** 0.5)
    assert torch.equal(known, ~hidden(covariates).isnan())


def test_balm_tsf_takes_none():
    network = BALMTSFForecaster(backbone="tiny-random")._build_network(
        WindowShape(16, H)
    )
    with pytest.raises(NotImplementedError, match="BALMTSFNetwork takes no covariates"):
        network.add_covariates(PAST_ONLY)
