"""CALF's network against plain formulas written from its specification."""

import itertools
from collections import Counter

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, BertModel

from sktime_llm import CALFForecaster
from sktime_llm.backbone.loading import load_frozen
from sktime_llm.training.windows import WindowShape
from tests.networks.tools import (
    TINY,
    assert_gradients,
    close,
    exact,
    make_windows,
    shake,
    take_steps,
    trained,
    with_gradient,
)
from tests.reference import calf as reference

B, L, H, M, K = 3, 7, 4, 5, 6
WIDTH, BACKBONE_HEADS, N_HEADS, N_LAYERS = 16, 2, 4, 2
M4 = {
    "task_loss": "smape",
    "consistency_loss": "mase",
    "feature_loss": "smooth_l1",
    "seasonal_period": 2,
}
LOSSES = {
    "default": {},
    "long-term": {"consistency_loss": "mae"},
    "last": {"subtract_last": True},
    "M4": M4,
    "other": {
        "task_loss": "mse",
        "consistency_loss": "smooth_l1",
        "feature_loss": "mse",
        "consistency_loss_weight": 0.3,
        "feature_loss_weight": 2.0,
    },
    "percent": {"task_loss": "smooth_l1", "consistency_loss": "smape"},
    "residual": {"residual_in_features": True, "feature_loss_weight": 2.0},
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Models of three layers whose every weight counts, in the Hub's layout.

    Those of ``tiny-random`` are small, its biases zero and its layer norms plain.
    """
    size = {
        "vocab_size": 40,
        "hidden_size": WIDTH,
        "num_hidden_layers": N_LAYERS + 1,
        "num_attention_heads": BACKBONE_HEADS,
        "intermediate_size": 24,  # of BERT
        "n_inner": 24,  # of GPT-2
        "max_position_embeddings": 32,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    saved = {}
    for kind in ("bert", "gpt2"):
        model = AutoModel.from_config(AutoConfig.for_model(kind, **size))
        shake(model.parameters(), seed=1)
        saved[kind] = tmp_path_factory.mktemp(kind)
        model.save_pretrained(saved[kind])
    return saved


@pytest.fixture(params=[*TINY, "bert", "gpt2"])
def backbone(request):
    """Parameters that choose the backbone."""
    if request.param in TINY:
        return {"backbone": request.param}
    folder = request.getfixturevalue("folders")[request.param]
    return {"backbone": str(folder), "n_backbone_layers": N_LAYERS}


def build(backbone="tiny-random", **params):
    """The network as the forecaster makes it, in training mode as in training."""
    settings = {"d_ff": 24, "n_heads": N_HEADS, "n_principal_embeddings": K}
    if isinstance(backbone, dict):
        params = {**backbone, **params}
    else:
        params = {"backbone": backbone, **params}
    subtract_last = params.pop("subtract_last", False)
    forecaster = CALFForecaster(**{**settings, **params})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = forecaster._build_network(WindowShape(L, H)).train()
    network.subtract_last = subtract_last
    return network


def build_exact(backbone, **params):
    """In float64 without dropout; no trained tensor is zero, one or symmetric."""
    network = build(backbone, **params).double().eval()
    shake(trained(network).values())
    return network


def weights_of(network):
    """Copies by name; those that train can be differentiated by."""
    copies = {n: t.clone() for n, t in network.state_dict().items()}
    for name in trained(network):
        copies[name].requires_grad_(True)
    return copies


def settings_of(network, **settings):
    is_bert = type(network.time_backbone.model) is BertModel
    settings.setdefault("subtract_last", network.subtract_last)
    renamed = {
        "consistency_loss_weight": "lambda_output",
        "feature_loss_weight": "lambda_feature",
    }
    return reference.Settings(
        backbone="bert" if is_bert else "gpt2",
        n_layers=N_LAYERS,
        backbone_heads=BACKBONE_HEADS,
        n_heads=N_HEADS,
        backbone_eps=1e-12 if is_bert else 1e-5,
        **{renamed.get(name, name): value for name, value in settings.items()},
    )


@torch.no_grad()
def expected_branches(network, context, **settings):
    settings = settings_of(network, **settings)
    return reference.forward(network.state_dict(), context, settings)


@torch.no_grad()
def expected_losses(network, context, target, **settings):
    settings = settings_of(network, **settings)
    return reference.losses(network.state_dict(), context, target, settings)


def make_data(batch=B, dtype=torch.float64, n_channels=M):
    return make_windows(batch, L, H, n_channels, dtype)


def capture(network, *names):
    """What the modules of these names return, one entry a call."""
    outputs = {name: [] for name in names}
    for name in names:
        network.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: outputs[name].append(output)
        )
    return outputs


def count_calls(network):
    calls = Counter()
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    return calls


def no_dropout(network):
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return network


@pytest.mark.parametrize("subtract_last", [True, False])
@pytest.mark.parametrize("with_gradient", [True, False])
def test_forecast_is_the_reference(backbone, with_gradient, subtract_last):
    network = build_exact(backbone, subtract_last=subtract_last)
    context, _ = make_data()
    with torch.set_grad_enabled(with_gradient):
        out = network(context)
    time, _ = expected_branches(network, context)
    assert out.forecast.shape == (B, H, M)
    assert out.losses == {}
    exact(out.forecast, time.forecast)


def test_every_state_of_both_branches_is_the_reference(backbone):
    network = build_exact(backbone)
    seen = capture(
        network, "embedding", "time_backbone", "textual", "textual.backbone", "head"
    )
    context, target = make_data()
    network(context, target)
    time, text = expected_branches(network, context)

    exact(seen["embedding"], [time.tokens])
    (states,) = seen["time_backbone"]
    assert len(states) == N_LAYERS + 1
    exact(states, tuple(time.states))

    ((tokens, states),) = seen["textual"]
    exact(tokens, text.tokens)
    exact(states, tuple(text.states))
    exact(seen["textual.backbone"], [states])

    exact(
        [out.transpose(1, 2) for out in seen["head"]],
        [time.normed_forecast, text.normed_forecast],
    )


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_losses_are_the_reference(backbone, losses):
    network = build_exact(backbone, **losses)
    context, target = make_data()
    out = network(context, target)
    expected = expected_losses(network, context, target, **losses)
    assert set(out.losses) == set(expected._fields)
    for name, value in expected._asdict().items():
        exact(out.losses[name], value)


@pytest.mark.parametrize("losses", [LOSSES["long-term"], M4], ids=["long-term", "M4"])
def test_gradients_are_the_reference(backbone, losses):
    network = build_exact(backbone, **losses)
    context, target = make_data()
    weights, settings = weights_of(network), settings_of(network, **losses)
    loss = network(context, target).losses["loss"]
    expected = reference.losses(weights, context, target, settings).loss
    assert_gradients(network, loss, expected, weights)


def test_training_differs_from_evaluation_by_dropout_only(backbone):
    network = build_exact(backbone)
    context, target = make_data()
    expected = network(context, target)
    network.train()
    once, again = (network(context, target) for _ in range(2))
    assert not torch.allclose(once.forecast, again.forecast)
    assert once.losses["feature"] != again.losses["feature"]
    no_dropout(network)
    exact(network(context, target), expected)


def test_in_float32_it_is_the_reference_up_to_rounding(backbone):
    network = build(backbone).eval()
    shake(trained(network).values())
    context, target = make_data(dtype=torch.float32)
    losses = network(context, target).losses
    expected = expected_losses(network.double(), context.double(), target.double())
    for name, value in expected._asdict().items():
        close(losses[name].double(), value, rtol=1e-4, atol=1e-5)


def test_lora_alpha_over_rank_scales_the_adapters(backbone):
    network = build_exact(backbone, lora_rank=3, lora_alpha=5)
    context, _ = make_data()
    time, _ = expected_branches(network, context, lora_scale=5 / 3)
    exact(network(context).forecast, time.forecast)


def test_projections_are_the_attention_and_projections_trained_from_scratch(backbone):
    network = build(backbone)
    names = network.projection_names()
    assert len(names) == 4 + 8 + 2 * (N_LAYERS + 1)
    assert names < set(trained(network))
    assert not any("backbone" in name for name in names)


def test_one_variate(backbone):
    network = build_exact(backbone)
    context, target = make_data(n_channels=1)
    expected = expected_losses(network, context, target)
    exact(network(context, target).losses["loss"], expected.loss)


def test_principal_embeddings_are_the_reference(backbone):
    network = build(backbone)
    words = network.textual.backbone.word_embeddings().double()
    actual = network.textual.principal_embeddings
    expected = reference.principal_embeddings(words, K)
    signs = (actual.double() * expected).sum(dim=1, keepdim=True).sign()
    assert actual.shape == (K, WIDTH)
    close(actual.double(), signs * expected, rtol=1e-5, atol=1e-6)


def expected_names(name):
    """Every tensor that trains, in full."""
    layers = range(N_LAYERS)
    if name == "tiny-random":
        position = "embeddings.position_embeddings.weight"
        of_layers = [f"encoder.layer.{i}" for i in layers]
        parts = [f"attention.self.{p}" for p in ("query", "key", "value")]
        adapted = [f"{layer}.{part}" for layer in of_layers for part in parts]
        parts = ["attention.output.LayerNorm", "output.LayerNorm"]
        norms = [f"{layer}.{part}" for layer in of_layers for part in parts]
        norms += ["embeddings.LayerNorm"]
    else:
        position = "wpe.weight"
        adapted = [f"h.{i}.attn.c_attn" for i in layers]
        norms = [f"h.{i}.ln_{j}" for i in layers for j in (1, 2)] + ["ln_f"]
    branch = [
        position,
        *[f"{n}.lora_{x}.default.weight" for n in adapted for x in "AB"],
        *with_bias(norms),
    ]
    encoder = [
        "self_attn.in_proj_weight",
        "self_attn.in_proj_bias",
        *with_bias(["self_attn.out_proj", "linear1", "linear2", "norm1", "norm2"]),
    ]
    return {
        "time branch": {f"time_backbone.model.{n}" for n in branch},
        "text branch": {f"textual.backbone.model.{position}"},
        "embedding": {
            *with_bias(["embedding.embed"]),
            *(f"embedding.encoder.{n}" for n in encoder),
        },
        "cross attention": with_bias(
            f"textual.match.{p}" for p in ("query", "key", "value", "output")
        ),
        "head": with_bias(["head"]),
        "projections": {
            f"textual.{branch}_projections.{i}.weight"
            for branch in ("time", "text")
            for i in range(N_LAYERS + 1)
        },
    }


def with_bias(names):
    return {f"{n}.{kind}" for n in names for kind in ("weight", "bias")}


@pytest.mark.parametrize("name", TINY)
def test_exactly_these_tensors_train(name):
    network = build_exact(name)
    expected = set().union(*expected_names(name).values())
    assert set(trained(network)) == expected
    context, target = make_data()
    assert with_gradient(network, context, target) == expected
    # softmax does not see what all keys have in common
    invisible = "textual.match.key.bias"
    for n in expected - {invisible}:
        assert network.get_parameter(n).grad.abs().max() > 1e-7, n
    assert network.get_parameter(invisible).grad.abs().max() < 1e-12


@pytest.mark.parametrize("name", TINY)
def test_steps_change_what_trains_and_not_a_bit_else(name):
    network = build(name)
    cached = load_frozen(network.time_backbone.choice)
    pretrained = [*cached.model.state_dict().values(), cached.word_embeddings]
    pretrained_before = [t.clone() for t in pretrained]
    now = dict(itertools.chain(network.named_parameters(), network.named_buffers()))
    before = {n: t.detach().clone() for n, t in now.items()}
    take_steps(network, *make_data(dtype=torch.float32))

    assert "textual.principal_embeddings" in now
    names = set().union(*expected_names(name).values())
    for n in now.keys() - names:
        assert torch.equal(now[n], before[n]), n
    assert all(map(torch.equal, pretrained, pretrained_before))
    for n in names - {"textual.match.key.bias"}:
        changed = now[n] != before[n]
        if "position" in n or "wpe" in n:
            assert changed[:M].all(), n
            assert not changed[M:].any(), n
        else:
            assert changed.float().mean() > 0.5, n


@pytest.mark.parametrize("name", TINY)
def test_a_forecast_runs_the_temporal_branch_only(name):
    network = build(name).eval()
    calls = count_calls(network)
    context, target = make_data(dtype=torch.float32)
    network(context)
    assert calls["time_backbone"] == calls["embedding"] == calls["head"] == 1
    assert not [n for n in calls if n.split(".")[0] == "textual"]

    network(context, target)
    assert calls["textual"] == calls["textual.backbone"] == 1
    assert calls["textual.match"] == 1
    assert calls["time_backbone"] == 2  # one more
    assert calls["head"] == 3
    for projections in ("time_projections", "text_projections"):
        for i in range(N_LAYERS + 1):
            assert calls[f"textual.{projections}.{i}"] == 1


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("name", TINY)
def test_a_step_projects_the_principal_embeddings_once(name, batch):
    network = build(name)
    rows = {"key": [], "value": []}
    for projection, shapes in rows.items():
        getattr(network.textual.match, projection).register_forward_hook(
            lambda _, args, out, shapes=shapes: shapes.append(
                (tuple(args[0].shape), tuple(out.shape))
            )
        )
    network(*make_data(batch, torch.float32)).losses["loss"].backward()
    assert rows == {p: [((1, K, WIDTH), (1, K, WIDTH))] for p in ("key", "value")}


@pytest.mark.parametrize(
    ("consistency", "feature"), [(0.0, 0.0), (1.0, 0.0), (0.0, 0.01)]
)
def test_a_textual_branch_is_built_only_if_a_loss_needs_it(consistency, feature):
    network = build(
        consistency_loss_weight=consistency, feature_loss_weight=feature
    ).eval()
    context, target = make_data(dtype=torch.float32)
    out = network(context, target)
    assert ("consistency" in out.losses) == bool(consistency)
    assert ("feature" in out.losses) == bool(feature)
    if consistency or feature:
        assert bool(len(network.textual.time_projections)) == bool(feature)
        parts = consistency * out.losses.get("consistency", 0)
        parts = parts + feature * out.losses.get("feature", 0)
        close(out.losses["loss"], out.losses["task"] + parts)
        return
    assert network.textual is None
    assert not [n for n in network.state_dict() if "textual" in n]
    assert set(out.losses) == {"loss", "task"}
    assert out.losses["loss"] == out.losses["task"]
    close(out.losses["task"], reference.mae(out.forecast, target))


def test_without_textual_branch_the_forecast_is_the_reference(backbone):
    weights = {"consistency_loss_weight": 0.0, "feature_loss_weight": 0.0}
    full = build_exact(backbone)
    network = build_exact(backbone, **weights)
    state = full.state_dict()
    network.load_state_dict({n: state[n] for n in network.state_dict()})
    context, target = make_data()
    time, _ = expected_branches(full, context)
    out = network(context, target)
    exact(out.forecast, time.forecast)
    exact(out.losses["loss"], reference.mae(time.forecast, target))


def test_published_settings_are_the_defaults_but_for_one():
    network = build(n_heads=None, d_ff=None, n_principal_embeddings=None)
    encoder = network.embedding.encoder
    # as wide, in proportion, as beside the published backbone
    assert encoder.linear1.out_features == round(2048 / 768 * WIDTH)
    assert encoder.self_attn.num_heads == BACKBONE_HEADS
    assert network.textual.match.n_heads == BACKBONE_HEADS
    assert network.textual.principal_embeddings.shape == (WIDTH - 1, WIDTH)
    rates = {m.p for m in network.modules() if isinstance(m, nn.Dropout)}
    assert rates == {0.1}
    assert encoder.self_attn.dropout == 0.1
    of_lora = (m for n, m in network.named_modules() if "lora_dropout.default" in n)
    assert [m.p for m in of_lora] == [0.1] * 3 * N_LAYERS
    adapters = [p for n, p in trained(network).items() if "lora_A" in n]
    assert {p.shape[0] for p in adapters} == {8}
    assert network.consistency_loss_weight == 1
    assert network.feature_loss_weight == 0.01
    assert network.task_loss == network.feature_loss == "mae"
    assert network.consistency_loss == "mse"
    published = {"lora_alpha": 32, "optimizer": "adam", "learning_rate": 5e-4}
    published |= {"lr_schedule": "cosine", "cosine_epochs": 20, "patience": 10}
    assert published.items() <= CALFForecaster().get_params().items()
