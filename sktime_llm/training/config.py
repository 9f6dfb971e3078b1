"""How a network is trained."""

from dataclasses import dataclass, replace

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
NLL = "gaussian_nll"
MAX_BATCH_SIZE = 256
CYCLE_START = 1 / 25  # of the highest rate of one-cycle
UPDATE_SHARE = 1 / 5  # of other learning rates, in updates

TRAINING_CONSTRAINTS = {
    "learning_rate": real(above=0),
    "projection_learning_rate": real(above=0) | None,
    "max_epochs": integer(1),
    "batch_size": integer(1) | None,
    "max_batch_size": integer(1),
    "patience": integer(1) | None,
    "optimizer": one_of(*OPTIMIZERS),
    "weight_decay": real(0),
    "lr_schedule": one_of("cosine", "one-cycle", "step", "constant"),
    "cosine_epochs": integer(1),
    "gradient_clip": real(above=0) | None,
    "ema_decay": real(0, below=1) | None,
    "steps_per_epoch": integer(1) | None,
    "max_validation_windows": integer(1) | None,
    "validation_loss": one_of(*DISTANCES, NLL),
    "precision": one_of(*PRECISIONS),
    "seed": integer(0),
    "verbose": VERBOSE,
}


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; most fields are parameters of the forecasters.

    `projection_learning_rate` is the constant rate of the parameters that
    `ForecastNetwork.projection_names` names, which by default train as all others. A
    step has `batch_size` windows over all processes together, by default one 32nd of
    the training windows, at least 16 and at most `max_batch_size`. The learning rate of
    ``"cosine"`` falls from `learning_rate` to 1e-8 over `cosine_epochs`, epoch by
    epoch, and then rises again; that of ``"one-cycle"`` rises to `learning_rate` and
    falls once over `max_epochs`, step by step; that of ``"step"`` halves every epoch.
    `seed` is that of the order of windows and of dropout.
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
    ema_decay: float | None = None
    steps_per_epoch: int | None = None
    max_validation_windows: int | None = None
    validation_loss: str = "mse"
    precision: str = "auto"
    seed: int = 0
    verbose: int = 1

    def __post_init__(self) -> None:
        check_parameters(vars(self), TRAINING_CONSTRAINTS)
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain(value))

    def of_update(self) -> "TrainingConfig":
        """Return the settings of an update, whose rates are low and constant.

        At the rates of fit a few windows would undo what many have taught. That of
        one-cycle is a peak, so an update takes the rate at which a cycle begins.
        """
        share = CYCLE_START if self.lr_schedule == "one-cycle" else UPDATE_SHARE
        projection = self.projection_learning_rate
        return replace(
            self,
            lr_schedule="constant",
            learning_rate=share * self.learning_rate,
            projection_learning_rate=projection and UPDATE_SHARE * projection,
        )

    def batch_size_for(self, n_windows: int) -> int:
        """Return `batch_size`, or one that makes some 32 steps an epoch."""
        if self.batch_size is not None:
            return self.batch_size
        return min(self.max_batch_size, max(16, n_windows // 32))
