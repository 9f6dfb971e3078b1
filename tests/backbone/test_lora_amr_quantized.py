"""LoRA-AMR on quantized layers, with a stand-in for bitsandbytes, which needs a GPU."""

import importlib.machinery
import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from peft import get_peft_model, import_utils
from torch import nn
from torch.nn import functional

from sktime_llm.backbone.lora_amr import LoraAmrConfig

STEP = 2**-7


class Params4bit(nn.Parameter):
    """Weights in steps; as bitsandbytes' class, made again from its own attributes."""

    def __new__(cls, data, **attributes):
        steps = (data / STEP).round().to(torch.int8)
        return super().__new__(cls, steps, requires_grad=False)

    def __init__(self, data, **attributes):
        self.compress_statistics = self.quant_type = self.quant_state = None


class Int8Params(Params4bit):
    def __init__(self, data, **attributes):
        super().__init__(data)
        self.SCB, self.has_fp16_weights = torch.tensor(STEP), False


class Quantized(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.in_features, self.out_features = n_in, n_out
        self.compute_dtype = torch.float32
        self.weight = self.parameters_class(torch.rand(n_out, n_in) - 0.5)

    def forward(self, inputs):
        return functional.linear(inputs, self.weight * STEP)


class Linear4bit(Quantized):
    parameters_class = Params4bit


class Linear8bitLt(Quantized):
    parameters_class = Int8Params

    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.index = None
        self.state = SimpleNamespace(
            SCB=None, has_fp16_weights=False, threshold=0.0, reset_grads=lambda: None
        )


LAYERS = {"4bit": Linear4bit, "8bit": Linear8bitLt}


@pytest.fixture
def bitsandbytes(monkeypatch):
    if importlib.util.find_spec("bitsandbytes") is not None:
        pytest.skip("bitsandbytes is installed; its place is taken")
    fake = ModuleType("bitsandbytes")
    fake.__spec__ = importlib.machinery.ModuleSpec("bitsandbytes", None)
    fake.nn = SimpleNamespace(
        Linear4bit=Linear4bit,
        Linear8bitLt=Linear8bitLt,
        Params4bit=Params4bit,
        Int8Params=Int8Params,
    )
    fake.functional = SimpleNamespace(
        dequantize_4bit=lambda data, state: data * STEP,
        int8_vectorwise_dequant=lambda data, scale: data * scale,
    )
    cached = (import_utils.is_bnb_available, import_utils.is_bnb_4bit_available)
    for function in cached:
        function.cache_clear()
    monkeypatch.setitem(sys.modules, "bitsandbytes", fake)
    yield
    for function in cached:
        function.cache_clear()
    # made with the stand-in
    sys.modules.pop("peft.tuners.lora.bnb", None)


@pytest.mark.filterwarnings("ignore:Unsupported layer type")
@pytest.mark.filterwarnings("ignore:.*erge lora module to .-bit")
@pytest.mark.parametrize("kind", LAYERS)
def test_on_peft_s_layers_for_quantized_weights(bitsandbytes, kind):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = nn.Sequential(LAYERS[kind](12, 10))
        setattr(model, f"is_loaded_in_{kind}", True)
        config = LoraAmrConfig(r=4, target_modules=["0"], init_lora_weights=False)
        adapted, inputs = get_peft_model(model, config), torch.randn(7, 12)
    layer = adapted.base_model.model[0]
    assert type(layer).__module__ == "peft.tuners.lora.bnb"
    assert type(layer).__name__ == LAYERS[kind].__name__

    b, d = layer.lora_A["default"].weight, layer.lora_B["default"].D
    c = layer.lora_B["default"].C
    weight = layer.base_layer.weight * STEP
    outputs = adapted(inputs)
    expected = inputs @ (weight + 8 / 4 * c @ d @ b).T
    torch.testing.assert_close(outputs, expected)
    outputs.sum().backward()
    assert [p.grad is not None for p in adapted.parameters()].count(True) == 1
    assert c.grad.any()

    update = layer.get_delta_weight("default").detach()
    assert update.abs().max() > 10 * STEP
    # merging rounds to the steps of the quantized weight
    adapted.merge_adapter()
    merged = layer.base_layer.weight * STEP
    torch.testing.assert_close(merged, weight + update, atol=0.51 * STEP, rtol=0)
    torch.testing.assert_close(adapted(inputs), inputs @ merged.T)
    adapted.unmerge_adapter()
    restored = layer.base_layer.weight * STEP
    torch.testing.assert_close(restored, weight, atol=1.01 * STEP, rtol=0)
