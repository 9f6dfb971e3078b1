"""How BALM-TSF's network is built from the parameters of its forecaster."""

from typing import Any

from sktime_llm._validation import BOOLEAN, integer, one_of, real
from sktime_llm.backbone.make import make_backbone
from sktime_llm.forecasting._parameters import RATE, SHARED_CONSTRAINTS, WEIGHT
from sktime_llm.layers.embedding import count_patches
from sktime_llm.networks.balm_tsf import (
    PROMPT_ORDERS,
    BALMTSFNetwork,
    PromptBranch,
    published_prompt_length,
)
from sktime_llm.text.window_text import TEXT_STYLES
from sktime_llm.training.windows import WindowShape

_DEFAULT_PATCH_LENGTH, _DEFAULT_D_FF = 16, 128

CONSTRAINTS = SHARED_CONSTRAINTS | {
    "patch_length": integer(1) | None,
    "patch_stride": integer(1),
    "d_model": integer(1),
    "d_ff": integer(1) | None,
    "dropout": RATE,
    "prompt_length": integer(2) | None,
    "prompt_order": one_of(*PROMPT_ORDERS),
    "text_style": one_of(*TEXT_STYLES),
    "n_lags": integer(0),
    "text_cache_gigabytes": WEIGHT,
    "balance_text": BOOLEAN,
    "task_loss": one_of("mae", "mse", "smooth_l1"),
    "alignment_loss_weight": WEIGHT,
    "init_temperature": real(above=0),
    "subtract_last": BOOLEAN | None,
}


def build_network(forecaster: Any, shape: WindowShape) -> BALMTSFNetwork:
    """Build the untrained network from the parameters of a forecaster."""
    why = f"the context has {shape.context_length} steps"
    patch_length = forecaster._clip(
        "patch_length", _DEFAULT_PATCH_LENGTH, shape.context_length, why
    )
    n_patches = count_patches(
        shape.context_length, patch_length, forecaster.patch_stride
    )
    prompt_length = forecaster.prompt_length or published_prompt_length(
        shape.context_length, shape.prediction_length, n_patches
    )
    backbone = make_backbone(forecaster._backbone_choice())
    text = PromptBranch(
        backbone,
        prompt_length=prompt_length,
        prompt_order=forecaster.prompt_order,
        text_style=forecaster.text_style,
        n_lags=forecaster.n_lags,
        cache_gigabytes=forecaster.text_cache_gigabytes,
    )
    why = f"a backbone of width {backbone.hidden_size} has no more"
    return BALMTSFNetwork(
        text,
        context_length=shape.context_length,
        prediction_length=shape.prediction_length,
        patch_length=patch_length,
        patch_stride=forecaster.patch_stride,
        d_model=forecaster.d_model,
        d_ff=forecaster._clip("d_ff", _DEFAULT_D_FF, backbone.hidden_size, why),
        dropout=forecaster.dropout,
        balance_text=forecaster.balance_text,
        task_loss=forecaster.task_loss,
        alignment_loss_weight=forecaster.alignment_loss_weight,
        init_temperature=forecaster.init_temperature,
        quantiles=forecaster.intervals == "quantiles",
    )
