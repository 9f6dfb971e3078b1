"""An exponential moving average of the weights, which forecasts instead of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """The exponential moving average of the weights that train, step by step.

    Averages are short at first, or the untrained weights would count long: after n
    steps the decay is at most (1 + n) / (10 + n), as in TensorFlow's
    ``ExponentialMovingAverage``.
    """

    def __init__(self, trained: Mapping[str, Tensor], decay: float) -> None:
        self.trained, self.decay, self.n_steps = trained, decay, 0
        self.weights = {name: p.detach().clone() for name, p in trained.items()}

    def update(self) -> None:
        """Take in the weights after a step."""
        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        move = get_ema_multi_avg_fn(decay)
        move([*self.weights.values()], [*self.trained.values()], None)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the place of the weights for a while."""
        own = {name: p.detach().clone() for name, p in self.trained.items()}
        fill_in(self.trained, self.weights)
        try:
            yield
        finally:
            fill_in(self.trained, own)


@torch.no_grad()
def fill_in(trained: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Overwrite the weights that train."""
    for name, parameter in trained.items():
        parameter.copy_(weights[name])
