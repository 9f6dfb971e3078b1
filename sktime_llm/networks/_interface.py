"""The interface of every forecasting network, which is all that training knows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from sktime_llm.layers.normalization import Normalized, fill_gaps, instance_norm
from sktime_llm.layers.quantiles import QuantileHead, pinball_loss

Features: TypeAlias = dict[str, Tensor]
"""Features of a batch of windows, (batch, ...), by name."""


class ForecastOutput(NamedTuple):
    """Forecast and variance, (batch, prediction_length, channel), and losses.

    Losses are empty without a target. ``"loss"`` is what training minimizes, the others
    are its parts, unweighted, for the records. ``"task"`` and ``"pinball"``, which have
    a weight of 1, are means over observed values. A network may have no variance, and
    no quantiles, (batch, prediction_length, channel, level), which are of `LEVELS`.
    """

    forecast: Tensor
    losses: dict[str, Tensor]
    variance: Tensor | None = None
    quantiles: Tensor | None = None


class ForecastNetwork(nn.Module, ABC):
    """A network that maps the recent past of a window to its future."""

    context_length: int
    prediction_length: int
    quantile_head: QuantileHead | None
    subtract_last: bool = False
    """Whether `_instance_norm` is about the last value instead of the mean."""
    flops: float | None = None
    """Mean FLOPs of a matrix product for one window, once they are counted."""

    @abstractmethod
    def forward(
        self,
        context: Tensor,
        target: Tensor | None = None,
        features: Features | None = None,
    ) -> ForecastOutput:
        """Forecast, and with a target compute the losses.

        Context and target are (batch, time, channel). Features are those of
        `window_features`, which the network computes if they are absent; ``"series"``,
        int64 of shape (batch,), the number of the series of each window, by default 0;
        where values may be missing ``"last_observed"``, (batch, channel), the last
        value observed before each window, NaN if there is none; and after
        `add_covariates` ``"covariates"``, (batch, context_length + prediction_length,
        covariate), NaN where one is unknown.
        """

    def add_covariates(self, past_only: Sequence[bool]) -> None:
        """Take covariates, of which some are not known in the future, in place."""
        raise NotImplementedError(f"{type(self).__name__} takes no covariates")

    def _instance_norm(self, context: Tensor, observed: Tensor | None) -> Normalized:
        return instance_norm(context, observed, subtract_last=self.subtract_last)

    def _with_quantiles(
        self,
        output: ForecastOutput,
        state: Tensor,
        scale: Tensor,
        target: Tensor | None,
    ) -> ForecastOutput:
        """Add quantiles, and with a target their loss, if there is a head for them.

        It reads a state, (batch, channel, width); the scale of the windows is (batch,
        1, channel).
        """
        if self.quantile_head is None:
            return output
        quantiles = self.quantile_head(state, output.forecast, scale)
        if target is None:
            return output._replace(quantiles=quantiles)
        pinball = pinball_loss(quantiles, target)
        losses = {**output.losses, "pinball": pinball}
        losses["loss"] = losses["loss"] + pinball
        return output._replace(losses=losses, quantiles=quantiles)

    def window_features(
        self, context: Tensor, last_observed: Tensor | None = None
    ) -> Features:
        """Return the features of windows, (batch, ...), that training does not change.

        `last_observed` is that of `forward`. Integers may differ in their last
        dimension from call to call; -1 is padding.
        """
        return {}

    def missing_weights(self) -> list[nn.Parameter]:
        """Return the weights that train only where values are missing."""
        return []

    def projection_names(self) -> set[str]:
        """Return the names of the parameters that may train at a rate of their own."""
        return set()

    def training_context(self) -> AbstractContextManager[object]:
        """Return the context of training, which may cache what steps do not change."""
        return nullcontext()


def fill_missing(
    context: Tensor, last_observed: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Fill gaps, and return the mask of observed values, where any may be missing."""
    if last_observed is None:
        return context, None
    return fill_gaps(context, last_observed)


def join_parts(parts: Sequence[Any]) -> Any:
    """Join tensors of several batches, tuples of such tensors, or None."""
    if parts[0] is None:
        return None
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return tuple(torch.cat(each) for each in zip(*parts, strict=True))
