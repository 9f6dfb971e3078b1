"""The interface of every forecasting network, which is all that training knows."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn

Features: TypeAlias = dict[str, Tensor]
"""Features of a batch of windows, (batch, ...), by name."""


class ForecastOutput(NamedTuple):
    """Forecast and losses of a network.

    Attributes
    ----------
    forecast : Tensor of shape (batch, prediction_length, channel)
        In the units of the context.
    losses : dict of str to scalar Tensor
        Empty without a target. ``"loss"`` is what training minimizes, the others are
        its parts, unweighted, for the records.
    variance : Tensor of the shape of `forecast`, optional
        In squared units, from a network that knows how sure it is.
    """

    forecast: Tensor
    losses: dict[str, Tensor]
    variance: Tensor | None = None


class ForecastNetwork(nn.Module, ABC):
    """A network that maps the recent past of a window to its future.

    Attributes
    ----------
    context_length : int
        Time steps it sees.
    prediction_length : int
        Time steps it forecasts at once.
    """

    context_length: int
    prediction_length: int

    @abstractmethod
    def forward(
        self,
        context: Tensor,
        target: Tensor | None = None,
        features: Features | None = None,
    ) -> ForecastOutput:
        """Forecast, and with a target compute the losses.

        Without a target only what the forecast needs is run.

        Parameters
        ----------
        context : Tensor of shape (batch, context_length, channel)
            The past.
        target : Tensor of shape (batch, prediction_length, channel), optional
            The future, in training.
        features : dict of str to Tensor, optional
            What `window_features` gave for these windows, which the network computes
            if it is not there; ``"series"``, int64 of shape (batch,), the number of
            the series that each window is from, by default 0; and where values may be
            missing ``"last_observed"``, of shape (batch, channel), the last observed
            value before each window, NaN where nothing is known.

        Returns
        -------
        ForecastOutput
        """

    def window_features(self, context: Tensor) -> Features:
        """Return the features of windows that do not change during training.

        They are `features` of `forward`, of shape (batch, ...). Integers may differ in
        their last dimension from call to call; -1 is their padding.
        """
        return {}

    def projection_names(self) -> set[str]:
        """Return the names of the parameters that may train at a rate of their own."""
        return set()

    def training_context(self) -> AbstractContextManager[object]:
        """Return the context of training, which may cache what steps do not change."""
        return nullcontext()
