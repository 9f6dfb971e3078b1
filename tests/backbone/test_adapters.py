"""Which parts train, by architecture, and the arithmetic of LoRA."""

import pytest
import torch

from sktime_llm.backbone.adapters import (
    AdapterConfig,
    attention_projection_names,
    layer_norm_names,
    position_embedding_names,
)
from sktime_llm.backbone.loading import load_frozen
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.errors import InputError, UnsupportedBackboneError
from tests.backbone.conftest import COMMON


def weight_and_bias(*names):
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]


NORMS = {
    "bert": weight_and_bias(
        "embeddings.LayerNorm",
        "encoder.layer.0.attention.output.LayerNorm",
        "encoder.layer.0.output.LayerNorm",
    ),
    "gpt2": weight_and_bias("h.0.ln_1", "h.0.ln_2", "ln_f"),
    "llama": [
        "layers.0.input_layernorm.weight",
        "layers.0.post_attention_layernorm.weight",
        "norm.weight",
    ],
    "qwen3": [
        "layers.0.self_attn.q_norm.weight",
        "layers.0.self_attn.k_norm.weight",
        "layers.0.input_layernorm.weight",
        "layers.0.post_attention_layernorm.weight",
        "norm.weight",
    ],
}
POSITIONS = {
    "bert": ["embeddings.position_embeddings.weight"],
    "gpt2": ["wpe.weight"],
    "llama": [],
    "qwen3": [],
}
PROJECTIONS = {
    "bert": [f"encoder.layer.0.attention.self.{n}" for n in ("query", "key", "value")],
    "gpt2": ["h.0.attn.c_attn"],
    "llama": [f"layers.0.self_attn.{n}_proj" for n in "qkv"],
    "qwen3": [f"layers.0.self_attn.{n}_proj" for n in "qkv"],
}
KINDS = sorted(NORMS)


def tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def trained_names(backbone):
    return sorted(n for n, p in backbone.model.named_parameters() if p.requires_grad)


@pytest.fixture
def make(folders):
    def make_one(kind, n_layers=1, **tuning):
        return make_backbone(
            BackboneChoice(folders[kind], n_layers=n_layers), AdapterConfig(**tuning)
        )

    return make_one


@pytest.mark.parametrize("kind", KINDS)
def test_names(folders, kind):
    model = load_frozen(BackboneChoice(folders[kind], n_layers=1)).model
    assert sorted(layer_norm_names(model)) == sorted(NORMS[kind])
    assert position_embedding_names(model) == POSITIONS[kind]
    assert sorted(attention_projection_names(model)) == sorted(PROJECTIONS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_what_trains_is_what_tuning_says(make, kind):
    lora = [
        f"{name}.lora_{matrix}.default.weight"
        for name in PROJECTIONS[kind]
        for matrix in "AB"
    ]
    assert trained_names(make(kind)) == []
    assert trained_names(make(kind, lora_rank=2)) == sorted(lora)
    assert trained_names(make(kind, layer_norms=True)) == sorted(NORMS[kind])
    assert trained_names(make(kind, position_embeddings=True)) == POSITIONS[kind]
    everything = make(kind, lora_rank=2, layer_norms=True, position_embeddings=True)
    expected = sorted(lora + NORMS[kind] + POSITIONS[kind])
    assert trained_names(everything) == expected
    assert sorted(everything.trained_state()) == expected


def test_adapters_are_in_every_layer(save_model):
    # many and alike names, which peft shortens
    folder = save_model("llama", num_hidden_layers=12, num_key_value_heads=4)
    choice = BackboneChoice(folder, n_layers=11)
    names = trained_names(make_backbone(choice, AdapterConfig(lora_rank=1)))
    assert len(names) == 11 * 3 * 2
    assert sum(".layers.1." in f".{name}" for name in names) == 6


MLA = {
    **COMMON,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 4,
    "qk_rope_head_dim": 4,
    "v_head_dim": 4,
    "first_k_dense_replace": 3,
}
LATENT = ["kv_a_proj_with_mqa", "kv_b_proj"]


@pytest.mark.parametrize(
    ("kind", "options", "leaves"),
    [
        ("deepseek_v2", {**MLA, "q_lora_rank": None}, ["q_proj", *LATENT]),
        ("deepseek_v2", {**MLA, "q_lora_rank": 8}, ["q_a_proj", "q_b_proj", *LATENT]),
        ("deepseek_v3", {**MLA, "q_lora_rank": 8}, ["q_a_proj", "q_b_proj", *LATENT]),
        ("deberta-v2", COMMON, ["query_proj", "key_proj", "value_proj"]),
    ],
)
def test_queries_keys_and_values_of_any_kind_are_adapted(
    save_model, kind, options, leaves
):
    choice = BackboneChoice(save_model(kind, **options))
    backbone = make_backbone(choice, AdapterConfig(lora_rank=2))
    adapted = [name.split(".lora_")[0] for name in trained_names(backbone)]
    assert {name.rpartition(".")[2] for name in adapted} == set(leaves)
    assert len(adapted) == 2 * 3 * len(leaves)


QWEN3_NEXT = {
    **COMMON,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 4,
    "mlp_only_layers": [0, 1, 2],
}


@pytest.mark.parametrize("reduced_memory", [False, True])
def test_layers_without_projections_are_refused(save_model, reduced_memory):
    layer_types = ["full_attention", "linear_attention", "full_attention"]
    folder = save_model("qwen3_next", **QWEN3_NEXT, layer_types=layer_types)
    message = (
        r"in only 2 of the 3 layers of Qwen3NextModel; layer 1 has .*'in_proj_qkvz'.*"
        r"expected some of .*'q_proj'.* in each\. Choose .*lora_rank=0"
    )
    tuning = AdapterConfig(lora_rank=2, reduced_memory=reduced_memory)
    with pytest.raises(UnsupportedBackboneError, match=message):
        make_backbone(BackboneChoice(folder), tuning)
    make_backbone(BackboneChoice(folder))
    make_backbone(BackboneChoice(folder, n_layers=1), tuning)


def test_unknown_projections(save_model):
    folder = save_model("xlnet", vocab_size=40, d_model=16, n_layer=1, n_head=2)
    make_backbone(BackboneChoice(folder))
    message = (
        r"no query, key or value projection in XLNetModel.*layer_norm.*lora_rank=0"
    )
    with pytest.raises(UnsupportedBackboneError, match=message):
        make_backbone(BackboneChoice(folder), AdapterConfig(lora_rank=1))


@pytest.mark.parametrize("kind", KINDS)
def test_rank_above_the_width(make, kind):
    with pytest.raises(InputError, match="lora_rank=17, expected between 0 and 16, "):
        make(kind, lora_rank=17)


@pytest.mark.parametrize("kind", KINDS)
def test_no_effect_before_training(make, kind):
    inputs = tokens(2, 5, 16)
    everything = make(kind, 3, lora_rank=4, layer_norms=True, position_embeddings=True)
    for state, plain in zip(everything(inputs), make(kind, 3)(inputs), strict=True):
        assert torch.equal(state, plain)


@pytest.mark.parametrize("kind", KINDS)
def test_effect_after_a_step(make, kind):
    backbone, inputs = make(kind, lora_rank=4), tokens(2, 5, 16)
    before = backbone(inputs)[-1].detach()
    backbone(inputs)[-1].pow(4).sum().backward()
    for name, parameter in backbone.model.named_parameters():
        if parameter.requires_grad:
            # B is zero at the start, so A has no gradient yet
            assert bool(parameter.grad.any()) == ("lora_B" in name)
        else:
            assert parameter.grad is None
    trained = [p for p in backbone.parameters() if p.requires_grad]
    torch.optim.SGD(trained, lr=0.01).step()
    assert not torch.allclose(backbone(inputs)[-1], before, atol=1e-3)


@pytest.mark.filterwarnings("error")  # peft warns of a wrong orientation, and mends it
@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic(make, kind):
    rank, alpha = 2, 6.0
    backbone = make(kind, lora_rank=rank, lora_alpha=alpha)
    layer = backbone.model.get_submodule(PROJECTIONS[kind][0])
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.copy_(tokens(*b.shape))
        inputs = tokens(2, 5, 16)
        weight, bias = layer.base_layer.weight, layer.base_layer.bias
        # GPT-2 stores (in, out), the others (out, in)
        weight = weight if kind == "gpt2" else weight.T
        assert weight.shape == (16, len(b))
        expected = inputs @ weight + (0 if bias is None else bias)
        update = alpha / rank * (inputs @ a.T @ b.T)
        torch.testing.assert_close(layer(inputs), expected + update)
        assert update.abs().max() > 0.1
        # as it would be added to the weight
        delta = layer.get_delta_weight("default")
        assert delta.shape == layer.base_layer.weight.shape
        delta = delta if kind == "gpt2" else delta.T
        torch.testing.assert_close(inputs @ delta, update)


def test_adapters_differ_by_the_global_random_state(make):
    def first_state(seed):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            state = make("gpt2", lora_rank=2).trained_state()
        return state["h.0.attn.c_attn.lora_A.default.weight"]

    assert torch.equal(first_state(0), first_state(0))
    assert not torch.equal(first_state(0), first_state(1))
