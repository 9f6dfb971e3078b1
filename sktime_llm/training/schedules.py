"""How the learning rate changes while a network trains."""

from torch.optim import Optimizer, lr_scheduler

from sktime_llm.training.config import CYCLE_START, TrainingConfig


def make_schedule(
    config: TrainingConfig, optimizer: Optimizer, n_steps: int
) -> lr_scheduler.LRScheduler:
    """Return the schedule of an optimizer that takes `n_steps` in each epoch."""
    if config.lr_schedule == "cosine":
        epochs, final = config.cosine_epochs, min(1e-8, config.learning_rate)
        return lr_scheduler.CosineAnnealingLR(optimizer, epochs, eta_min=final)
    if config.lr_schedule == "step":
        return lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    if config.lr_schedule == "one-cycle":
        steps, peak = config.max_epochs * n_steps, config.learning_rate
        if steps == 1:  # which torch would make the last one, of next to no rate
            return lr_scheduler.ConstantLR(optimizer, factor=CYCLE_START)
        start = 1 / CYCLE_START
        return lr_scheduler.OneCycleLR(optimizer, peak, steps, div_factor=start)
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)
