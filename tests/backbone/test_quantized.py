"""Frozen weights of 8 and 4 bits, by the real bitsandbytes, on the CPU."""

import copy
import logging
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from sktime_llm.backbone import quantized
from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.loading import clear_backbone_cache, load_frozen
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.backbone.quantized import (
    QUANTIZATIONS,
    QuantizedLinear,
    loading_options,
    without_kernel_warning,
)
from sktime_llm.errors import BackboneCorruptedError, MissingPackageError

bnb = pytest.importorskip("bitsandbytes")

from .conftest import CONFIGS  # noqa: E402

EVERYTHING = AdapterConfig(lora_rank=4, layer_norms=True, position_embeddings=True)
ERRORS = {"8bit": 1 / 254 + 1e-3, "4bit": 0.16}
"""Largest error of a weight, in the largest of its row or block."""
SIMILAR = {"8bit": 0.99, "4bit": 0.9}

both = pytest.mark.parametrize("bits", QUANTIZATIONS)
each_kind = pytest.mark.parametrize("kind", CONFIGS)


def tokens(n_texts=2, n_tokens=5, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_texts, n_tokens, width, generator=generator)


def layers(module):
    return {n: m for n, m in module.named_modules() if isinstance(m, QuantizedLinear)}


def n_bytes(module):
    return sum(p.numel() * p.element_size() for p in module.parameters())


@pytest.fixture(params=QUANTIZATIONS)
def layer(request):
    """A layer of bitsandbytes, which is as it was loaded, and its weights before."""
    dense = nn.Linear(70, 48)
    with torch.no_grad():
        weight = torch.randn(48, 70, generator=torch.Generator().manual_seed(0))
        dense.weight.copy_(weight)
    if request.param == "8bit":
        one = bnb.nn.Linear8bitLt(70, 48, has_fp16_weights=False)
    else:
        one = bnb.nn.Linear4bit(70, 48, quant_type="nf4", compress_statistics=False)
    one.load_state_dict(dense.state_dict())
    return one.to("cpu"), weight


def test_a_layer_computes_as_that_of_bitsandbytes_in_training(layer):
    theirs, weight = layer
    ours = QuantizedLinear(copy.deepcopy(theirs))
    theirs.train()  # in which it does not round inputs
    inputs = [tokens(width=70).requires_grad_() for _ in range(2)]
    outputs = [one(x) for one, x in zip((ours, theirs), inputs, strict=True)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    close = {"rtol": 1e-4, "atol": 1e-3}
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, **close)
    dense = ours.dequantized(torch.float32)
    assert 0 < (dense - weight).abs().max() < 0.5
    torch.testing.assert_close(outputs[0], F.linear(inputs[0], dense, ours.bias))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_gradients_are_in_the_precision_of_the_layer(layer, dtype):
    ours, inputs = QuantizedLinear(layer[0]), tokens(width=70).to(dtype)
    inputs.requires_grad_()
    exact = inputs.detach().float().requires_grad_()
    ours(exact).sum().backward()
    ours(inputs).sum().backward()
    assert inputs.grad.dtype == dtype
    close = {"rtol": 0.1, "atol": 0.1} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(inputs.grad.float(), exact.grad, **close)
    of_autocast = inputs.detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        ours(of_autocast).sum().backward()
    close = {"rtol": 0.1, "atol": 0.1}
    torch.testing.assert_close(of_autocast.grad, exact.grad, **close)


@pytest.mark.parametrize("shape", [(16, 16), (16, 48), (48, 70), (5, 7), (96, 64)])
def test_weights_of_four_bits_are_codes_in_the_scale_of_their_block(shape):
    dense = nn.Linear(shape[1], shape[0])
    theirs = bnb.nn.Linear4bit(
        *shape[::-1], quant_type="nf4", compress_statistics=False
    )
    theirs.load_state_dict(dense.state_dict())
    ours = QuantizedLinear(theirs.to("cpu"))
    state, packed = theirs.weight.quant_state, theirs.weight.data.flatten()
    codes = torch.stack([packed >> 4, packed & 15], dim=1).flatten().long()
    scales = state.absmax.repeat_interleave(state.blocksize)
    n_weights = shape[0] * shape[1]
    expected = state.code[codes[:n_weights]] * scales[:n_weights]
    assert torch.equal(ours.dequantized(torch.float32), expected.reshape(shape))


def test_only_what_is_said_of_a_kernel_is_left_out(caplog):
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    with without_kernel_warning():
        logger.warning("Failed to load CPU gemm_4bit_forward: %s", "no kernels")
        logger.warning("this CPU computes wrong results")
    logger.warning("no gemm_4bit, outside")
    assert caplog.messages == [
        "this CPU computes wrong results",
        "no gemm_4bit, outside",
    ]


def test_a_layer_keeps_no_dense_weights_for_the_gradient(layer):
    ours, kept = QuantizedLinear(layer[0]), []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = ours(tokens(width=70).requires_grad_())
    assert kept == []
    output.sum().backward()


def test_a_text_does_not_depend_on_others_of_its_batch(layer):
    ours, inputs = QuantizedLinear(layer[0]).eval(), tokens(3, width=70)
    inputs[1] *= 100  # which 8-bit layers of bitsandbytes treat as outliers
    together = ours(inputs)
    for i in range(3):
        torch.testing.assert_close(together[i], ours(inputs[i : i + 1])[0])


@both
@each_kind
def test_all_linear_layers_of_a_model_are_quantized(folders, full_model, kind, bits):
    frozen = load_frozen(BackboneChoice(folders[kind], quantization=bits))
    full, found = full_model(kind), layers(frozen.model)
    linear = {
        name: module
        for name, module in full.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and "pooler" not in name
    }
    assert found.keys() == linear.keys()
    for name, module in found.items():
        weight = linear[name].weight.detach()
        weight = weight.T if isinstance(linear[name], Conv1D) else weight
        size = 1 if bits == "8bit" else 0.5
        assert module.weight.numel() * module.weight.element_size() == (
            size * weight.numel()
        )
        error = (module.dequantized(torch.float32) - weight).abs()
        assert 0 < error.max() <= ERRORS[bits] * weight.abs().max()
    others = {n: p for n, p in frozen.model.named_parameters() if n not in found}
    full_ones = dict(full.named_parameters())
    kept = others.keys() & full_ones.keys() - {f"{n}.weight" for n in found}
    assert kept >= {name for name in full_ones if "norm" in name.lower()}
    for name in kept:
        assert torch.equal(others[name], full_ones[name])
    assert not any(p.requires_grad for p in frozen.model.parameters())
    assert getattr(frozen.model.config, "quantization_config", None) is None


@both
@each_kind
def test_states_are_near_those_in_full_precision(folders, kind, bits):
    plain = make_backbone(BackboneChoice(folders[kind]))
    choice = BackboneChoice(folders[kind], quantization=bits)
    backbone, adapted = make_backbone(choice), make_backbone(choice, EVERYTHING)
    inputs = tokens()
    expected, states = plain(inputs)[-1], backbone(inputs)[-1]
    assert not torch.equal(states, expected)
    similarity = F.cosine_similarity(states.flatten(), expected.flatten(), dim=0)
    assert similarity > SIMILAR[bits]
    assert torch.equal(adapted(inputs)[-1], states)  # LoRA starts at zero
    assert adapted.n_layers == plain.n_layers
    trained = [p for p in adapted.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} == {torch.float32}
    assert len(trained) == sum(
        p.requires_grad
        for p in make_backbone(BackboneChoice(folders[kind]), EVERYTHING).parameters()
    )


@pytest.mark.parametrize(("bits", "similar"), [("8bit", 0.998), ("4bit", 0.95)])
def test_a_text_in_the_default_backbone(minilm, bits, similar):
    states = []
    for quantization in (None, bits):
        backbone = make_backbone(BackboneChoice(minilm, quantization=quantization))
        text = "sales rise in summer and fall in winter"
        ids = backbone.tokenizer()(text, return_tensors="pt")["input_ids"]
        states.append(backbone(backbone.embed(ids))[-1])
    similarity = F.cosine_similarity(*states, dim=-1)
    assert similar < similarity.min() < 1 - 1e-6


@both
def test_one_backbone_trains_while_another_reads(folders, bits):
    choice = BackboneChoice(folders["bert"], quantization=bits)
    one, two = make_backbone(choice, EVERYTHING), make_backbone(choice, EVERYTHING)
    inputs, before = tokens(), copy.deepcopy(one).fingerprints()
    expected = two(inputs)[-1].detach()
    optimizer = torch.optim.Adam(
        [p for p in one.parameters() if p.requires_grad], lr=0.1
    )
    one.train()
    for _ in range(2):
        one(inputs)[-1].square().sum().backward()
        optimizer.step()
    assert not torch.equal(one.eval()(inputs)[-1], expected)
    assert torch.equal(two(inputs)[-1], expected)
    frozen = load_frozen(choice)
    clear_backbone_cache()
    assert load_frozen(choice) is not frozen
    assert load_frozen(choice).fingerprint == before["weights"]
    del frozen.fingerprint  # of what the forward passes left
    assert frozen.fingerprint == before["weights"]


@both
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_frozen_weights_are_shared_and_neither_copied_nor_pickled(folders, kind, bits):
    choice = BackboneChoice(folders[kind], quantization=bits)
    one = make_backbone(choice, EVERYTHING)
    one(tokens())
    two, saved = copy.deepcopy(one), pickle.dumps(one)
    restored = pickle.loads(saved)
    for name in one._shared_names:
        pointers = {
            each.model.get_parameter(name).data_ptr() for each in (one, two, restored)
        }
        assert len(pointers) == 1
    assert not any("base_layer" in name for name in one.trained_state())
    plain = make_backbone(BackboneChoice(folders[kind]), EVERYTHING)
    assert len(saved) < len(pickle.dumps(plain)) + 100
    for each in (two, restored):
        assert torch.equal(each(tokens())[-1], one(tokens())[-1])


@both
def test_other_precisions_keep_the_bits(folders, bits):
    backbone = make_backbone(BackboneChoice(folders["llama"], quantization=bits))
    inputs = tokens()
    expected, size = backbone(inputs)[-1], n_bytes(backbone)
    with torch.autocast("cpu", torch.bfloat16):
        states = backbone(inputs)[-1]
    assert not torch.equal(states, expected)
    torch.testing.assert_close(states.float(), expected, rtol=0.1, atol=0.1)
    assert torch.equal(backbone(inputs)[-1], expected)
    double = backbone.double()(inputs.double())[-1]
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(backbone.float()(inputs)[-1], expected)
    assert n_bytes(backbone) == size


def test_a_choice_is_a_key(folders):
    choice = BackboneChoice(folders["bert"])
    choices = [choice, *(replace(choice, quantization=bits) for bits in QUANTIZATIONS)]
    frozen = [load_frozen(one) for one in choices]
    assert len({id(one) for one in frozen}) == 3
    assert len({one.fingerprint for one in frozen}) == 3
    assert len({one.words_fingerprint for one in frozen}) == 1
    backbones = [make_backbone(one) for one in choices]
    assert len({one.vocabulary_key for one in backbones}) == 1
    assert (
        n_bytes(frozen[0].model) > n_bytes(frozen[1].model) > n_bytes(frozen[2].model)
    )


@both
def test_scales_are_in_the_fingerprint(folders, bits):
    frozen = load_frozen(BackboneChoice(folders["bert"], quantization=bits))
    before = frozen.fingerprint
    next(iter(layers(frozen.model).values())).scale.data[0] *= 2
    del frozen.fingerprint
    assert frozen.fingerprint != before


def test_another_rounding_is_refused(folders, monkeypatch):
    choice = BackboneChoice(folders["bert"], quantization="8bit")
    saved = pickle.dumps(make_backbone(choice))
    monkeypatch.setattr(quantized, "QuantizedLinear", _RoundsOtherwise)
    clear_backbone_cache()
    message = "changed since .* Restore the model and the version of bitsandbytes"
    with pytest.raises(BackboneCorruptedError, match=message):
        pickle.loads(saved)


class _RoundsOtherwise(QuantizedLinear):
    def __init__(self, layer):
        super().__init__(layer)
        self.weight.data += 1


@both
@pytest.mark.parametrize("name", ["tiny-random", "tiny-random-decoder"])
def test_random_weights_are_quantized_too(name, bits):
    before = torch.get_rng_state()
    for choice in (BackboneChoice(name), BackboneChoice(name, mode="random")):
        plain = make_backbone(choice)
        backbone = make_backbone(replace(choice, quantization=bits))
        assert layers(backbone)
        states, expected = backbone(tokens())[-1], plain(tokens())[-1]
        assert not torch.equal(states, expected)
        torch.testing.assert_close(states, expected, rtol=0.1, atol=0.05)
        assert torch.equal(
            backbone.word_embeddings(), plain.word_embeddings()
        )  # which are not quantized
    assert torch.equal(torch.get_rng_state(), before)


def test_random_weights_of_a_model_that_is_quantized(folders, tmp_path):
    config = transformers.AutoConfig.from_pretrained(folders["bert"])
    config.quantization_config = {"quant_method": "gptq", "bits": 4}
    config.save_pretrained(tmp_path)
    choice = BackboneChoice(str(tmp_path), mode="random", quantization="8bit")
    assert layers(make_backbone(choice))


@both
def test_a_pooler_may_be_absent(folders, tmp_path, bits):
    source = Path(folders["bert"])
    (tmp_path / "config.json").write_text((source / "config.json").read_text())
    weights = load_file(source / "model.safetensors")
    rest = {k: v for k, v in weights.items() if not k.startswith("pooler")}
    save_file(rest, tmp_path / "model.safetensors", {"format": "pt"})
    whole = load_frozen(BackboneChoice(str(source), quantization=bits))
    before = torch.get_rng_state()
    frozen = load_frozen(BackboneChoice(str(tmp_path), quantization=bits))
    assert torch.equal(torch.get_rng_state(), before)
    assert frozen.fingerprint == whole.fingerprint
    del rest["encoder.layer.0.attention.self.query.weight"]
    save_file(rest, tmp_path / "model.safetensors", {"format": "pt"})
    clear_backbone_cache()
    with pytest.raises(BackboneCorruptedError, match="lack, or have in another shape"):
        load_frozen(BackboneChoice(str(tmp_path), quantization=bits))


@pytest.mark.parametrize("mode", ["none", "attention", "transformer"])
def test_without_a_language_model_it_has_no_effect(mode, no_bitsandbytes):
    choice = BackboneChoice("tiny-random", mode=mode, quantization="8bit")
    make_backbone(choice)


@both
def test_a_missing_package(bits, no_bitsandbytes):
    message = (
        rf"^quantization='{bits}' needs bitsandbytes, .*`pip install "
        r"'sktime-llm\[quantized\]'`, or leave out quantization\.$"
    )
    for name in ("tiny-random", "tiny-random-decoder"):
        with pytest.raises(MissingPackageError, match=message):
            make_backbone(BackboneChoice(name, quantization=bits))
    assert loading_options(None) == {}


@pytest.fixture
def no_bitsandbytes(monkeypatch):
    found = "transformers.utils.import_utils.is_bitsandbytes_available"
    monkeypatch.setattr(found, lambda: False)


@pytest.mark.gpu
@both
def test_on_a_gpu(folders, bits):
    choice = BackboneChoice(folders["gpt2"], quantization=bits)
    one, two = make_backbone(choice, EVERYTHING), make_backbone(choice, EVERYTHING)
    inputs = tokens()
    expected = one(inputs)[-1]
    one.cuda()
    two.cuda()
    states = one(inputs.cuda())[-1]
    torch.testing.assert_close(states.cpu(), expected, rtol=1e-3, atol=1e-3)
    states.sum().backward()
    for name in one._shared_names:
        parameters = [each.model.get_parameter(name) for each in (one, two)]
        assert parameters[0].data_ptr() == parameters[1].data_ptr()
    assert torch.equal(one.cpu()(inputs)[-1], expected)
    assert one.fingerprints() == make_backbone(choice).fingerprints()
