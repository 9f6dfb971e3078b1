"""What is told while a network trains; imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any


class Callback:
    """Base of objects that are told how training goes.

    Subclass it, override the hooks that you need, and give instances to a forecaster's
    parameter `callbacks`. They are called in fit and pretrain, and in an update that
    trains; of several processes only the main one calls them.

    Notes
    -----
    What a hook returns is ignored; `patience` is what stops early. An error in a hook
    stops training and is raised once the best epoch so far is kept, as after Ctrl-C.
    sktime copies callbacks whenever it clones a forecaster, in tuning and evaluation,
    so what a callback learns there is not in the object that you made: let it write to
    a file.

    See Also
    --------
    sktime_llm.callbacks.TensorBoardCallback : Write to TensorBoard.
    sktime_llm.callbacks.MLflowCallback : Write to MLflow.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from sktime_llm import CALFForecaster
    >>> from sktime_llm.callbacks import Callback
    >>> class Losses(Callback):
    ...     def on_fit_start(self, config):
    ...         self.losses = []
    ...     def on_epoch_end(self, record):
    ...         self.losses.append(record["loss"])
    >>> losses = Losses()
    >>> forecaster = CALFForecaster(
    ...     backbone="tiny-random", max_epochs=2, callbacks=[losses]
    ... )
    >>> forecaster = forecaster.fit(load_airline(), fh=[1, 2, 3])
    >>> losses.losses == forecaster.history_["loss"].tolist()
    True
    """

    def on_fit_start(self, config: Mapping[str, Any]) -> None:
        """Hear how training is about to go, before its first step.

        Parameters
        ----------
        config : mapping of str to object
            The settings of training, such as ``"learning_rate"``, and the ``"stage"``:
            ``"fit"``, ``"pretrain"`` or ``"update"``.
        """

    def on_epoch_end(self, record: Mapping[str, Any]) -> None:
        """Hear of an epoch that is complete.

        Parameters
        ----------
        record : mapping of str to float or str
            A row of the forecaster's `history_`; ``"best"`` is 1 if the epoch is the
            best so far.
        """

    def on_fit_end(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Hear that training ended, however it did, also by an error or Ctrl-C.

        Parameters
        ----------
        history : sequence of mappings
            The records of all complete epochs, also of those before a fit was resumed.
        """
