"""Patches of a series, and whole variates, as tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def count_patches(context_length: int, patch_length: int, patch_stride: int) -> int:
    """Count the patches of a context whose end is padded by one stride."""
    return (context_length - patch_length) // patch_stride + 2


def zero_weights(*shape: int) -> nn.Parameter:
    """Return weights of zero, which do not train until they are asked to."""
    return nn.Parameter(torch.zeros(*shape), requires_grad=False)


class PatchEmbedding(nn.Module):
    """Patches of each series, embedded by a circular convolution and a linear map.

    The end of a series is padded by its last value for one stride, as in PatchTST
    (arXiv 2211.14730). What missing values add is learned only where there are some.
    """

    def __init__(
        self,
        patch_length: int,
        patch_stride: int,
        d_model: int,
        d_token: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.patch_length = patch_length
        self.patch_stride = patch_stride
        self.convolution = nn.Conv1d(
            patch_length, d_model, 3, padding=1, padding_mode="circular", bias=False
        )
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="leaky_relu")
        self.missing = zero_weights(d_model, patch_length)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(d_model, d_token)

    def forward(self, series: Tensor, observed_mask: Tensor | None = None) -> Tensor:
        """(series, time), and the same of bool, to (series, patch, d_token)."""
        patches = self._patches(series)
        features = self.convolution(patches.transpose(1, 2)).transpose(1, 2)
        if observed_mask is not None:
            missing = (~observed_mask).to(series.dtype)
            features = features + F.linear(self._patches(missing), self.missing)
        return self.project(self.dropout(features))

    def _patches(self, series: Tensor) -> Tensor:
        """(series, time) to (series, patch, patch_length)."""
        padded = F.pad(series.unsqueeze(1), (0, self.patch_stride), mode="replicate")
        return padded.squeeze(1).unfold(1, self.patch_length, self.patch_stride)


class VariateEmbedding(nn.Module):
    """Map each variate of a window to a token; an encoder layer mixes the tokens.

    What missing values add to a token is learned only where there are some.
    """

    def __init__(
        self, context_length: int, d_model: int, n_heads: int, d_ff: int, dropout: float
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(context_length, d_model)
        self.missing = zero_weights(d_model, context_length)
        self.encoder = nn.TransformerEncoderLayer(
            d_model, n_heads, d_ff, dropout, activation="relu", batch_first=True
        )

    def forward(
        self,
        context: Tensor,
        observed_mask: Tensor | None = None,
        covariates: Tensor | None = None,
    ) -> Tensor:
        """(batch, time, channel), and a mask of it, to (batch, channel, d_model).

        Tokens of covariates, (batch, covariate, d_model), are put before the others.
        """
        tokens = self.embed(context.transpose(1, 2))
        if observed_mask is not None:
            missing = (~observed_mask).to(context.dtype).transpose(1, 2)
            tokens = tokens + F.linear(missing, self.missing)
        if covariates is not None:
            tokens = torch.cat([covariates, tokens], dim=1)
        return self.encoder(tokens)
