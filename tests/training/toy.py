"""A network and data small enough to reason about."""

import numpy as np
import torch
from torch import nn

from sktime_llm.networks._interface import ForecastNetwork, ForecastOutput
from sktime_llm.training.config import TrainingConfig
from sktime_llm.training.windows import Split, WindowShape

SHAPE = WindowShape(context_length=4, prediction_length=2)


class LinearNetwork(ForecastNetwork):
    """A linear map of the context, with a frozen tensor and dropout beside it."""

    flops = 0.0  # no forecast for counting
    context_length, prediction_length = SHAPE.context_length, SHAPE.prediction_length

    def __init__(self, dropout=0.0):
        super().__init__()
        self.linear = nn.Linear(SHAPE.context_length, SHAPE.prediction_length)
        self.dropout = nn.Dropout(dropout)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, context, target=None, features=None):
        out = self.linear(self.dropout(context).transpose(1, 2)).transpose(1, 2)
        if target is None:
            return ForecastOutput(out, {})
        loss = (out - target).square().mean()
        return ForecastOutput(out, {"loss": loss, "task": loss})


def make_network(seed=0, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LinearNetwork(**kwargs)


def split_windows(series, shape, validation_fraction, **options):
    """Windows for training and for validation."""
    split = Split.of(series, shape, validation_fraction)
    return split.windows(series, torch.device("cpu"), **options)


def make_windows(validation_fraction=0.2):
    noise = np.random.default_rng(0).normal(size=(60, 1))
    values = np.sin(np.arange(60) / 3)[:, None] + 0.05 * noise
    return split_windows([values], SHAPE, validation_fraction)


def make_config(**kwargs):
    settings = {"learning_rate": 0.02, "max_epochs": 5, "batch_size": 8, "verbose": 0}
    return TrainingConfig(**{**settings, **kwargs})
