"""How CALF's network is built from the parameters of its forecaster."""

from collections.abc import Collection
from typing import Any

import torch

from sktime_llm._devices import own_random_numbers
from sktime_llm._validation import BOOLEAN, integer, one_of
from sktime_llm.backbone.adapters import ADAPTER_CONSTRAINTS, AdapterConfig
from sktime_llm.backbone.make import make_backbone
from sktime_llm.backbone.word_embeddings import principal_word_embeddings
from sktime_llm.errors import InputError
from sktime_llm.forecasting._parameters import COLUMNS, RATE, SHARED_CONSTRAINTS, WEIGHT
from sktime_llm.forecasting.saving import device_of
from sktime_llm.networks.calf import CALFNetwork, SourceBranch
from sktime_llm.training.config import TRAINING_CONSTRAINTS
from sktime_llm.training.windows import WindowShape

PUBLISHED_EMBEDDINGS, _PUBLISHED_D_FF, _PUBLISHED_WIDTH = 500, 2048, 768
_POINTWISE = ("mae", "mse", "smooth_l1")

CONSTRAINTS = SHARED_CONSTRAINTS | {
    "past_covariates": COLUMNS,
    "lora_rank": ADAPTER_CONSTRAINTS["lora_rank"],
    "lora_alpha": ADAPTER_CONSTRAINTS["lora_alpha"],
    "lora_dropout": ADAPTER_CONSTRAINTS["lora_dropout"],
    "n_principal_embeddings": integer(1) | None,
    "n_heads": integer(1) | None,
    "d_ff": integer(1) | None,
    "dropout": RATE,
    "task_loss": one_of(*_POINTWISE, "smape"),
    "consistency_loss": one_of(*_POINTWISE, "smape", "mase"),
    "feature_loss": one_of(*_POINTWISE),
    "consistency_loss_weight": WEIGHT,
    "feature_loss_weight": WEIGHT,
    "residual_in_features": BOOLEAN,
    "seasonal_period": integer(1),
    "subtract_last": BOOLEAN,
    "keep_textual_branch": BOOLEAN,
    "projection_learning_rate": TRAINING_CONSTRAINTS["projection_learning_rate"],
}


def build_network(
    forecaster: Any, shape: WindowShape, *, names: Collection[str] | None = None
) -> CALFNetwork:
    """Build the untrained network from the parameters of a forecaster.

    `names`, if given, are those of the tensors that will fill it; the textual branch is
    built only if they include it.
    """
    too_long = forecaster.seasonal_period >= shape.context_length
    if forecaster.consistency_loss == "mase" and too_long:
        raise InputError(
            f"seasonal_period={forecaster.seasonal_period}, expected between 1 and "
            f"{shape.context_length - 1}, below the context length, for "
            "consistency_loss='mase'."
        )
    tuning = AdapterConfig(
        lora_rank=forecaster.lora_rank,
        lora_alpha=forecaster.lora_alpha,
        lora_dropout=forecaster.lora_dropout,
        layer_norms=True,
        position_embeddings=True,
    )
    time_backbone = make_backbone(forecaster._backbone_choice(), tuning)
    width = time_backbone.hidden_size
    n_heads = (
        time_backbone.n_heads if forecaster.n_heads is None else forecaster.n_heads
    )
    if width % n_heads:
        what = f"a divisor of {width}, the width of the backbone"
        raise InputError(f"n_heads={n_heads}, expected {what}.")
    textual = None
    if names is None or any(name.startswith("textual.") for name in names):
        textual = textual_branch(forecaster, n_heads, is_filled=names is not None)
    return CALFNetwork(
        time_backbone,
        textual,
        context_length=shape.context_length,
        prediction_length=shape.prediction_length,
        n_heads=n_heads,
        d_ff=_default_d_ff(width) if forecaster.d_ff is None else forecaster.d_ff,
        dropout=forecaster.dropout,
        task_loss=forecaster.task_loss,
        consistency_loss=forecaster.consistency_loss,
        feature_loss=forecaster.feature_loss,
        consistency_loss_weight=forecaster.consistency_loss_weight,
        feature_loss_weight=forecaster.feature_loss_weight,
        residual_in_features=forecaster.residual_in_features,
        seasonal_period=forecaster.seasonal_period,
        quantiles=forecaster.intervals == "quantiles",
    )


def textual_branch(
    forecaster: Any, n_heads: int, *, is_filled: bool = False
) -> SourceBranch | None:
    """Make the untrained source branch, if a loss needs it.

    One that is to be filled by tensors gets zeros as its principal embeddings.
    """
    if not (forecaster.consistency_loss_weight or forecaster.feature_loss_weight):
        return None
    tuning = AdapterConfig(position_embeddings=True)
    backbone = make_backbone(forecaster._backbone_choice(), tuning)
    most = backbone.hidden_size - 1
    n_embeddings = forecaster._clip(
        "n_principal_embeddings",
        PUBLISHED_EMBEDDINGS,
        most,
        f"a backbone of width {backbone.hidden_size} has only {most}",
    )
    if is_filled:
        principal = torch.zeros(n_embeddings, backbone.hidden_size)
    else:
        principal = principal_word_embeddings(backbone, n_embeddings)
    return SourceBranch(
        backbone,
        principal,
        n_heads,
        compare_features=forecaster.feature_loss_weight != 0,
    )


def restore_textual_branch(forecaster: Any, network: Any) -> None:
    """Start the textual branch of a CALFNetwork anew, if it was dropped."""
    if network.textual is None:
        device = device_of(network)
        with own_random_numbers(forecaster._seed()):
            textual = textual_branch(forecaster, network.n_heads)
        network.textual = None if textual is None else textual.to(device)


def _default_d_ff(width: int) -> int:
    """Keep the published ratio of the feed-forward's width to the backbone's."""
    return round(_PUBLISHED_D_FF * width / _PUBLISHED_WIDTH)
