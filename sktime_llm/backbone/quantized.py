"""Frozen linear layers whose weights have 8 or 4 bits, by bitsandbytes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm.errors import MissingPackageError

QUANTIZATIONS = ("8bit", "4bit")
_KERNELS = logging.getLogger("bitsandbytes.backends.cpu.ops")


@contextmanager
def without_kernel_warning() -> Iterator[None]:
    """Import bitsandbytes inside, which may lack a CPU kernel that is not used here.

    It would say so on many CPUs; and peft imports it wherever it is installed.
    """

    def is_of_use(record: logging.LogRecord) -> bool:
        return "gemm_4bit" not in record.getMessage()

    _KERNELS.addFilter(is_of_use)
    try:
        yield
    finally:
        _KERNELS.removeFilter(is_of_use)


def loading_options(quantization: str | None) -> dict[str, Any]:
    """Return with which options ``from_pretrained`` quantizes; none for None."""
    if quantization is None:
        return {}
    from transformers import BitsAndBytesConfig
    from transformers.utils.import_utils import is_bitsandbytes_available

    if not is_bitsandbytes_available():
        raise MissingPackageError(
            f"quantization={quantization!r} needs bitsandbytes, which is missing or "
            "too old. Install it with `pip install 'sktime-llm[quantized]'`, or leave "
            "out quantization."
        )
    with without_kernel_warning():
        import bitsandbytes  # noqa: F401
    config = BitsAndBytesConfig(
        load_in_8bit=quantization == "8bit",
        load_in_4bit=quantization == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=False,  # of the scales
        # by default the last module, whatever it is, would keep its precision
        llm_int8_skip_modules=["pooler"],
    )
    # on the CPU, so that weights do not depend on the device where they are used
    return {"quantization_config": config, "device_map": {"": "cpu"}}


def use_own_layers(model: Any) -> None:
    """Replace the layers of bitsandbytes in a model of transformers, in place."""
    from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt

    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Linear4bit | Linear8bitLt):
                setattr(module, name, QuantizedLinear(child))
    model.hf_quantizer.remove_quantization_config(model)
    model.is_loaded_in_8bit = model.is_loaded_in_4bit = False


class QuantizedLinear(nn.Linear):
    """A frozen linear layer, made of one of bitsandbytes'.

    It only rounds weights. A layer of bitsandbytes would also change its own tensors in
    a forward pass, which backbones share, and at 8 bits round its inputs, by what else
    is in their batch.
    """

    def __init__(self, layer: Any) -> None:
        nn.Module.__init__(self)  # a linear layer's own would make weights
        self.in_features, self.out_features = layer.in_features, layer.out_features
        state = getattr(layer.weight, "quant_state", None)  # of 4 bits
        self._block = None if state is None else (state.blocksize, state.quant_type)
        scale = layer.weight.SCB if state is None else state.absmax
        self.weight = nn.Parameter(layer.weight.data, requires_grad=False)
        self.scale = nn.Parameter(scale, requires_grad=False)
        self.bias = layer.bias

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """Return the weights, (out, in)."""
        from bitsandbytes import functional

        scale = self.scale.float()
        if self._block is None:
            return functional.int8_vectorwise_dequant(self.weight, scale).to(dtype)
        size, kind = self._block
        shape = self.out_features, self.in_features
        n_weights = shape[0] * shape[1]
        # with AVX-512, bitsandbytes takes wrong scales for blocks that span two rows
        rows = (n_weights // size, size) if n_weights % size == 0 else (1, n_weights)
        state = functional.QuantState(
            scale,
            torch.Size(rows),
            blocksize=size,
            quant_type=kind,
            dtype=torch.float32,
        )
        return functional.dequantize_4bit(self.weight, state).reshape(shape).to(dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in) to (..., out), in the precision of autocast, if it is on."""
        kind, dtype = inputs.device.type, inputs.dtype
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        product: Tensor = _Product.apply(inputs.to(dtype), self)
        return product


class _Product(torch.autograd.Function):
    """A linear map that dequantizes its weights again for the gradient."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, layer: QuantizedLinear) -> Tensor:
        ctx.layer = layer
        bias = None if layer.bias is None else layer.bias.to(inputs.dtype)
        return F.linear(inputs, layer.dequantized(inputs.dtype), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.layer.dequantized(gradient.dtype), None
