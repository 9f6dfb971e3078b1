"""Balance and contrastive alignment of texts and series."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-5


def balance(text: Tensor, series: Tensor) -> Tensor:
    """Rescale the tokens of a text to the standard deviation of those of a series.

    Both are (batch, token, d); the deviations are over tokens, per sample and feature.
    """
    return text * (_deviation(series) / _deviation(text))


def _deviation(tokens: Tensor) -> Tensor:
    return torch.sqrt(tokens.var(dim=1, correction=0, keepdim=True) + _EPS)


class Alignment(NamedTuple):
    """Embeddings of series and texts, (batch, d), of length 1, and their alignment.

    The similarity is the cosine of every series (row) with every text (column).
    """

    series: Tensor
    text: Tensor
    similarity: Tensor
    loss: Tensor


class ContrastiveAlignment(nn.Module):
    """InfoNCE (arXiv 1807.03748) of series and texts, with a learned temperature.

    Each series has its own text as the positive and the other texts of the batch as
    negatives. The temperature is learned in logarithms, so that it stays positive.
    """

    def __init__(self, init_temperature: float) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(math.log(init_temperature)))

    @property
    def temperature(self) -> Tensor:
        """The current temperature."""
        return self.log_temperature.exp()

    def forward(self, series: Tensor, text: Tensor) -> Alignment:
        """Compare the mean tokens; both are (batch, token, d)."""
        series = F.normalize(series.mean(dim=1), dim=1)
        text = F.normalize(text.mean(dim=1), dim=1)
        similarity = series @ text.T
        own = torch.arange(len(series), device=series.device)
        loss = F.cross_entropy(similarity / self.temperature, own)
        return Alignment(series, text, similarity, loss)
