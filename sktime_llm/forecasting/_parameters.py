"""What forecasters do with their parameters: check, clip, choose a backbone."""

import numbers
import warnings
from typing import Any

from sktime_llm._numbers import check_count, check_number
from sktime_llm.backbone.make import BackboneChoice
from sktime_llm.errors import ClippedParameterWarning, InputError


class ParameterMixin:
    """Of forecasters that have the parameters of a backbone."""

    backbone: str
    revision: str | None
    n_backbone_layers: int | None
    backbone_mode: str
    random_state: Any
    get_param_defaults: Any

    def _check_X_y(self, *args: Any, **kwargs: Any) -> Any:
        """Check what is read only after a pretrain or in an update; then as sktime.

        sktime calls this first in fit, pretrain and update, before any training.
        """
        self._check_counts("fine_tune_epochs", "update_epochs", least=0)
        if not isinstance(self.backbone, str):
            raise InputError(
                f"backbone={self.backbone!r}, expected a str: the name of a model on "
                "the Hugging Face Hub, or the path of a folder."
            )
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

    def _check_rates(self, *names: str) -> None:
        for name in names:
            check_number(name, getattr(self, name), least=0, below=1)

    def _check_counts(self, *names: str, least: int = 1) -> None:
        for name in names:
            optional = self.get_param_defaults()[name] is None
            check_count(name, getattr(self, name), least=least, optional=optional)

    def _check_weights(self, *names: str) -> None:
        for name in names:
            check_number(name, getattr(self, name), least=0)

    def _clip(self, name: str, most: int, why: str) -> int:
        """Give a parameter, or the most that there can be, with a warning."""
        value = getattr(self, name)
        if value > most:
            warnings.warn(
                f"{name}={value}, but {why}; it is clipped to {most}.",
                ClippedParameterWarning,
                stacklevel=2,
            )
        return min(value, most)
