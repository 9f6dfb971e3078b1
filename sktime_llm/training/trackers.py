"""Callbacks for TensorBoard and MLflow, by the trackers of accelerate."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.tracking import GeneralTracker, MLflowTracker, TensorBoardTracker

from sktime_llm.errors import MissingPackageError
from sktime_llm.training.callbacks import Callback
from sktime_llm.training.processes import connect


class _TrackerCallback(Callback):
    """Open a tracker when training begins, and close it when it ends."""

    _tracker: GeneralTracker | None = None

    def _open(self) -> GeneralTracker:
        raise NotImplementedError

    def on_fit_start(self, config: Mapping[str, Any]) -> None:
        """Open the tracker and write the settings of training."""
        connect()  # accelerate's trackers ask which process they are in
        PartialState()
        tracker = self._open()
        if hasattr(tracker, "start"):  # older ones of accelerate start when made
            tracker.start()
        self._tracker = tracker
        tracker.store_init_configuration(dict(config))

    def on_epoch_end(self, record: Mapping[str, Any]) -> None:
        """Write all numbers of the epoch."""
        if self._tracker is not None:
            numbers = {k: v for k, v in record.items() if isinstance(v, int | float)}
            step = int(numbers.pop("epoch"))
            self._tracker.log(numbers, step=step)

    def on_fit_end(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Close the tracker."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.finish()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open tracker out of copies and pickles."""
        return {k: v for k, v in vars(self).items() if k != "_tracker"}


class TensorBoardCallback(_TrackerCallback):
    """Write losses, learning rate and settings of training to TensorBoard.

    Parameters
    ----------
    folder : str or Path
        Where the files are written; show them by ``tensorboard --logdir FOLDER``.
    run_name : str, default="sktime-llm"
        Name of the run, a folder in `folder`. Runs of the same name are drawn as one.

    Raises
    ------
    MissingPackageError
        If TensorBoard is not installed; an ImportError.

    Examples
    --------
    >>> from sktime_llm import CALFForecaster
    >>> from sktime_llm.callbacks import TensorBoardCallback
    >>> forecaster = CALFForecaster(
    ...     callbacks=[TensorBoardCallback("runs")]
    ... )  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path, run_name: str = "sktime-llm") -> None:
        _need("TensorBoardCallback", "tensorboard", "tensorboardX")
        self.folder = folder
        self.run_name = run_name

    def _open(self) -> GeneralTracker:
        return TensorBoardTracker(self.run_name, logging_dir=self.folder)


class MLflowCallback(_TrackerCallback):
    """Write losses, learning rate and settings of training to MLflow.

    MLflow reads from its own environment variables, such as MLFLOW_TRACKING_URI, where
    it writes to. Every training is a run.

    Parameters
    ----------
    experiment_name : str, default="sktime-llm"
        Name of the experiment, which is made if there is none.
    run_name : str, optional
        Name of the runs; MLflow makes one up by default.

    Raises
    ------
    MissingPackageError
        If MLflow is not installed; an ImportError.

    Examples
    --------
    >>> from sktime_llm import CALFForecaster
    >>> from sktime_llm.callbacks import MLflowCallback
    >>> forecaster = CALFForecaster(callbacks=[MLflowCallback()])  # doctest: +SKIP
    """

    def __init__(
        self, experiment_name: str = "sktime-llm", run_name: str | None = None
    ) -> None:
        _need("MLflowCallback", "mlflow")
        self.experiment_name = experiment_name
        self.run_name = run_name

    def _open(self) -> GeneralTracker:
        return MLflowTracker(self.experiment_name, run_name=self.run_name)


def _need(name: str, *packages: str) -> None:
    """Raise unless one of some packages is installed."""
    if not any(find_spec(package) for package in packages):
        raise MissingPackageError(
            f"{name} needs the package {packages[0]}, which is not installed. Run "
            f"`pip install {packages[0]}`."
        )
