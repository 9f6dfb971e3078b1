"""What forecasters do with their parameters: check, clip, choose a backbone."""

import numbers
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from sktime_llm._devices import autocast, resolve_device
from sktime_llm._validation import (
    BOOLEAN,
    RANDOM_STATE,
    STRING,
    Constraint,
    check_parameters,
    instance_of,
    integer,
    one_of,
    real,
)
from sktime_llm.backbone.make import BACKBONE_MODES, BackboneChoice
from sktime_llm.errors import ClippedParameterWarning
from sktime_llm.training.config import TRAINING_CONSTRAINTS

RATE = real(0, below=1)
WEIGHT = real(0)

SHARED_CONSTRAINTS = {
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
    "learning_rate": TRAINING_CONSTRAINTS["learning_rate"],
    "max_epochs": TRAINING_CONSTRAINTS["max_epochs"],
    "batch_size": TRAINING_CONSTRAINTS["batch_size"],
    "patience": TRAINING_CONSTRAINTS["patience"],
    "validation_fraction": RATE | None,
    "intervals": one_of("conformal") | None,
    "calibration_fraction": RATE | None,
    "optimizer": TRAINING_CONSTRAINTS["optimizer"],
    "weight_decay": TRAINING_CONSTRAINTS["weight_decay"],
    "lr_schedule": TRAINING_CONSTRAINTS["lr_schedule"],
    "cosine_epochs": TRAINING_CONSTRAINTS["cosine_epochs"],
    "gradient_clip": TRAINING_CONSTRAINTS["gradient_clip"],
    "steps_per_epoch": TRAINING_CONSTRAINTS["steps_per_epoch"],
    "standardize": BOOLEAN,
    "fine_tune_epochs": integer(0),
    "update_epochs": integer(0),
    "random_state": RANDOM_STATE,
    "device": instance_of(str, torch.device, expected="the name of a device"),
    "precision": TRAINING_CONSTRAINTS["precision"],
    "verbose": TRAINING_CONSTRAINTS["verbose"],
}
"""What the parameters that all forecasters have may be."""


class ParameterMixin:
    """Of forecasters that have the parameters of a backbone."""

    _parameter_constraints: ClassVar[Mapping[str, Constraint]] = SHARED_CONSTRAINTS

    backbone: str
    revision: str | None
    n_backbone_layers: int | None
    backbone_mode: str
    random_state: Any
    device: str
    precision: str
    # of sktime
    get_params: Any
    is_fitted: bool

    def _check_X_y(self, *args: Any, **kwargs: Any) -> Any:
        """Check the parameters; then as sktime.

        sktime calls this first in fit, pretrain and update, before any training.
        """
        check_parameters(self.get_params(deep=False), self._parameter_constraints)
        if not (self.is_fitted or hasattr(self, "pretrained_network_")):
            autocast(self.precision, resolve_device(self.device))  # if they exist here
        return super()._check_X_y(*args, **kwargs)  # type: ignore[misc]

    def _backbone_choice(self) -> BackboneChoice:
        # what is random and frozen must be the same in every process
        seed = self.random_state
        return BackboneChoice(
            name=self.backbone,
            revision=self.revision,
            n_layers=self.n_backbone_layers,
            mode=self.backbone_mode,
            random_seed=int(seed) if isinstance(seed, numbers.Integral) else 0,
        )

    def _clip(self, name: str, default: int, maximum: int, why: str) -> int:
        """Return a parameter, or the maximum if it is larger.

        Only a parameter that a user has set is clipped with a warning.
        """
        value: int = default if getattr(self, name) is None else getattr(self, name)
        if value > maximum and getattr(self, name) is not None:
            warnings.warn(
                f"{name}={value}, but {why}; it is clipped to {maximum}.",
                ClippedParameterWarning,
                stacklevel=2,
            )
        return min(value, maximum)
