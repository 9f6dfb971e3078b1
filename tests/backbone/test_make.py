"""Modes: the language model kept, randomised, removed, or replaced by one layer."""

import copy
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.loading import clear_backbone_cache
from sktime_llm.backbone.make import BACKBONE_MODES, BackboneChoice, make_backbone
from sktime_llm.errors import BackboneNotFoundError, InputError

STAND_INS = ["none", "attention", "transformer"]
WITHOUT_WEIGHTS = ["random", *STAND_INS]


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(folder, mode, seed=0, tuning=None, n_layers=None):
    choice = BackboneChoice(folder, mode=mode, random_seed=seed, n_layers=n_layers)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return make_backbone(choice, tuning).eval()


@pytest.fixture(params=["bert", "gpt2", "llama"])
def config_only(request, folders, tmp_path):
    """A model's folder without its weights."""
    shutil.copy(Path(folders[request.param]) / "config.json", tmp_path)
    return str(tmp_path)


def test_unknown_mode():
    message = r"backbone_mode='mlp', expected one of .*'pretrained'.*'none'.*'transform"
    with pytest.raises(InputError, match=message):
        make("tiny-random", "mlp")


@pytest.mark.parametrize("mode", BACKBONE_MODES)
def test_unknown_model(no_network, mode):
    with pytest.raises(BackboneNotFoundError, match=r"'no/such-model' .*Three ways"):
        make("no/such-model", mode)


@pytest.mark.parametrize("mode", WITHOUT_WEIGHTS)
def test_no_pretrained_tensor_is_used(config_only, mode, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("sktime_llm.backbone.loading.read_weights", refuse)
    if mode != "random":
        monkeypatch.setattr("sktime_llm.backbone._module.load_frozen", refuse)
        monkeypatch.setattr("sktime_llm.backbone.loading.load_frozen", refuse)
    backbone = make(config_only, mode)
    assert (backbone.hidden_size, backbone.n_heads) == (16, 4)
    assert backbone.word_embeddings().shape == (40, 16)
    assert backbone(tokens(2, 5, 16))[-1].shape == (2, 5, 16)
    with pytest.raises(AssertionError, match="weights were loaded"):
        make(config_only, "pretrained")


@pytest.mark.parametrize(
    ("mode", "n_layers", "n_parameters"),
    [
        ("none", 0, 0),
        # projections to queries, keys, values and out; norm
        ("attention", 1, 4 * (16 * 16 + 16) + 32),
        # the same, two norms and a feed-forward network four times as wide
        ("transformer", 1, 4 * (16 * 16 + 16) + 64 + 2 * 16 * 64 + 64 + 16),
    ],
)
def test_stand_ins(folders, mode, n_layers, n_parameters):
    backbone = make(folders["gpt2"], mode)
    inputs = tokens(2, 30, 16)  # more than the model has positions
    states = backbone(inputs)
    assert backbone.n_layers == n_layers == len(states) - 1
    assert states[0] is inputs
    assert (backbone.max_tokens, backbone.is_causal) == (None, False)
    parameters = list(backbone.parameters())
    assert sum(p.numel() for p in parameters) == n_parameters
    if not parameters:
        return
    assert not torch.allclose(states[-1], inputs, atol=1e-2)
    states[-1].pow(4).sum().backward()
    assert all(p.requires_grad and p.grad is not None for p in parameters)


def test_the_layer_of_an_ablation_has_the_heads_of_the_model_and_a_residual(folders):
    backbone, inputs = make(folders["gpt2"], "attention"), tokens(2, 5, 16)
    attention = backbone.layer.attention
    assert attention.num_heads == backbone.n_heads == 4
    transformer = make(folders["gpt2"], "transformer").layer
    assert transformer.self_attn.num_heads == 4
    torch.nn.init.zeros_(attention.out_proj.weight)
    expected = torch.nn.functional.layer_norm(inputs, (16,))
    torch.testing.assert_close(backbone(inputs)[-1], expected)


@pytest.mark.parametrize("mode", [*WITHOUT_WEIGHTS, "pretrained"])
def test_mask(folders, mode):
    backbone = make(folders["bert"], mode)
    inputs = tokens(2, 6, 16)
    other = inputs.clone()
    other[:, :2] = tokens(2, 2, 16, seed=9)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1]]).expand(2, -1)
    with torch.inference_mode():  # torch has a fast path for this
        fast = backbone(inputs, mask)[-1][:, 2:]
        torch.testing.assert_close(backbone(other, mask)[-1][:, 2:], fast)
        change = (backbone(inputs)[-1] - backbone(other)[-1])[:, 2:].abs().amax(-1)
    slow = backbone(inputs, mask)[-1][:, 2:].detach()
    torch.testing.assert_close(slow, fast.clone())
    assert (change.min() > 1e-3) == (mode != "none")


@pytest.mark.parametrize("mode", STAND_INS)
def test_tokens_of_a_stand_in_follow_a_text_without_its_padding(folders, mode):
    backbone = make(folders["gpt2"], mode)
    prefix, inputs = tokens(2, 3, 16), tokens(2, 4, 16, seed=1)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    states = backbone.states_after(backbone.read(prefix, mask), mask, inputs)
    for i, n in enumerate((3, 1)):
        alone = backbone(torch.cat([prefix[[i], :n], inputs[[i]]], dim=1))[-1]
        torch.testing.assert_close(states[[i]], alone[:, n:])


@pytest.mark.parametrize("mode", STAND_INS)
def test_random_word_embeddings(folders, mode):
    backbone = make(folders["bert"], mode, seed=1)
    table = backbone.word_embeddings()
    pretrained = make(folders["bert"], "pretrained").word_embeddings()
    assert table.shape == pretrained.shape
    assert not torch.allclose(table, pretrained, atol=1e-2)
    assert table.std() == pytest.approx(0.02, rel=0.2)
    same, other = (make(folders["bert"], mode, seed=seed) for seed in (1, 2))
    assert torch.equal(same.word_embeddings(), table)
    assert same.vocabulary_key == backbone.vocabulary_key != other.vocabulary_key
    assert not torch.equal(other.word_embeddings(), table)


def test_random_words_first_read_in_inference_can_train_later(folders):
    backbone = make(folders["bert"], "none", seed=7)
    words = torch.tensor([[1, 2]])
    with torch.inference_mode():
        backbone.embed(words)
    layer = torch.nn.Linear(16, 1)
    layer(backbone.embed(words)).sum().backward()
    assert layer.weight.grad is not None


def test_random_mode(folders):
    def outputs(mode, seed=0):
        clear_backbone_cache()
        backbone = make(folders["gpt2"], mode, seed, n_layers=2)
        assert backbone.n_layers == 2
        assert (backbone.max_tokens, backbone.is_causal) == (12, True)
        assert not any(p.requires_grad for p in backbone.parameters())
        return backbone(tokens(2, 5, 16))[-1], backbone.word_embeddings()

    one, two = (make(folders["gpt2"], "pretrained", seed=seed) for seed in (1, 2))
    assert one.choice == two.choice
    reference = outputs("random", 1)
    for a, b in zip(reference, outputs("random", 1), strict=True):
        assert torch.equal(a, b)
    for other in (outputs("random", 2), outputs("pretrained")):
        for a, b in zip(reference, other, strict=True):
            assert not torch.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize("mode", WITHOUT_WEIGHTS)
@pytest.mark.parametrize("by", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_equal_and_apart(folders, mode, by):
    backbone = make(folders["bert"], mode, 3, AdapterConfig(layer_norms=True))
    copied = by(backbone)
    inputs = tokens(2, 5, 16)
    before = backbone(inputs)[-1].detach().clone()
    assert torch.equal(copied(inputs)[-1], before)
    assert torch.equal(copied.word_embeddings(), backbone.word_embeddings())
    assert copied.vocabulary_key == backbone.vocabulary_key
    with torch.no_grad():
        for parameter in copied.parameters():
            if parameter.requires_grad:
                parameter.add_(1)
    assert torch.equal(backbone(inputs)[-1], before)
    assert torch.equal(copied(inputs)[-1], before) == (mode == "none")
