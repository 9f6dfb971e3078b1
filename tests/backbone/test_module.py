"""The one interface over every kind of language model, and whose weights are whose."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import nn
from transformers import AutoModel, PreTrainedTokenizerFast

from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.files import locate_backbone
from sktime_llm.backbone.loading import clear_backbone_cache, load_frozen
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.backbone.word_embeddings import principal_word_embeddings
from sktime_llm.errors import BackboneCorruptedError, InputError

KINDS = ["bert", "gpt2", "llama", "qwen3"]
OTHER_KINDS = ["biogpt", "gemma", "gemma2", "gemma3_text", "qwen2", "xglm"]
FINAL_NORM = {"gpt2": "ln_f", "llama": "norm", "qwen3": "norm"}
EVERYTHING = AdapterConfig(lora_rank=2, layer_norms=True, position_embeddings=True)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def make(folders):
    """Make a backbone of some kind of model."""

    def make_one(kind, n_layers=None, tuning=None):
        choice = BackboneChoice(folders.get(kind, kind), n_layers=n_layers)
        return make_backbone(choice, tuning)

    return make_one


def tokens(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


def frozen_parameters(backbone):
    return {
        name.replace(".base_layer.", "."): parameter
        for name, parameter in backbone.model.named_parameters()
        if not parameter.requires_grad
    }


def train(backbone, steps=3):
    """Train what can be trained; give the losses."""
    trained = [p for p in backbone.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.05, weight_decay=0.1)
    inputs, goal = tokens(2, 5, 16, seed=1), tokens(2, 5, 16, seed=2)
    backbone.train()
    losses = []
    for _ in range(steps):
        loss = (backbone(inputs)[-1] - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    backbone.eval()
    return losses


def test_hidden_states_are_those_of_the_whole_model(kind, make, full_model):
    backbone, full = make(kind), full_model(kind)
    inputs = tokens(2, 7, 16)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]])
    with torch.no_grad():
        states = backbone(inputs, mask)
        expected = full(
            inputs_embeds=inputs, attention_mask=mask, output_hidden_states=True
        )
    assert len(states) == backbone.n_layers + 1 == 4
    assert all(state.shape == (2, 7, 16) for state in states)
    for state, reference in zip(states, expected.hidden_states, strict=True):
        torch.testing.assert_close(state, reference)
    torch.testing.assert_close(states[-1], expected.last_hidden_state)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_first_layers_alone(kind, n_layers, make, full_model):
    backbone, full = make(kind, n_layers), full_model(kind)
    inputs = tokens(2, 5, 16)
    with torch.no_grad():
        states = backbone(inputs)
        expected = full(inputs_embeds=inputs, output_hidden_states=True).hidden_states
        last = expected[n_layers]
        if kind in FINAL_NORM:
            normed = full.get_submodule(FINAL_NORM[kind])(last)
            assert not torch.allclose(normed, last, atol=1e-2)
            last = normed
    assert len(states) == backbone.n_layers + 1 == n_layers + 1
    for state, reference in zip(states[:-1], expected, strict=False):
        torch.testing.assert_close(state, reference)
    torch.testing.assert_close(states[-1], last)


def test_words_go_in_as_their_embeddings(kind, make, full_model):
    backbone, full = make(kind), full_model(kind)
    ids = torch.tensor([[5, 3, 39, 7]])
    table = backbone.word_embeddings()
    assert table.shape == (40, 16)
    assert not table.requires_grad
    with torch.no_grad():
        expected = full(input_ids=ids).last_hidden_state
        torch.testing.assert_close(backbone(table[ids])[-1], expected)


@pytest.mark.parametrize("kind", [*KINDS, *OTHER_KINDS])
def test_embedded_words_are_read_as_the_words_themselves(kind, make, full_model):
    backbone, full = make(kind), full_model(kind)
    ids = torch.tensor([[5, 3, 39, 7]])
    with torch.no_grad():
        expected = full(input_ids=ids).last_hidden_state
        torch.testing.assert_close(backbone(backbone.embed(ids))[-1], expected)
        principal = principal_word_embeddings(backbone, 15)
    # of the size of what goes into the layers
    words = full.get_input_embeddings()(torch.arange(40)).detach()
    words -= words.mean(dim=1, keepdim=True)
    torch.testing.assert_close(principal.norm(), words.norm())


def test_real_model(minilm):
    full = AutoModel.from_pretrained(locate_backbone(minilm)).eval()
    backbone = make_backbone(BackboneChoice(minilm, n_layers=4))
    attributes = backbone.hidden_size, backbone.n_heads, backbone.n_layers
    assert attributes == (384, 12, 4)
    assert (backbone.max_tokens, backbone.is_causal) == (512, False)
    ids = torch.tensor([[101, 7592, 2088, 102]])
    with torch.no_grad():
        states = backbone(backbone.word_embeddings()[ids])
        expected = full(input_ids=ids, output_hidden_states=True).hidden_states
    for state, reference in zip(states, expected, strict=False):
        torch.testing.assert_close(state, reference)


def test_padding_has_no_influence(kind, make):
    backbone = make(kind)
    inputs = tokens(2, 6, 16)
    other = inputs.clone()
    other[:, :2] = tokens(2, 2, 16, seed=9)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1]]).expand(2, -1)
    with torch.no_grad():
        for state, changed in zip(
            backbone(inputs, mask), backbone(other, mask), strict=True
        ):
            torch.testing.assert_close(state[:, 2:], changed[:, 2:])
        seen = backbone(inputs)[-1] - backbone(other)[-1]
        padded = backbone(inputs, mask.flip(1))[-1][:, :4]
        alone = backbone(inputs[:, :4])[-1]
    assert seen[:, 2:].abs().amax(dim=-1).min() > 1e-3  # without the mask
    torch.testing.assert_close(padded, alone)


def test_causality(kind, make):
    backbone = make(kind)
    inputs = tokens(1, 6, 16)
    other = inputs.clone()
    other[:, 3] = tokens(1, 16, seed=9)
    with torch.no_grad():
        change = (backbone(inputs)[-1] - backbone(other)[-1]).abs().amax(dim=-1)[0]
    assert (change[3:] > 1e-3).all()
    assert backbone.is_causal == (change[:3] < 1e-6).all()
    assert backbone.is_causal == (kind != "bert")


@pytest.mark.parametrize(
    ("kind", "most"),
    [("bert", 12), ("gpt2", 12), ("openai-gpt", 12), ("biogpt", 12), ("roberta", 10)],
)
def test_learned_positions_limit_the_tokens(make, kind, most):
    backbone = make(kind)
    assert backbone.max_tokens == most
    assert backbone(tokens(1, most, 16))[-1].shape == (1, most, 16)
    message = (
        rf"got {most + 1} tokens, .* only {most} positions.*rotary.*fewer variates"
    )
    with pytest.raises(InputError, match=message):
        backbone(tokens(1, most + 1, 16))


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_rotary_positions_do_not(make, kind):
    backbone = make(kind)
    assert backbone.max_tokens is None
    assert backbone(tokens(1, 30, 16))[-1].isfinite().all()


def test_frozen_weights_are_shared(kind, make):
    one, two = make(kind, tuning=EVERYTHING), make(kind, tuning=EVERYTHING)
    cached = dict(load_frozen(one.choice).model.named_parameters())
    copied = copy.deepcopy(one)
    frozen = frozen_parameters(one)
    assert len(frozen) > 10
    for other in (cached, frozen_parameters(two), frozen_parameters(copied)):
        for name, parameter in frozen.items():
            assert parameter.data_ptr() == other[name].data_ptr()
    assert one.word_embeddings() is two.word_embeddings()
    # what trains is not
    for name, own in one.trained_state().items():
        addresses = {own.data_ptr(), two.trained_state()[name].data_ptr()}
        addresses.add(copied.trained_state()[name].data_ptr())
        if name in cached:
            addresses.add(cached[name].data_ptr())
        assert len(addresses) == 3 + (name.removeprefix("model.") in cached)


def test_training_one_leaves_the_others_alone(kind, make):
    one, two = make(kind, tuning=EVERYTHING), make(kind, tuning=EVERYTHING)
    plain = make(kind)
    cached = load_frozen(one.choice)
    before = {n: p.clone() for n, p in cached.model.named_parameters()}
    words = cached.word_embeddings.clone()
    inputs = tokens(2, 5, 16)
    with torch.no_grad():
        outputs = [backbone(inputs)[-1] for backbone in (two, plain)]
    losses = train(one)
    assert losses[-1] < losses[0]
    with torch.no_grad():
        assert not torch.allclose(one(inputs)[-1], outputs[1], atol=1e-2)
        for backbone, output in zip((two, plain), outputs, strict=True):
            assert torch.equal(backbone(inputs)[-1], output)
        assert torch.equal(make(kind)(inputs)[-1], outputs[1])
    for name, parameter in cached.model.named_parameters():
        assert torch.equal(parameter, before[name])
    assert torch.equal(cached.word_embeddings, words)
    assert torch.equal(load_frozen(one.choice).word_embeddings, words)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_conversion_of_one_leaves_the_others_alone(kind, make, dtype):
    one, two = make(kind, tuning=EVERYTHING), make(kind, tuning=EVERYTHING)
    cached = load_frozen(one.choice).model
    parameters = list(one.parameters())
    addresses = {n: p.data_ptr() for n, p in frozen_parameters(one).items()}
    one.to(dtype)
    assert {p.dtype for p in one.parameters()} == {dtype}
    assert one(tokens(1, 3, 16).to(dtype))[-1].dtype == dtype
    for other in (two, cached):
        assert {p.dtype for p in other.parameters()} == {torch.float32}
    assert two(tokens(1, 3, 16))[-1].dtype == torch.float32
    # an optimizer made before still holds the parameters
    assert all(a is b for a, b in zip(one.parameters(), parameters, strict=True))
    one.float()
    assert addresses == {n: p.data_ptr() for n, p in frozen_parameters(one).items()}


def same(one, two):
    inputs = tokens(2, 5, 16).to(next(one.parameters()).dtype)
    with torch.no_grad():
        pairs = zip(one(inputs), two(inputs), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("by", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_equal(kind, make, by):
    backbone = make(kind, 2, EVERYTHING)
    train(backbone)
    global_state = torch.get_rng_state()
    copied = by(backbone)
    assert torch.equal(torch.get_rng_state(), global_state)
    assert same(backbone, copied)
    twice = by(nn.ModuleList([backbone, backbone]))
    assert twice[0] is twice[1]
    assert twice[0] is not backbone
    for training in (True, False):
        other = by(make(kind, tuning=EVERYTHING).double().train(training))
        assert {p.dtype for p in other.parameters()} == {torch.float64}
        assert {module.training for module in other.modules()} == {training}
    assert (copied.choice, copied.tuning) == (backbone.choice, backbone.tuning)
    assert {n: p.requires_grad for n, p in copied.named_parameters()} == {
        n: p.requires_grad for n, p in backbone.named_parameters()
    }
    train(copied)  # alone
    assert not same(backbone, copied)


def test_frozen_weights_are_not_pickled(make, minilm):
    plain = make_backbone(BackboneChoice(minilm, n_layers=2))
    assert sum(p.nbytes for p in plain.parameters()) > 10_000_000
    assert len(pickle.dumps(plain)) < 2_000
    tuned = make_backbone(BackboneChoice(minilm, n_layers=2), EVERYTHING)
    trained = sum(tensor.nbytes for tensor in tuned.trained_state().values())
    assert len(pickle.dumps(tuned)) < trained + 10_000


def test_pickle_reads_the_weights_again(kind, make):
    backbone = make(kind, tuning=EVERYTHING)
    train(backbone)
    data = pickle.dumps(backbone)
    clear_backbone_cache()
    restored = pickle.loads(data)
    one, two = frozen_parameters(backbone), frozen_parameters(restored)
    assert all(one[name].data_ptr() != two[name].data_ptr() for name in one)
    assert same(backbone, restored)


@pytest.fixture
def saved_model(save_model, tmp_path):
    """Folder of a model with a tokenizer of its own."""
    folder = Path(save_model("gpt2"))
    vocabulary = {"[UNK]": 0, "a": 1, "b": 2}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


def change(folder, what):
    if what == "tokenizer":
        file = folder / "tokenizer.json"
        file.write_text(file.read_text().replace('"a"', '"c"'))
    else:
        name = {"weights": "h.0.mlp.c_fc.bias", "word embeddings": "wte.weight"}[what]
        weights = load_file(folder / "model.safetensors")
        weights[name].flatten()[0] += 1
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    clear_backbone_cache()


@pytest.mark.parametrize("mode", ["pretrained", "none", "attention"])
@pytest.mark.parametrize("what", ["weights", "word embeddings", "tokenizer"])
def test_pickle_refuses_what_changed(saved_model, what, mode):
    choice = BackboneChoice(str(saved_model), mode=mode)
    backbone = make_backbone(choice, EVERYTHING)
    unused = pickle.dumps(backbone)
    backbone.tokenizer()
    backbone.word_embeddings()
    used = pickle.dumps(pickle.loads(pickle.dumps(copy.deepcopy(backbone))))
    change(saved_model, what)
    message = rf"the {what} of backbone=.*changed since .*fingerprint is \w+, expected"
    without_model = mode != "pretrained" and what != "tokenizer"
    for data, matters in ((used, not without_model), (unused, what == "weights")):
        if matters and not without_model:
            with pytest.raises(BackboneCorruptedError, match=message):
                pickle.loads(data)
        else:
            pickle.loads(data)


@pytest.mark.parametrize("mode", ["pretrained", "none", "attention"])
def test_copies_and_pickles_are_of_what_was_read(saved_model, mode, monkeypatch):
    monkeypatch.chdir(saved_model.parent)
    backbone = make_backbone(BackboneChoice(saved_model.name, mode=mode), EVERYTHING)
    tokenizer, before = backbone.tokenizer(), backbone.fingerprints()
    change(saved_model, "tokenizer")
    change(saved_model, "weights")
    assert backbone.tokenizer() is tokenizer
    assert backbone.fingerprints() == before
    with pytest.raises(BackboneCorruptedError, match=r"changed since"):
        pickle.loads(pickle.dumps(backbone))
    monkeypatch.chdir("/")
    copied = copy.deepcopy(backbone)
    assert copied.tokenizer() is tokenizer
    assert copied.fingerprints() == before


@pytest.mark.parametrize("change", ["lack", "add"])
def test_copy_refuses_trained_weights_that_do_not_fit(make, monkeypatch, change):
    backbone = make("gpt2", tuning=EVERYTHING)
    state = backbone.trained_state()
    name = "wpe.weight"
    if change == "lack":
        del state[name]
    else:
        state[name := "h.0.adapter"] = torch.zeros(1)
    monkeypatch.setattr(backbone, "trained_state", lambda: state)
    message = rf"saved weights .*do not fit .*peft: {name}\.\.\."
    with pytest.raises(BackboneCorruptedError, match=message):
        copy.deepcopy(backbone)


def test_fingerprint(make, folders):
    prints = {
        load_frozen(BackboneChoice(name, None, n, *mode)).fingerprint
        for name in (folders["gpt2"], "tiny-random")
        for n in (1, 2)
        for mode in ((), ("random", 0), ("random", 1))
    }
    assert len(prints) == 12
    source = BackboneChoice("tiny-random")
    one = load_frozen(source).fingerprint
    train(make("tiny-random", tuning=EVERYTHING))
    clear_backbone_cache()
    assert load_frozen(source).fingerprint == one


def test_backbone_outlives_the_cache(make):
    backbone = make("gpt2")
    before = backbone(tokens(1, 3, 16))[-1]
    clear_backbone_cache()
    assert torch.equal(backbone(tokens(1, 3, 16))[-1], before)
    assert backbone.word_embeddings().shape == (40, 16)
    assert backbone.double()(tokens(1, 3, 16).double())[-1].dtype == torch.float64


@pytest.mark.gpu
def test_on_a_gpu_frozen_weights_are_shared_too(make):
    one, two = make("gpt2", tuning=EVERYTHING), make("gpt2", tuning=EVERYTHING)
    stays = make("gpt2")
    one.cuda()
    two.to("cuda:0")
    assert {p.device.type for p in one.parameters()} == {"cuda"}
    assert {p.device.type for p in stays.parameters()} == {"cpu"}
    other = frozen_parameters(two)
    for name, parameter in frozen_parameters(one).items():
        assert parameter.data_ptr() == other[name].data_ptr()
    inputs = tokens(2, 5, 16)
    with torch.no_grad():
        expected = stays(inputs)[-1]
        actual = one(inputs.cuda())[-1].cpu()
        assert torch.equal(one.cpu()(inputs)[-1], expected)
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)
    restored = pickle.loads(pickle.dumps(two))
    assert next(restored.parameters()).device.type == "cuda"
