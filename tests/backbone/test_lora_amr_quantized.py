"""LoRA-AMR on the quantized layers of bitsandbytes."""

import pytest
import torch
from peft import get_peft_model
from peft.utils.integrations import dequantize_bnb_weight
from torch import nn

from sktime_llm.backbone.lora_amr import LoraAmrConfig

bnb = pytest.importorskip("bitsandbytes")

LAYERS = {
    "4bit": lambda: bnb.nn.Linear4bit(12, 10, compute_dtype=torch.float32),
    "8bit": lambda: bnb.nn.Linear8bitLt(12, 10, has_fp16_weights=False),
}
ERRORS = {"4bit": 0.17, "8bit": 0.005}
"""Largest error of rounding, in the largest weight."""


def weight_of(layer):
    base = layer.get_base_layer()
    return dequantize_bnb_weight(base.weight, getattr(base, "state", None)).float()


@pytest.mark.filterwarnings("ignore:.*erge lora module to .-bit")
@pytest.mark.parametrize("kind", LAYERS)
def test_on_peft_s_layers_for_quantized_weights(kind):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = nn.Sequential(LAYERS[kind]()).to("cpu")
        setattr(model, f"is_loaded_in_{kind}", True)
        config = LoraAmrConfig(r=4, target_modules=["0"], init_lora_weights=False)
        adapted, inputs = get_peft_model(model, config), torch.randn(7, 12)
    adapted.train()  # in which 8-bit layers do not round inputs
    layer = adapted.base_model.model[0]
    assert type(layer).__module__ == "peft.tuners.lora.bnb"

    b, d = layer.lora_A["default"].weight, layer.lora_B["default"].D
    c, bias = layer.lora_B["default"].C, layer.get_base_layer().bias
    weight = weight_of(layer)
    outputs = adapted(inputs)
    expected = inputs @ (weight + 8 / 4 * c @ d @ b).T + bias
    torch.testing.assert_close(outputs, expected)
    outputs.sum().backward()
    assert [p.grad is not None for p in adapted.parameters()].count(True) == 1
    assert c.grad.any()

    update = layer.get_delta_weight("default").detach()
    # merging rounds to the steps of the quantized weight
    tolerance = ERRORS[kind] * (weight + update).abs().max()
    assert update.abs().max() > 2 * tolerance
    adapted.merge_adapter()
    merged = weight_of(layer)
    torch.testing.assert_close(merged, weight + update, atol=float(tolerance), rtol=0)
    torch.testing.assert_close(adapted(inputs), inputs @ merged.T + bias)
    adapted.unmerge_adapter()
    torch.testing.assert_close(
        weight_of(layer), weight, atol=float(2 * tolerance), rtol=0
    )
