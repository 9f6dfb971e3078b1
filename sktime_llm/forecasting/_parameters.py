"""What forecasters do with their parameters: check, clip, choose a backbone."""

import numbers
import warnings
from typing import Any

from sktime_llm.backbone.make import BackboneChoice
from sktime_llm.errors import ClippedParameterWarning, InputError


class ParameterMixin:
    """Of forecasters that have the parameters of a backbone."""

    backbone: str
    revision: str | None
    n_backbone_layers: int | None
    backbone_mode: str
    random_state: Any

    def _check_X_y(self, *args: Any, **kwargs: Any) -> Any:
        """Check what is read only after a pretrain or in an update; then as sktime.

        sktime calls this first in fit, pretrain and update, before any training.
        """
        self._check_counts("fine_tune_epochs", "update_epochs", least=0)
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
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"{name}={getattr(self, name)}, expected at least 0 and below 1."
                )

    def _check_counts(self, *names: str, least: int = 1) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name}={value}, expected at least {least}.")

    def _check_weights(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not value >= 0:  # NaN is refused, too
                raise InputError(f"{name}={value}, expected at least 0.")

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
