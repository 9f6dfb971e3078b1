"""LoRA-AMR: its arithmetic, what it trains and keeps, and peft's conventions."""

import copy
import subprocess
import sys

import pytest
import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
    inject_adapter_in_model,
)
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.pytorch_utils import Conv1D

from sktime_llm.backbone.lora_amr import LoraAmrConfig, attention_config
from sktime_llm.errors import InputError, UnsupportedBackboneError
from tests.backbone.conftest import CONFIGS

LAYERS = {
    "linear": nn.Linear,
    "linear without bias": lambda n_in, n_out: nn.Linear(n_in, n_out, bias=False),
    "conv1d": lambda n_in, n_out: Conv1D(n_out, n_in),
}
KINDS = sorted(LAYERS)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 5e-2}


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def network(kind="linear", dtype=torch.float32):
    first, second = LAYERS[kind](12, 10), LAYERS[kind](10, 6)
    return nn.Sequential(first, nn.Tanh(), second).to(dtype)


def configure(kind="linear", **options):
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["0", "2"], **options}
    return LoraAmrConfig(fan_in_fan_out=kind == "conv1d", **options)


def adapt(model, kind="linear", *, random=True, **options):
    # init_lora_weights=False makes C random, as after training
    return get_peft_model(
        model, configure(kind, init_lora_weights=not random, **options)
    )


def trained(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def factors(layer, name="default"):
    return layer.lora_A[name].weight, layer.lora_B[name].D, layer.lora_B[name].C


def train(model, inputs, n_steps=3):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        model(inputs).pow(2).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_no_effect_at_the_start(kind):
    plain, inputs = network(kind), torch.randn(3, 12)
    expected = plain(inputs)
    for gaussian in (True, "gaussian"):
        model = adapt(copy.deepcopy(plain), kind, random=False)
        assert torch.equal(model(inputs), expected)
        assert factors(model.base_model.model[0])[0].any(), gaussian


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_formula(kind):
    model = adapt(network(kind, torch.float64), kind)
    layer = model.base_model.model[0]
    inputs = torch.randn(3, 5, 12, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 5, 10, dtype=torch.float64)
    outputs = layer(inputs)
    (outputs * weights).sum().backward()

    b, d, c = (factor.detach().clone() for factor in factors(layer))
    assert (b.shape, d.shape, c.shape) == ((4, 12), (2, 4), (10, 2))
    assert layer.lora_B["default"].C.is_contiguous()  # not a part of a larger matrix
    w0 = layer.base_layer.weight.T if kind == "conv1d" else layer.base_layer.weight
    bias = 0 if layer.base_layer.bias is None else layer.base_layer.bias
    c.requires_grad_()
    other = inputs.detach().requires_grad_()
    expected = other @ (w0 + 8 / 4 * c @ d @ b).T + bias
    torch.testing.assert_close(outputs, expected)
    grad_c, grad_x = torch.autograd.grad((expected * weights).sum(), (c, other))
    torch.testing.assert_close(layer.lora_B["default"].C.grad, grad_c)
    torch.testing.assert_close(inputs.grad, grad_x)


def test_scaling_and_ranks_of_single_layers():
    config = {"rank_pattern": {"2": 6}, "alpha_pattern": {"2": 3}}
    layers = adapt(network(), **config).base_model.model
    assert [layers[i].scaling["default"] for i in (0, 2)] == [8 / 4, 3 / 6]
    assert layers[2].lora_B["default"].C.shape == (6, 3)
    layers = adapt(network(), use_rslora=True).base_model.model
    assert layers[0].scaling["default"] == 8 / 4**0.5


def test_second_frozen_factor_keeps_the_variance():
    model = adapt(nn.Sequential(nn.Linear(256, 8)), r=128, target_modules=["0"])
    b, d, _ = factors(model.base_model.model[0])
    reduced = torch.randn(500, 256) @ b.T
    ratio = (reduced @ d.T).var() / reduced.var()
    assert 0.9 < ratio < 1.1


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS)
def test_merged_is_adapted_and_unmerge_restores(kind, dtype):
    plain, inputs = network(kind, dtype), torch.randn(7, 12).to(dtype)
    model = adapt(copy.deepcopy(plain), kind)
    close = {"atol": TOLERANCE[dtype], "rtol": TOLERANCE[dtype]}
    adapted = model(inputs)
    assert adapted.dtype == dtype
    assert (adapted - plain(inputs)).abs().max() > 0.1
    model.merge_adapter()
    torch.testing.assert_close(model(inputs), adapted, **close)
    model.unmerge_adapter()
    for i in (0, 2):
        weight = model.base_model.model[i].base_layer.weight
        torch.testing.assert_close(weight, plain[i].weight, **close)
    torch.testing.assert_close(model(inputs), adapted, **close)

    merged = model.merge_and_unload(safe_merge=True)
    assert [type(layer) for layer in merged] == [type(layer) for layer in plain]
    torch.testing.assert_close(merged(inputs), adapted, **close)


@pytest.mark.parametrize("kind", KINDS)
def test_only_c_trains(kind):
    model, inputs = adapt(network(kind), kind, random=False), torch.randn(7, 12)
    names = {f"base_model.model.{i}.lora_B.default.C" for i in (0, 2)}
    assert trained(model) == names
    assert model.get_nb_trainable_parameters()[0] == (10 + 6) * 4 // 2
    before = copy.deepcopy(model.state_dict())
    train(model, inputs)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == (name not in names)
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (name in names)


def test_nothing_makes_the_frozen_factors_train():
    model = adapt(network())
    model.set_adapter("default")
    model.requires_grad_(True)
    names = {name for name in trained(model) if "lora" in name}
    assert names == {f"base_model.model.{i}.lora_B.default.C" for i in (0, 2)}


def test_other_parts_that_train():
    model = adapt(network(), target_modules=["0"], modules_to_save=["2"], bias="all")
    assert {name.split(".", 2)[2] for name in trained(model)} == {
        "0.lora_B.default.C",
        "0.base_layer.bias",
        "2.modules_to_save.default.weight",
        "2.modules_to_save.default.bias",
    }


def test_dropout_is_on_the_low_rank_activation():
    model = adapt(nn.Sequential(nn.Linear(12, 10)), lora_dropout=0.5, r=8)
    layer, inputs = model.base_model.model[0], torch.randn(50, 12)
    b, d, c = factors(layer)
    with torch.no_grad():
        c.copy_(torch.eye(10, 4))
    full = inputs @ b.T @ d.T  # scaling is 8 / 8
    for training in (True, False):
        model.train(training)
        update = (layer(inputs) - layer.base_layer(inputs))[:, :4]
        dropped = update.abs() < 1e-6
        assert 0.35 < dropped.float().mean() < 0.65 if training else not dropped.any()
        expected = torch.where(dropped, 0.0, full * (2 if training else 1))
        torch.testing.assert_close(update, expected, atol=1e-5, rtol=1e-4)


def kept_bytes(model, inputs):
    own = {t.untyped_storage().data_ptr() for t in model.state_dict().values()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(inputs)
    assert outputs.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("input_grad", [False, True])
@pytest.mark.parametrize("rank", [16, 32, 64])
@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_keeps_half_the_rank_and_no_input(kind, rank, input_grad):
    n_tokens, width = 20, 96
    inputs = torch.randn(4, 5, width, requires_grad=input_grad)
    kept = {}
    for make in (LoraConfig, LoraAmrConfig):
        config = make(r=rank, target_modules=["0"], fan_in_fan_out=kind == "conv1d")
        model = get_peft_model(nn.Sequential(LAYERS[kind](width, 40)), config)
        kept[make] = kept_bytes(model, inputs)
    assert kept[LoraAmrConfig] == 4 * n_tokens * rank // 2
    assert kept[LoraConfig] == 4 * n_tokens * (width + rank)


def test_dropout_keeps_no_wide_mask():
    inputs = torch.randn(20, 96, requires_grad=True)
    config = LoraAmrConfig(r=16, target_modules=["0"], lora_dropout=0.5)
    model = get_peft_model(nn.Sequential(nn.Linear(96, 40)), config)
    # the activation after dropout, and at most a mask as wide
    assert 4 * 20 * 8 <= kept_bytes(model, inputs) <= 2 * 4 * 20 * 8


def test_two_adapters():
    plain, inputs = network(), torch.randn(7, 12)
    model = adapt(copy.deepcopy(plain))
    one = model(inputs)
    model.add_adapter("other", configure(r=6, init_lora_weights=False))
    assert torch.equal(model(inputs), one)
    with model.disable_adapter():
        assert torch.equal(model(inputs), plain(inputs))
    assert {name.rsplit(".", 2)[1] for name in trained(model)} == {"default"}
    model.set_adapter("other")
    assert {name.rsplit(".", 2)[1] for name in trained(model)} == {"other"}
    other = model(inputs)
    assert not torch.allclose(one, other, atol=1e-2)

    layer = model.base_model.model[0]
    model.base_model.set_adapter(["default", "other"])
    update = sum(layer.get_delta_weight(name) for name in ("default", "other"))
    both = functional.linear(inputs, plain[0].weight + update, plain[0].bias)
    torch.testing.assert_close(layer(inputs), both)
    adapted = model(inputs)
    model.merge_adapter()
    torch.testing.assert_close(model(inputs), adapted)
    model.unmerge_adapter()

    model.set_adapter("default")
    torch.testing.assert_close(model(inputs), one)
    model.delete_adapter("other")
    assert not any("other" in name for name in model.state_dict())
    torch.testing.assert_close(model(inputs), one)


def test_adapters_cannot_be_summed():
    model = adapt(network())
    model.add_adapter("other", configure())
    with pytest.raises(InputError, match=r"frozen factors differ.*set_adapter"):
        model.add_weighted_adapter(["default", "other"], [1.0, 1.0], "sum")


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_model_has_a_float32_adapter(autocast):
    model, config = network(dtype=torch.bfloat16), configure(init_lora_weights=False)
    model = get_peft_model(model, config, autocast_adapter_dtype=autocast)
    dtype = torch.float32 if autocast else torch.bfloat16
    for i in (0, 2):
        layer = model.base_model.model[i]
        assert {factor.dtype for factor in factors(layer)} == {dtype}
        assert layer.base_layer.weight.dtype == torch.bfloat16
    model(torch.randn(7, 12).bfloat16()).sum().backward()
    assert factors(model.base_model.model[0])[2].grad.dtype == dtype


def test_autocast():
    model, inputs = adapt(network()), torch.randn(7, 12)
    expected = model(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model(inputs)
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.float(), expected, atol=0.05, rtol=0.05)
    outputs.sum().backward()
    assert factors(model.base_model.model[0])[2].grad.any()


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded(kind, tmp_path):
    plain, inputs = network(kind), torch.randn(7, 12)
    model = adapt(copy.deepcopy(plain), kind, random=False)
    train(model, inputs)
    model.save_pretrained(tmp_path)
    files = {path.name for path in tmp_path.iterdir()} - {"README.md"}
    assert files == {"adapter_config.json", "adapter_model.safetensors"}
    saved = load_file(tmp_path / "adapter_model.safetensors")
    parts = ("lora_A.weight", "lora_B.D", "lora_B.C")
    names = {f"base_model.model.{i}.{part}" for i in (0, 2) for part in parts}
    assert set(saved) == names

    config = PeftConfig.from_pretrained(tmp_path)
    assert isinstance(config, LoraAmrConfig)
    assert (config.peft_type, config.r) == ("LORA_AMR", 4)
    # loading draws other random matrices first; all of them must be replaced
    for options in ({}, {"is_trainable": True}, {"low_cpu_mem_usage": True}):
        loaded = PeftModel.from_pretrained(copy.deepcopy(plain), tmp_path, **options)
        assert torch.equal(loaded(inputs), model(inputs))
        assert bool(trained(loaded)) == ("is_trainable" in options)


def test_loaded_under_another_name(tmp_path):
    model, inputs = adapt(network()), torch.randn(7, 12)
    expected = model(inputs)
    model.save_pretrained(tmp_path)
    model.load_adapter(tmp_path, "second")
    model.set_adapter("second")
    model.delete_adapter("default")
    assert torch.equal(model(inputs), expected)


@pytest.mark.parametrize("rank", [-2, 0, 1, 7, 4.0, "8", True, None])
def test_bad_rank(rank):
    with pytest.raises(InputError, match=rf"r={rank!r}, expected an even whole number"):
        LoraAmrConfig(r=rank)
    with pytest.raises(InputError, match=rf"rank_pattern\['2'\]={rank!r}, expected"):
        LoraAmrConfig(rank_pattern={"2": rank})


INITS = ("pissa", "olora", "eva", "orthogonal")  # which train the first factor


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("use_dora", True, "use_dora=.*expected False.*Leave it"),
        ("lora_bias", True, "lora_bias=.*expected False.*Leave it"),
        ("target_parameters", ["weight"], "target_parameters=.*expected None.*Leave"),
        *(("init_lora_weights", i, f"_weights='{i}', expected True") for i in INITS),
    ],
)
def test_options_of_other_methods(option, value, message):
    with pytest.raises(InputError, match=message):
        LoraAmrConfig(**{option: value})


@pytest.mark.parametrize(
    "layer", [nn.Embedding(5, 12), nn.Conv1d(3, 8, 2), nn.MultiheadAttention(12, 2)]
)
def test_layers_that_are_not_linear(layer):
    model = nn.ModuleDict({"part": layer})
    message = rf"'part' is a {type(layer).__name__}, expected a linear layer"
    with pytest.raises(InputError, match=message):
        get_peft_model(model, LoraAmrConfig(target_modules=["part"]))


@pytest.mark.filterwarnings("error:fan_in_fan_out")
@pytest.mark.parametrize(
    ("kind", "auto", "names"),
    [
        ("bert", AutoModelForMaskedLM, ["query", "key", "value"]),
        ("gpt2", AutoModelForCausalLM, ["c_attn"]),
        ("llama", AutoModelForCausalLM, ["q_proj", "k_proj", "v_proj"]),
    ],
)
def test_language_model_learns(kind, auto, names):
    language_model = auto.from_config(AutoConfig.for_model(kind, **CONFIGS[kind]))
    tokens = torch.randint(3, 40, (4, 12))
    before = language_model.eval()(tokens).logits
    config = attention_config(language_model, rank=8, alpha=16, dropout=0.1)
    assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 16, 0.1)
    inject_adapter_in_model(config, language_model)
    assert torch.equal(language_model(tokens).logits, before)
    parameters = [p for p in language_model.parameters() if p.requires_grad]
    assert len(parameters) == 3 * len(names)
    found = {name.split(".lora_B")[0] for name in trained(language_model)}
    assert {name.rpartition(".")[2] for name in found} == set(names)

    optimizer, losses = torch.optim.Adam(parameters, lr=0.05), []
    for _ in range(15):
        loss = language_model(tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.005


def test_attention_config_of_other_models():
    with pytest.raises(UnsupportedBackboneError, match="no query, key or value"):
        attention_config(network())
    with pytest.raises(InputError, match="r=3, expected an even"):
        attention_config(nn.ModuleDict({"query": nn.Linear(4, 4)}), rank=3)


@pytest.mark.slow
def test_only_this_module_changes_peft():
    code = """
import sktime_llm.backbone.make
from peft import mapping
names = [name for name in dir(mapping) if name.startswith("PEFT_TYPE")]
tables = [getattr(mapping, name) for name in names]
before = [dict(table) for table in tables]
assert not any("LORA_AMR" in table for table in tables)
import sktime_llm.backbone.lora_amr
for table, old in zip(tables, before):
    assert set(table) - set(old) <= {"LORA_AMR"}, table
    assert all(table[name] is old[name] for name in old)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
