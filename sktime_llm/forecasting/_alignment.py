"""What BALM-TSF makes of windows: texts, embeddings and how well they match."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sktime_llm.forecasting._predicting import Contexts
from sktime_llm.networks.balm_tsf import BALMTSFNetwork


@dataclass(frozen=True)
class AlignmentReport:
    """Both modalities of some windows.

    Every table has one row per window and variate, labeled by series, last time of the
    window, and variate.

    Attributes
    ----------
    texts : pandas.Series of str
        What the language model is told of a window.
    series_embedding, text_embedding : pandas.DataFrame of shape (window, hidden_size)
        Mean tokens of length 1, as the contrastive loss compares them.
    scales : pandas.DataFrame
        Standard deviation over tokens, averaged over features, of ``"series"``,
        ``"text"``, and ``"balanced text"``.
    similarity : pandas.DataFrame of shape (window, window)
        Cosine of every series (row) with every text (column).
    temperature : float
        By which the contrastive loss divides similarities.
    """

    texts: pd.Series
    series_embedding: pd.DataFrame
    text_embedding: pd.DataFrame
    scales: pd.DataFrame
    similarity: pd.DataFrame
    temperature: float


def report_alignment(
    network: BALMTSFNetwork, contexts: Contexts, labels: pd.MultiIndex
) -> AlignmentReport:
    """Run a network over contexts and label what it gives."""
    with torch.inference_mode():
        seen = network.modalities(contexts.values, contexts.last_observed)
    parts = {
        "series": seen.series,
        "text": seen.text,
        "balanced text": seen.balanced_text,
    }
    aligned = seen.alignment
    return AlignmentReport(
        texts=pd.Series(seen.sentences, index=labels, name="text"),
        series_embedding=_table(aligned.series, labels),
        text_embedding=_table(aligned.text, labels),
        scales=pd.DataFrame(
            {name: _scale(tokens) for name, tokens in parts.items()}, index=labels
        ),
        similarity=_table(aligned.similarity, labels, columns=labels),
        temperature=float(network.alignment.temperature.detach()),
    )


def _table(values: Tensor, index: pd.Index, columns: Any = None) -> pd.DataFrame:
    return pd.DataFrame(values.float().cpu().numpy(), index=index, columns=columns)


def _scale(tokens: Tensor) -> np.ndarray:
    deviation = tokens.float().std(dim=1, correction=0)
    return deviation.mean(dim=1).cpu().numpy()
