"""BALM-TSF's network against plain formulas written from its specification."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import GPT2Config

from sktime_llm.backbone.loading import load_frozen
from sktime_llm.backbone.make import AblationBackbone, BackboneChoice, make_backbone
from sktime_llm.errors import BackboneCorruptedError, InputError
from sktime_llm.layers.embedding import count_patches
from sktime_llm.networks.balm_tsf import (
    PROMPT_ORDERS,
    BALMTSFNetwork,
    PromptBranch,
    published_prompt_length,
)
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
from tests.reference import balm_tsf as reference

B, L, H, M = 3, 20, 6, 2
PATCH_LENGTH, PATCH_STRIDE, D_MODEL, D_FF, N_LAGS = 4, 2, 5, 7, 3
N_PROMPTS = 3
WIDTH, BACKBONE_HEADS, N_LAYERS = 16, 2, 2
LAST_KEYS = dict(
    zip(TINY, ["encoder.layer.1.attention.self.key", "h.1.attn.c_attn"], strict=True)
)
REFERENCE_NAMES = {
    "text.prompts": "prompts",
    "text.backbone.model.": "backbone.",
    "embedding.convolution.": "patch_embedding.",
    "embedding.project.": "projection.",
    "alignment.log_temperature": "log_temperature",
    "head.": "head.",
}
TRAINED = {
    "text.prompts",
    "embedding.convolution.weight",
    "embedding.project.weight",
    "embedding.project.bias",
    "alignment.log_temperature",
    "head.weight",
    "head.bias",
}


@pytest.fixture(params=TINY)
def name(request):
    return request.param


@pytest.fixture(params=PROMPT_ORDERS)
def order(request):
    return request.param


TEXT = {"prompt_length": N_PROMPTS, "text_style": "short", "n_lags": N_LAGS}
SIZES = {
    "context_length": L,
    "prediction_length": H,
    "patch_length": PATCH_LENGTH,
    "patch_stride": PATCH_STRIDE,
    "d_model": D_MODEL,
    "d_ff": D_FF,
    "dropout": 0.1,
    "balance_text": True,
    "task_loss": "mse",
    "alignment_loss_weight": 1.0,
    "init_temperature": 0.07,
}


def build(name="tiny-random", order="text-first", **settings):
    """The network in training mode, as in training."""
    text = {**TEXT, "cache_gigabytes": 0.0, "prompt_order": order}
    network, subtract_last = dict(SIZES), settings.pop("subtract_last", False)
    for key, value in settings.items():
        (text if key in text else network)[key] = value
    backbone = make_backbone(BackboneChoice(name)) if isinstance(name, str) else name
    built = BALMTSFNetwork(PromptBranch(backbone, **text), **network).train()
    built.subtract_last = subtract_last
    return built


def build_exact(name="tiny-random", order="text-first", **settings):
    """In float64 without dropout, where frozen tensors are the network's own, too."""
    network = build(name, order, **settings).double().eval()
    shake(network.parameters())
    return network


def weights_of(network):
    """Copies by the names of the reference; all can be differentiated by."""
    weights = {"word_embeddings": network.text.backbone.word_embeddings().double()}
    for own_name, tensor in network.named_parameters():
        if own_name == "embedding.missing":  # which the reference does not have
            continue
        weights[reference_name(own_name)] = tensor.detach().clone().requires_grad_()
    return weights


def reference_name(own_name):
    (prefix,) = [p for p in REFERENCE_NAMES if own_name.startswith(p)]
    return REFERENCE_NAMES[prefix] + own_name.removeprefix(prefix)


def settings_of(network, **settings):
    is_causal = network.text.backbone.is_causal
    return reference.Settings(
        backbone="gpt2" if is_causal else "bert",
        n_layers=N_LAYERS,
        backbone_heads=BACKBONE_HEADS,
        backbone_eps=1e-5 if is_causal else 1e-12,
        patch_length=PATCH_LENGTH,
        patch_stride=PATCH_STRIDE,
        d_ff=D_FF,
        prompts_first=network.text.prompt_order == "prompts-first",
        read="last" if is_causal else "prompts",
        balance_text=network.balance_text,
        task_loss=network.task_loss,
        subtract_last=network.subtract_last,
        alignment_loss_weight=network.alignment_loss_weight,
        **settings,
    )


def texts_of(network, context):
    """Token ids without padding, a list of windows of lists of variates."""
    token_ids = network.window_features(context)["token_ids"].long()
    return [[ids[ids >= 0] for ids in of_window] for of_window in token_ids]


def expected_forecast(network, context):
    texts, settings = texts_of(network, context), settings_of(network)
    return reference.forward(weights_of(network), context, texts, settings)


def expected_losses(network, weights, context, target):
    texts, settings = texts_of(network, context), settings_of(network)
    return reference.losses(weights, context, target, texts, settings)


def make_data(batch=B, dtype=torch.float64, n_channels=M, context_length=L):
    return make_windows(batch, context_length, H, n_channels, dtype)


@pytest.mark.parametrize("subtract_last", [True, False])
@pytest.mark.parametrize("balance_text", [True, False])
@pytest.mark.parametrize("with_gradient", [True, False])
def test_forecast_is_the_reference(
    name, order, with_gradient, balance_text, subtract_last
):
    settings = {"balance_text": balance_text, "subtract_last": subtract_last}
    network = build_exact(name, order, **settings)
    context, _ = make_data()
    with torch.set_grad_enabled(with_gradient):
        out = network(context)
    expected, _ = expected_forecast(network, context)
    assert out.forecast.shape == (B, H, M)
    assert out.losses == {}
    exact(out.forecast, expected)


@pytest.mark.parametrize("balance_text", [True, False])
def test_embeddings_are_the_reference(name, order, balance_text):
    network = build_exact(name, order, balance_text=balance_text)
    context, target = make_data()
    actual = network.modalities(context)
    _, expected = expected_forecast(network, context)
    assert actual.text.shape == (B * M, N_PROMPTS, WIDTH)
    exact(actual.series, expected.series)
    exact(actual.text, expected.unbalanced_text)
    exact(actual.balanced_text, expected.text)
    exact(actual.alignment.similarity, reference.similarity(expected))
    exact(actual.alignment.loss, network(context, target).losses["contrastive"])
    for tokens, means in (
        (expected.series, actual.alignment.series),
        (expected.text, actual.alignment.text),
    ):
        exact(means, torch.stack([reference.unit(t.mean(dim=0)) for t in tokens]))


@pytest.mark.parametrize(
    ("task_loss", "weight"),
    [("mse", 1.0), ("mse", 0.0), ("mae", 0.3), ("smooth_l1", 1.0)],
)
def test_losses_are_the_reference(name, order, task_loss, weight):
    settings = {"task_loss": task_loss, "alignment_loss_weight": weight}
    network = build_exact(name, order, **settings)
    context, target = make_data()
    actual = network(context, target).losses
    expected = expected_losses(network, weights_of(network), context, target)
    assert set(actual) == {"loss", "task", "contrastive", "temperature"}
    exact(actual["task"], expected.task)
    exact(actual["contrastive"], expected.alignment)
    exact(actual["loss"], expected.loss)


def test_gradients_are_the_reference(name, order):
    network = build_exact(name, order)
    context, target = make_data()
    weights, loss = weights_of(network), network(context, target).losses["loss"]
    expected = expected_losses(network, weights, context, target).loss
    assert_gradients(network, loss, expected, weights, reference_name)


def test_training_differs_from_evaluation_by_dropout_only(name, order):
    network = build_exact(name, order)
    context, target = make_data()
    expected = network(context, target)
    network.train()
    once, again = (network(context, target) for _ in range(2))
    assert once.losses["contrastive"] != again.losses["contrastive"]
    assert not torch.allclose(once.forecast, again.forecast)
    # the language model's own dropout is off
    text = network.modalities(context).text
    exact(network.eval().modalities(context).text, text)
    network.train()
    network.dropout.p = network.embedding.dropout.p = 0.0
    exact(network(context, target), expected)


def test_dropout_is_of_patches_and_of_the_forecast():
    rates = [m.p for m in build(dropout=0.25).modules() if isinstance(m, nn.Dropout)]
    assert rates.count(0.25) == 2
    # dropped steps of a forecast are at the mean of the context
    network = build_exact(dropout=0.5).train()
    network.embedding.dropout.p = 0.0
    context, _ = make_data()
    forecast = network(context).forecast
    dropped = forecast.isclose(context.mean(dim=1, keepdim=True))
    assert 0.2 < dropped.double().mean() < 0.8


def test_in_float32_it_is_the_reference_up_to_rounding(name, order):
    network = build(name, order).eval()
    context, target = make_data(dtype=torch.float32)
    actual = network(context, target).losses
    network.double()
    context, target = context.double(), target.double()
    expected = expected_losses(network, weights_of(network), context, target)
    close(actual["task"].double(), expected.task, rtol=1e-4, atol=1e-5)
    close(actual["contrastive"].double(), expected.alignment, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("context_length", "n_channels", "batch"),
    [(PATCH_LENGTH, 1, 2), (21, 3, 2), (L, 1, 1)],
    ids=["one patch and its padding", "a rest after the patches", "one series"],
)
def test_other_shapes(order, context_length, n_channels, batch):
    network = build_exact(order=order, context_length=context_length)
    shape = {"n_channels": n_channels, "context_length": context_length}
    context, target = make_data(batch=batch, **shape)
    expected = expected_losses(network, weights_of(network), context, target)
    exact(network(context, target).losses["loss"], expected.loss)


def test_constant_windows_have_a_finite_forecast(name, order):
    network = build(name, order)
    context, target = torch.full((B, L, M), 5.0), torch.full((B, H, M), 5.0)
    out = network(context, target)
    assert out.forecast.isfinite().all()
    out.losses["loss"].backward()
    assert all(p.grad.isfinite().all() for p in trained(network).values())


def test_texts_tell_the_statistics_of_the_reference():
    network = build_exact()
    context, _ = make_data()
    normed = [reference.instance_norm(window)[0] for window in context]
    tokenizer = network.text.backbone.tokenizer()
    texts = texts_of(network, context)
    for window, of_window in zip(normed, texts, strict=True):
        for series, ids in zip(window.T, of_window, strict=True):
            expected = reference.statistics(series.numpy(), N_LAGS)
            trend = {-1: "falling", 0: "flat", 1: "rising"}[expected.trend]
            lags = " ".join(str(lag) for lag in expected.lags)
            numbers = [round(10 * float(value)) for value in expected[:3]]
            said = "min {} max {} median {} {} lags {}".format(*numbers, trend, lags)
            assert "".join(tokenizer.convert_ids_to_tokens(ids)) == said


def test_features_are_what_forward_computes(name, order):
    network = build_exact(name, order)
    context, _ = make_data()
    features = network.window_features(context)
    assert features["token_ids"].shape[:2] == (B, M)
    assert not features["token_ids"].is_floating_point()
    exact(network(context, features=features).forecast, network(context).forecast)
    # and they are used
    other = {"token_ids": features["token_ids"].flip(0)}
    assert not torch.allclose(
        network(context, features=other).forecast, network(context).forecast
    )


def test_padding_changes_nothing(name, order):
    network = build_exact(name, order)
    context, target = make_data()
    features = network.window_features(context)
    lengths = (features["token_ids"] >= 0).sum(dim=2)
    assert len(lengths.unique()) > 1  # so some are padded already
    more = {"token_ids": F.pad(features["token_ids"], (0, 7), value=-1)}
    expected, actual = (network(context, target, f) for f in (features, more))
    exact(actual.forecast, expected.forecast)
    exact(actual.losses, expected.losses)
    # nor do gradients flow from it
    parameters = list(trained(network).values())
    gradients = (
        torch.autograd.grad(out.losses["loss"], parameters)
        for out in (expected, actual)
    )
    for e, a in zip(*gradients, strict=True):
        close(a, e, rtol=1e-9, atol=1e-11)


def test_more_prompts_than_text(name, order):
    # the last states of a decoder are of prompts and text then
    network = build_exact(name, order, prompt_length=90)
    context, _ = make_data()
    assert max(len(ids) for texts in texts_of(network, context) for ids in texts) < 90
    expected, _ = expected_forecast(network, context)
    exact(network(context).forecast, expected)


def test_equal_texts_are_read_once(name, order):
    network = build_exact(name, order)
    sizes = []
    network.text.backbone.model.register_forward_pre_hook(
        lambda _, __, kwargs: sizes.append(len(kwargs["inputs_embeds"])),
        with_kwargs=True,
    )
    context, _ = make_data(batch=2)
    network(context.repeat(5, 1, 1))
    assert set(sizes) == {2 * M}


def test_text_first_reads_the_text_without_gradient(name):
    network = build_exact(name, "text-first")
    context, target = make_data()
    keys = network.text.backbone.model.get_submodule(LAST_KEYS[name])
    seen = []
    keys.register_forward_hook(lambda _, __, out: seen.append(out.requires_grad))
    network(context, target)
    assert seen == [False, True]


def count_readings(network):
    """How many texts the model has read so far, as a list that grows."""
    sizes = []

    def count(_, __, kwargs):
        if "position_ids" not in kwargs:  # which the prompts have
            sizes.append(len(kwargs["inputs_embeds"]))

    network.text.backbone.model.register_forward_pre_hook(count, with_kwargs=True)
    return sizes


@pytest.mark.parametrize("cache_gigabytes", [1.0, 6e-5, 0.0])
def test_remembered_texts_change_nothing(name, order, cache_gigabytes):
    network = build_exact(name, order, cache_gigabytes=cache_gigabytes)
    context, target = make_data()

    def results():
        loss = network(context, target).losses["loss"]
        of_batch = torch.autograd.grad(loss, list(trained(network).values()))
        # a window alone has less padding than the batch
        return *of_batch, *(network(window[None]).forecast for window in context)

    expected = results()
    with network.training_context():
        with torch.inference_mode():
            network(context[1:])
        for _ in range(2):
            for a, e in zip(results(), expected, strict=True):
                close(a, e, rtol=1e-9, atol=1e-11)


def test_texts_are_read_once_while_remembered(name):
    network = build_exact(name, cache_gigabytes=1.0)
    sizes = count_readings(network)
    context, target = make_data()
    with network.training_context():
        network(context[:2])
        assert sum(sizes) == 2 * M
        for _ in range(3):
            network(context, target)
        assert sum(sizes) == B * M
    network(context)
    assert sum(sizes) == 2 * B * M


def test_cache_is_bounded(name):
    network = build_exact(name)
    context, _ = make_data()
    longest = max(len(ids) for texts in texts_of(network, context) for ids in texts)
    size = N_LAYERS * 2 * WIDTH * 8  # of the keys and values of a token
    network.text.cache_gigabytes = 2.5 * longest * size / 1e9
    sizes = count_readings(network)
    with network.training_context():
        network(context)
        network(context)
    n_kept = 2 * B * M - sum(sizes)
    assert n_kept == 2


def test_text_that_does_not_fit(name, order):
    n_text = build(name).window_features(make_data()[0])["token_ids"].shape[-1]
    most = 512 - n_text
    network = build(name, order, prompt_length=most)
    context, _ = make_data(dtype=torch.float32)
    assert network(context).forecast.isfinite().all()
    network = build(name, order, prompt_length=most + 1)
    message = f"{n_text} tokens and {most + 1} prompt.* 513, .* only 512 positions.*Set"
    with pytest.raises(InputError, match=message):
        network.window_features(context)


def test_exactly_these_tensors_train(name, order):
    network = build_exact(name, order)
    assert set(trained(network)) == TRAINED
    context, target = make_data()
    assert with_gradient(network, context, target) == TRAINED
    for n in TRAINED:
        assert network.get_parameter(n).grad.abs().max() > 1e-8, n


def test_training_leaves_the_backbone_as_it_was(name, order):
    network = build(name, order)
    state = {n: t.clone() for n, t in network.state_dict().items()}
    frozen = load_frozen(BackboneChoice(name))
    words = frozen.word_embeddings.clone()
    shared = {n: t.clone() for n, t in frozen.model.state_dict().items()}
    take_steps(network, *make_data(dtype=torch.float32))
    for n, t in network.state_dict().items():
        assert torch.equal(t, state[n]) == (n not in TRAINED), n
    assert torch.equal(frozen.word_embeddings, words)
    for n, t in frozen.model.state_dict().items():
        assert torch.equal(t, shared[n]), n


@pytest.mark.parametrize(
    ("context_length", "prediction_length"),
    [(512, 96), (512, 720), (512, 336), (512, 1), (96, 24), (20, 6), (16, 8), (16, 1)],
)
def test_prompt_length(context_length, prediction_length):
    n_patches = count_patches(context_length, 16, 8)
    padded_series = reference.patches(torch.zeros(context_length), 16, 8)
    assert n_patches == len(padded_series)
    published = reference.prompt_length(n_patches, prediction_length, context_length)
    actual = published_prompt_length(context_length, prediction_length, n_patches)
    assert actual == max(2, published)  # one token has no standard deviation


def test_trained_parameters_are_as_many_as_published():
    # 0.97 million with GPT-2 small, of which only the width counts
    backbone = AblationBackbone(BackboneChoice("gpt2"), GPT2Config(), None)
    length = published_prompt_length(512, 96, count_patches(512, 16, 8))
    settings = {"context_length": 512, "prediction_length": 96, "patch_length": 16}
    settings |= {"patch_stride": 8, "d_model": 32, "d_ff": 128}
    network = build(backbone, prompt_length=length, n_lags=5, **settings)
    count = sum(p.numel() for p in trained(network).values())
    assert count == pytest.approx(0.97e6, rel=0.02)


@pytest.mark.parametrize("mode", ["pretrained", "attention"])
def test_a_saved_network_refuses_another_tokenizer(mode, monkeypatch):
    network = build(make_backbone(BackboneChoice("tiny-random", mode=mode)))
    unused = pickle.dumps(network)
    network(make_data(dtype=torch.float32)[0])
    saved = pickle.dumps(network)
    pickle.loads(saved)
    monkeypatch.setattr(
        "sktime_llm.backbone._module.tokenizer_fingerprint", lambda *args: "another"
    )
    with pytest.raises(BackboneCorruptedError, match="the tokenizer of backbone='tiny"):
        pickle.loads(saved)
    pickle.loads(unused)
