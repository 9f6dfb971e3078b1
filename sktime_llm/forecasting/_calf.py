"""What the parameters of CALF may be, and those for sktime's tests."""

from sktime_llm._validation import BOOLEAN, integer, one_of
from sktime_llm.backbone.adapters import ADAPTER_CONSTRAINTS
from sktime_llm.forecasting._parameters import RATE, SHARED_CONSTRAINTS, WEIGHT
from sktime_llm.training.config import TRAINING_CONSTRAINTS

_POINTWISE = ("mae", "mse", "smooth_l1")

CONSTRAINTS = SHARED_CONSTRAINTS | {
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
    "keep_textual_branch": BOOLEAN,
    "projection_learning_rate": TRAINING_CONSTRAINTS["projection_learning_rate"],
}

_SMALL = {
    "context_length": 4,
    "prediction_length": 2,
    "d_ff": 8,
    "max_epochs": 1,
    "random_state": 0,
    "verbose": 0,
}
TEST_PARAMS = (
    {
        **_SMALL,
        "backbone": "tiny-random",
        "validation_fraction": 0.0,
        "calibration_fraction": 0.3,
    },
    {
        **_SMALL,
        "backbone": "tiny-random-decoder",
        "lora_rank": 2,
        "feature_loss_weight": 0.0,
        "calibration_fraction": 0.3,
        "steps_per_epoch": 2,
        "fine_tune_epochs": 1,
    },
)
"""Parameters for sktime's tests: of an encoder and of a decoder."""
