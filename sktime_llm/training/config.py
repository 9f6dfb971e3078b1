"""How a network is trained."""

from dataclasses import dataclass

from torch.optim import Adam, AdamW, Optimizer

from sktime_llm._devices import PRECISIONS
from sktime_llm._validation import (
    VERBOSE,
    check_parameters,
    integer,
    one_of,
    plain,
    real,
)
from sktime_llm.layers.losses import DISTANCES

OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW}
SCHEDULES = ("cosine", "one-cycle", "step", "constant")
NLL = "gaussian_nll"
_MIN_BATCH_SIZE, MAX_BATCH_SIZE = 16, 256
_STEPS_PER_EPOCH = 32

TRAINING_CONSTRAINTS = {
    "learning_rate": real(above=0),
    "projection_learning_rate": real(above=0) | None,
    "max_epochs": integer(1),
    "batch_size": integer(1) | None,
    "max_batch_size": integer(1),
    "patience": integer(1) | None,
    "optimizer": one_of(*OPTIMIZERS),
    "weight_decay": real(0),
    "lr_schedule": one_of(*SCHEDULES),
    "cosine_epochs": integer(1),
    "gradient_clip": real(above=0) | None,
    "steps_per_epoch": integer(1) | None,
    "validation_loss": one_of(*DISTANCES, NLL),
    "precision": one_of(*PRECISIONS),
    "seed": integer(0),
    "verbose": VERBOSE,
}
"""Constraints of the parameters of `TrainingConfig`."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Parameters
    ----------
    learning_rate : float
        At the start of ``"cosine"`` and at the peak of ``"one-cycle"``.
    max_epochs : int
        Maximum number of passes over the training windows.
    projection_learning_rate : float, optional
        Constant learning rate of the parameters that
        `ForecastNetwork.projection_names` names; by default they train as all others.
    batch_size : int, optional
        Windows a step, over all processes together. None is one 32nd of the training
        windows, at least 16 and at most `max_batch_size`.
    max_batch_size : int
        Maximum of a `batch_size` that is not given.
    patience : int, optional
        Epochs without a better validation loss before training stops; None trains for
        `max_epochs`. The best epoch's weights are restored in any case.
    optimizer : {"adam", "adamw"}
    weight_decay : float
    lr_schedule : {"cosine", "one-cycle", "step", "constant"}
        Learning rate over time: ``"cosine"`` falls to 1e-8 over `cosine_epochs`,
        epoch by epoch, and then rises again; ``"one-cycle"`` rises and falls once over
        `max_epochs`, step by step; ``"step"`` is halved every epoch.
    cosine_epochs : int
        Half a period of ``"cosine"``.
    gradient_clip : float, optional
        Maximum norm of the gradient.
    steps_per_epoch : int, optional
        Maximum number of steps of an epoch, which then sees a random part.
    validation_loss : str
        A key of `sktime_llm.layers.losses.DISTANCES`; or ``"gaussian_nll"``, the
        Gaussian negative log-likelihood, for networks that forecast a variance.
    precision : {"auto", "float32", "bfloat16"}
        See `sktime_llm._devices.autocast`.
    seed : int
        Seed of the order of windows and of dropout.
    verbose : int
        0 is silent; 1 shows a progress bar on a terminal or in a notebook when training
        takes more than two seconds; 2 logs every epoch as well.
    """

    learning_rate: float
    max_epochs: int
    projection_learning_rate: float | None = None
    batch_size: int | None = None
    max_batch_size: int = MAX_BATCH_SIZE
    patience: int | None = None
    optimizer: str = "adam"
    weight_decay: float = 0.0
    lr_schedule: str = "cosine"
    cosine_epochs: int = 20
    gradient_clip: float | None = None
    steps_per_epoch: int | None = None
    validation_loss: str = "mse"
    precision: str = "auto"
    seed: int = 0
    verbose: int = 1

    def __post_init__(self) -> None:
        check_parameters(vars(self), TRAINING_CONSTRAINTS)
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain(value))

    def batch_size_for(self, n_windows: int) -> int:
        """Return `batch_size`, or one that makes some 32 steps an epoch."""
        if self.batch_size is not None:
            return self.batch_size
        wanted = max(_MIN_BATCH_SIZE, n_windows // _STEPS_PER_EPOCH)
        return min(self.max_batch_size, wanted)
