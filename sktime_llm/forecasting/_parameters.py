"""What the parameters that all forecasters have may be."""

import os

import torch

from sktime_llm._validation import (
    BOOLEAN,
    RANDOM_STATE,
    STRING,
    Constraint,
    instance_of,
    integer,
    one_of,
    real,
)
from sktime_llm.backbone.make import BACKBONE_MODES
from sktime_llm.backbone.quantized import QUANTIZATIONS
from sktime_llm.training.callbacks import Callback
from sktime_llm.training.config import TRAINING_CONSTRAINTS

RATE = real(0, below=1)
WEIGHT = real(0)
_OTHERS = {"projection_learning_rate", "max_batch_size", "validation_loss", "seed"}


def _are_callbacks(value: object) -> bool:
    if not isinstance(value, list | tuple):
        return False
    return all(isinstance(each, Callback) for each in value)


COLUMNS = Constraint(
    "a list or tuple of names of columns", lambda value: isinstance(value, list | tuple)
)
CALLBACKS = Constraint(
    "a list of instances of sktime_llm.callbacks.Callback", _are_callbacks
)

SHARED_CONSTRAINTS = {
    name: constraint
    for name, constraint in TRAINING_CONSTRAINTS.items()
    if name not in _OTHERS
} | {
    "context_length": integer(1) | None,
    "prediction_length": integer(1) | None,
    "backbone": instance_of(
        str,
        expected="a string: the name of a model on the Hugging Face Hub, or the path "
        "of a folder",
    ),
    "backbone_mode": one_of(*BACKBONE_MODES),
    "n_backbone_layers": integer(1) | None,
    "revision": STRING | None,
    "quantization": one_of(*QUANTIZATIONS) | None,
    "validation_fraction": RATE | None,
    "missing": one_of("error", "mask"),
    "intervals": one_of("conformal", "quantiles") | None,
    "calibration_fraction": RATE | None,
    "standardize": BOOLEAN,
    "fine_tune_epochs": integer(0),
    "update_epochs": integer(0),
    "checkpoint": instance_of(
        str, os.PathLike, expected="the path of a folder, or a name on the Hub"
    )
    | None,
    "callbacks": CALLBACKS | None,
    "resume": instance_of(str, os.PathLike, expected="the path of a folder") | None,
    "random_state": RANDOM_STATE,
    "device": instance_of(str, torch.device, expected="the name of a device"),
}
