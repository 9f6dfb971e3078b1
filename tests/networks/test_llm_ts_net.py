"""LLM-TS Net's network against plain formulas written from its specification."""

import copy
import pickle

import pytest
import torch

from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.networks.llm_ts_net import LLMTSNetwork
from sktime_llm.text.encoder import DescriptionEmbeddings, DescriptionEncoder
from tests.networks.tools import assert_gradients, close, exact, trained
from tests.reference import llm_ts_net as reference

B, L, H, M = 3, 10, 3, 2
SIZES = {
    "context_length": L,
    "prediction_length": H,
    "patch_length": 4,
    "d_model": 8,
    "n_heads": 4,
    "n_kv_heads": 2,
    "d_ff": 6,
    "n_blocks": 2,
    "n_prompts": 4,
    "prompt_length": 2,
    "n_selected": 2,
    "level_input": False,
    "intra_series": True,
    "inter_series": True,
    "dropout": 0.1,
    "task_loss": "mae",
    "selection_loss_weight": 0.1,
    "uncertainty": False,
}
SERIES = [1, 0, 1]  # of each window
TEXTS = ["rises", "falls", "flat, then a peak", "no trend at all"]  # by series, channel
NAN = float("nan")
BLIND = {"intra_series": False, "inter_series": False}
PARTS = {
    "all": {},
    "and the level": {"level_input": True},
    "no text": {"text": False},
    "no pool": {"n_prompts": 0},
    "no intra-series": {"intra_series": False},
    "no inter-series": {"inter_series": False},
    "nothing": {"text": False, "n_prompts": 0, **BLIND},
}
each_part = pytest.mark.parametrize("removed", PARTS.values(), ids=PARTS)
certain_or_not = pytest.mark.parametrize("uncertainty", [False, True])


def make_descriptions(name="tiny-random"):
    tuning = AdapterConfig(lora_rank=2, lora_dropout=0.0, reduced_memory=True)
    encoder = DescriptionEncoder(make_backbone(BackboneChoice(name), tuning))
    encoder.tune(TEXTS, n_steps=0, seed=0)
    return DescriptionEmbeddings(encoder)


def build(name="tiny-random", *, text=True, **settings):
    """In float64 without dropout, as while training; no tensor is zero or symmetric."""
    descriptions = make_descriptions(name) if text else None
    network = LLMTSNetwork(descriptions, **{**SIZES, **settings}).double().eval()
    with torch.no_grad():
        for p in trained(network).values():
            p.add_(torch.randn_like(p), alpha=0.3)
    if text:
        descriptions.add(TEXTS[: 2 * settings.get("n_channels", M)], M, n_known=0)
    return network


def make_data(gaps=True, n_channels=M, context_length=L):
    rows = torch.randn(B, context_length + H, n_channels, dtype=torch.float64)
    rows = rows * 2 + torch.arange(B)[:, None, None]
    context, target = rows[:, :context_length], rows[:, context_length:]
    if gaps:
        context[0, 2:5, 0] = context[0, -1, 1] = context[1, :3, 1] = NAN
        context[2, :, 0] = NAN  # altogether
        target[0, 1, 0] = target[1, :, 1] = NAN
    return context, target


def run(network, context, target=None, series=SERIES):
    return network(context, target, {"series": torch.tensor(series)})


def expected_embeddings(descriptions, pooling):
    """By series and channel, from the states that the encoder gives."""
    texts = zip(*descriptions.encoder.read(TEXTS), strict=True)
    pooled = [reference.attention_pooling(pooling, *text) for text in texts]
    return torch.stack(pooled).unflatten(0, (-1, M))


def expected_outputs(network, context, w=None, series=SERIES):
    w = w or dict(network.named_parameters())
    texts = [None] * len(context)
    if network.descriptions is not None:
        pooling = reference.part(w, "descriptions.pooling")
        embeddings = expected_embeddings(network.descriptions, pooling)
        texts = [embeddings[i] for i in series]
    return [
        reference.forward(w, window, text, settings_of(network))
        for window, text in zip(context, texts, strict=True)
    ]


def settings_of(network):
    return reference.Settings(
        patch_length=network.patch_length,
        prediction_length=H,
        n_heads=SIZES["n_heads"],
        n_kv_heads=SIZES["n_kv_heads"],
        n_selected=SIZES["n_selected"],
        task_loss=network.task_loss,
        selection_loss_weight=network.selection_loss_weight,
    )


@each_part
def test_forecast_is_the_reference(removed):
    network = build(uncertainty=True, **removed)
    context, _ = make_data()
    out = run(network, context)
    expected = expected_outputs(network, context)
    assert out.forecast.shape == (B, H, M)
    assert out.losses == {}
    exact(out.forecast, torch.stack([e.forecast for e in expected]))
    exact(out.variance, torch.stack([e.variance for e in expected]))


@pytest.mark.parametrize(
    ("task_loss", "weight", "uncertainty"),
    [
        ("mae", 0.5, False),
        ("mse", 0.0, False),
        ("smooth_l1", 0.5, False),
        ("mae", 0.5, True),
    ],
)
def test_losses_are_the_reference(task_loss, weight, uncertainty):
    network = build(
        task_loss=task_loss, selection_loss_weight=weight, uncertainty=uncertainty
    )
    context, target = make_data()
    actual = run(network, context, target).losses
    expected = reference.losses(
        expected_outputs(network, context), target, settings_of(network)
    )
    assert set(actual) == {"loss", "task", "pool_in_use"} | (
        {"selection"} if weight else set()
    )
    for name, value in actual.items():
        exact(value, torch.as_tensor(expected[name], dtype=torch.float64))


@each_part
def test_gradients_are_the_reference(removed):
    network = build(uncertainty=True, **removed)
    context, target = make_data()
    w = {n: p.detach().clone().requires_grad_() for n, p in network.named_parameters()}
    outputs = expected_outputs(network, context, w)
    expected = reference.losses(outputs, target, settings_of(network))["loss"]
    loss = run(network, context, target).losses["loss"]
    assert_gradients(network, loss, expected, w)


@pytest.mark.parametrize(
    "settings",
    [
        {"context_length": 8},
        {"patch_length": 1},
        {"patch_length": L},
        {"patch_length": L + 5},
        {"n_selected": 1, "prompt_length": 1},
    ],
    ids=str,
)
def test_other_shapes(settings):
    network = build(**settings)
    context, _ = make_data(context_length=settings.get("context_length", L))
    w = dict(network.named_parameters())
    ours = settings_of(network)._replace(n_selected=settings.get("n_selected", 2))
    text = network.descriptions(torch.tensor([0]))[0]
    expected = reference.forward(w, context[0], text, ours)
    exact(run(network, context[:1], series=[0]).forecast[0], expected.forecast)


@certain_or_not
def test_in_float32_it_is_the_reference_up_to_rounding(uncertainty):
    network = build(uncertainty=uncertainty)
    context, target = make_data()
    expected = run(network, context, target)
    network.float()
    network.descriptions.add(TEXTS, M, n_known=0)
    actual = run(network, context.float(), target.float())
    assert actual.forecast.dtype == torch.float32
    close(actual.forecast.double(), expected.forecast, rtol=1e-3, atol=1e-3)
    close(actual.losses["loss"].double(), expected.losses["loss"], rtol=1e-3, atol=1e-4)


def test_dropout_is_on_in_training_only():
    network = build(dropout=0.5)
    context, _ = make_data()
    expected, _, variance, _ = run(network, context)
    assert variance is None
    network.train()
    assert not torch.allclose(run(network, context).forecast, expected)
    network.eval()
    assert torch.equal(run(network, context).forecast, expected)


def test_a_missing_target_has_no_gradient():
    for uncertainty in (False, True):
        network = build(uncertainty=uncertainty)
        context, target = make_data()
        out = run(network, context, target)
        outputs = [out.forecast] + ([out.variance] if uncertainty else [])
        for gradient in torch.autograd.grad(out.losses["loss"], outputs):
            assert torch.equal(gradient == 0, target.isnan())


def test_a_gap_is_flagged():
    network = build(text=False)
    context, _ = make_data(gaps=False)
    # filled with what stood there, which counted as much in the scale
    context[:, 3:5] = context[:, -1:] + 1
    gap = context.clone()
    gap[:, 4] = NAN
    assert not torch.allclose(
        run(network, gap).forecast, run(network, context).forecast
    )


def test_a_gap_has_no_gradient_and_spoils_none():
    network = build(uncertainty=True)
    context, target = make_data()
    context.requires_grad_()
    loss = run(network, context, target).losses["loss"]
    (gradient,) = torch.autograd.grad(loss, context, retain_graph=True)
    assert torch.equal(gradient == 0, context.isnan())
    for p in torch.autograd.grad(loss, list(trained(network).values())):
        assert p.isfinite().all()


@certain_or_not
@pytest.mark.parametrize("value", [5.0, NAN], ids=["constant", "all missing"])
def test_windows_that_tell_nothing(uncertainty, value):
    network = build(uncertainty=uncertainty)
    context = torch.full((B, L, M), value, dtype=torch.float64)
    _, target = make_data()
    out = run(network, context, target)
    assert out.forecast.isfinite().all()
    out.losses["loss"].backward()
    assert all(p.grad.isfinite().all() for p in trained(network).values())


def test_a_constant_window_may_be_followed_by_anything():
    # its own scale is next to nothing, and no bound of the variance
    network = build(uncertainty=True)
    context = torch.full((B, L, M), 5.0, dtype=torch.float64)
    assert (run(network, context).variance > 0.01).all()


def test_a_series_is_described_by_its_number():
    network = build()
    context, _ = make_data()
    forecast = run(network, context[:1].expand(2, -1, -1), series=[0, 1]).forecast
    assert not torch.allclose(forecast[0], forecast[1])
    without = network(context[:1]).forecast  # by default the first
    exact(without[0], forecast[0])


@pytest.mark.parametrize("name", ["tiny-random", "tiny-random-decoder"])
def test_embeddings_are_pooled_states(name):
    descriptions = build(name).descriptions
    pooling = dict(descriptions.pooling.named_parameters())
    expected = expected_embeddings(descriptions, pooling)
    exact(descriptions(torch.tensor([1, 0])), expected[[1, 0]])
    assert len(expected.flatten(0, 1).unique(dim=0)) == len(TEXTS)


def test_validation_sees_the_pooling_as_it_is_now():
    descriptions = build().descriptions
    before = descriptions(torch.tensor([0])).detach()
    with torch.no_grad():
        descriptions.pooling.query.normal_()
    for mode in (True, False):
        assert not torch.allclose(descriptions.train(mode)(torch.tensor([0])), before)


def test_after_training_only_embeddings_are_kept():
    network = build()
    context, _ = make_data()
    with network.training_context():
        with torch.no_grad():
            network.descriptions.pooling.query.normal_()
        expected = run(network, context).forecast
        large = len(pickle.dumps(network))
    exact(run(network, context).forecast, expected)
    n_states = network.descriptions.encoder.read(TEXTS).states.numel()
    assert large - len(pickle.dumps(network)) > 8 * n_states
    with torch.no_grad():
        network.descriptions.pooling.query.normal_()
    exact(run(network, context).forecast, expected)


@pytest.mark.parametrize("settled", [True, False])
def test_new_series_follow_the_known(settled):
    descriptions = build().descriptions
    if settled:
        descriptions.freeze()
    both = descriptions(torch.tensor([0, 1])).detach()
    descriptions.add(["a new one", "and another"], M, n_known=2)
    found = descriptions(torch.tensor([0, 1, 2]))
    exact(found[:2], both)
    other = make_descriptions().double()
    other.pooling.load_state_dict(descriptions.pooling.state_dict())
    other.add(["a new one", "and another"], M, n_known=0)
    exact(found[2], other(torch.tensor([0])))


def test_learning_anew_forgets():
    descriptions = build().descriptions
    descriptions.add(["one", "two"], M, n_known=0)
    assert descriptions.embeddings.shape[:2] == (1, M)
    assert descriptions(torch.tensor([0])).shape == descriptions.embeddings.shape[1:]


def test_forward_does_not_run_the_language_model():
    network = build()
    calls = []
    network.descriptions.encoder.backbone.model.register_forward_hook(
        lambda *args: calls.append(1)
    )
    context, target = make_data()
    run(network.train(), context, target).losses["loss"].backward()
    run(network.eval(), context)
    assert calls == []
    network.descriptions.add(["a", "b"], M, n_known=2)
    assert calls == [1]


@each_part
@certain_or_not
def test_exactly_these_tensors_train(removed, uncertainty):
    network = build(uncertainty=uncertainty, **removed)
    context, target = make_data()
    run(network, context, target).losses["loss"].backward()
    for name, p in network.named_parameters():
        is_encoder = name.startswith("descriptions.encoder.")
        assert p.requires_grad != is_encoder, name
        # the bias of keys moves all scores of a query alike
        if not is_encoder and not name.endswith("key.bias"):
            assert p.grad.abs().max() > 1e-9, name


@pytest.mark.parametrize(
    ("removed", "prefixes"),
    [
        ("no text", ["descriptions.", "fusion."]),
        ("no pool", ["pool."]),
        ("no intra-series", ["blocks.0.intra_series.", "blocks.1.intra_series."]),
        ("no inter-series", ["blocks.0.inter_series.", "blocks.1.inter_series."]),
    ],
)
def test_a_removed_part_has_no_parameters(removed, prefixes):
    def names_of(network):
        names = dict(network.named_parameters())
        return {n for n in names if n.startswith(tuple(prefixes))}

    assert names_of(build())
    assert not names_of(build(**PARTS[removed]))


def test_windows_at_another_level_differ_only_with_the_level():
    context, _ = make_data(gaps=False)
    for level_input in (False, True):
        network = build(level_input=level_input)
        here, there = (run(network, x).forecast for x in (context, context + 5))
        assert torch.allclose(here + 5, there) != level_input


def test_of_many_series_only_those_of_a_batch_are_pooled():
    descriptions = build().descriptions
    texts = [f"series {i} {'rises' if i % 3 else 'falls'}" for i in range(5 * M)]
    descriptions.add(texts, M, n_known=0)
    with torch.no_grad():
        descriptions.pooling.query.normal_()
    pooled = []
    descriptions.pooling.register_forward_pre_hook(
        lambda _, args: pooled.append(args[0])
    )
    series = torch.tensor([4, 1, 4])
    of_batch = descriptions(series)
    everything = descriptions(torch.tensor([0, 1, 2, 3, 4, 4]))
    assert [len(states) for states in pooled] == [2 * M, 5 * M]
    close(of_batch, everything[series])
    (gradient,) = torch.autograd.grad(of_batch.sum(), descriptions.pooling.query)
    assert gradient.abs().sum() > 0
    descriptions.freeze()
    close(descriptions(series), of_batch)
    assert not descriptions.pooling.query.requires_grad


def test_attention_is_that_of_the_whole_run():
    network = build()
    context, _ = make_data()
    seen = network.attention(context, {})
    state, expected, _ = network.encode(context, {})
    assert torch.equal(seen.prompts, expected.indices)
    torch.testing.assert_close(seen.prompt_shares, expected.scores.softmax(dim=-1))
    assert len(seen.sensors) == len(network.blocks)
    for weights in seen.sensors:
        assert weights.shape == (*state.shape[:2], state.shape[1])
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(state[..., 0]))


def test_what_was_before_fills_the_gap_at_the_start():
    network = build()
    context, _ = make_data()
    context[:, :, 0] = float("nan")
    before = torch.full((len(context), M), 3.0, dtype=context.dtype)
    with torch.no_grad():
        # constant at 3 as far as is known: forecasts hardly leave it
        known = network(
            context[:, :, :1].expand(-1, -1, M), features={"last_observed": before}
        )
        unknown = network(context[:, :, :1].expand(-1, -1, M))
    assert (known.forecast - 3).abs().max() < 0.1
    assert unknown.forecast.abs().max() < 0.1


def make_packed():
    network = build()
    network.descriptions.encoder.requires_grad_(False)
    network.descriptions.freeze()
    return network, pickle.loads(pickle.dumps(network))


def test_a_loaded_network_has_the_state_of_the_saved_one():
    network, loaded = make_packed()
    assert "_packed" in vars(loaded.descriptions)
    assert "_packed" not in vars(copy.deepcopy(network).descriptions)
    assert list(loaded.state_dict()) == list(network.state_dict())
    _, other = make_packed()
    other.load_state_dict(network.state_dict())
    for name, value in other.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


def test_an_encoder_that_could_not_be_unpacked_can_be_later(monkeypatch):
    network, loaded = make_packed()
    with monkeypatch.context() as patched:
        patched.setattr("sktime_llm.backbone._module.load_frozen", lambda *_: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                _ = loaded.descriptions.encoder
    close(
        loaded.descriptions.encoder.read(TEXTS).states,
        network.descriptions.encoder.read(TEXTS).states,
    )
