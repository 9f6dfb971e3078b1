"""A plot of how well texts and series match."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from sktime_llm.plotting._panels import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SAME = 1e-6
"""Cosines in single precision differ by less than this without meaning anything."""


class _Alignment(Protocol):
    @property
    def similarity(self) -> pd.DataFrame: ...
    @property
    def scales(self) -> pd.DataFrame: ...
    @property
    def temperature(self) -> float: ...


def plot_alignment(alignment: _Alignment) -> "Figure":
    """Plot the similarity of series and texts, and their scales before and after.

    Parameters
    ----------
    alignment : AlignmentReport
        What ``BALMTSFForecaster.inspect_alignment`` gives.

    Returns
    -------
    matplotlib.figure.Figure
        Left, the cosine of every series (row) with every text (column); a bright
        diagonal is what training aims at. Right, the scale of each window's tokens.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from sktime_llm import BALMTSFForecaster
    >>> from sktime_llm.plotting import plot_alignment
    >>> forecaster = BALMTSFForecaster(
    ...     context_length=24, d_ff=16, backbone="tiny-random", max_epochs=1
    ... )
    >>> y = load_airline()
    >>> report = forecaster.fit(y, fh=[1, 2, 3]).inspect_alignment(y)
    >>> len(plot_alignment(report).axes)
    3
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    cosines = alignment.similarity.to_numpy()
    image = left.imshow(cosines, aspect="equal", interpolation="nearest")
    figure.colorbar(image, ax=left, label="cosine")
    # Series whose own text is the most similar one; of k that are alike, one in k is.
    best = cosines >= cosines.max(axis=1, keepdims=True) - _SAME
    own, chance = np.mean(best.diagonal() / best.sum(axis=1)), 1 / len(cosines)
    left.set_title(
        f"own text most similar: {own:.0%} (by chance {chance:.0%}), "
        f"temperature {alignment.temperature:.3f}",
        fontsize="small",
    )
    left.set(xlabel="text of window", ylabel="series of window")
    for name in alignment.scales:
        right.plot(alignment.scales[name].to_numpy(), ".-", label=name, lw=0.8)
    right.set(xlabel="window", ylabel="scale of tokens", yscale="log")
    right.set_title("scales before and after balancing", fontsize="small")
    right.legend(frameon=False)
    return figure
