"""A plot of how near CALF brings series to words."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from sktime_llm.plotting import _panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KINDS = {"wasserstein": "sliced Wasserstein", "kl": "Gaussian KL"}
_STAGES = {"before": "0.65", "after": _panels.COLORS[0]}
_LOOK: dict[str, Any] = {"fontsize": 9, "loc": "left"}


class _Report(Protocol):
    @property
    def distances(self) -> pd.DataFrame: ...
    @property
    def words(self) -> pd.DataFrame: ...
    @property
    def attention(self) -> pd.DataFrame | None: ...
    @property
    def similarity(self) -> pd.DataFrame | None: ...


def plot_cross_modal(report: _Report, *, n_components: int = 12) -> "Figure":
    """Plot distances of series and words, and what the branches of CALF share.

    Parameters
    ----------
    report : CrossModalReport
        What ``CALFForecaster.inspect_alignment`` returns.
    n_components : int, default 12
        Principal embeddings to show, those that get most attention.

    Returns
    -------
    matplotlib.figure.Figure
        Above, the distances of time tokens from words as multiples of what is found by
        chance, and the cosine of the branches' hidden states by layer. Below, the
        attention of each window, one column each, to principal embeddings, named by
        the words nearest to them. Without a kept textual branch the distances only.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from sktime_llm import CALFForecaster
    >>> from sktime_llm.plotting import plot_cross_modal
    >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
    >>> report = forecaster.fit(load_airline(), fh=[1, 2, 3]).inspect_alignment()
    >>> len(plot_cross_modal(report).axes)
    1
    """
    _panels.require_matplotlib()
    from matplotlib.figure import Figure

    if report.similarity is None or report.attention is None:
        figure = Figure(figsize=(10, 3), dpi=160, layout="constrained")
        _draw_distances(figure.subplots(), report.distances)
        figure.supxlabel(
            "Attention and hidden states need the textual branch: fit with "
            "keep_textual_branch=True.",
            fontsize=8,
            color="0.3",
        )
        return figure
    figure = Figure(figsize=(10, 7), dpi=160, layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[1, 1.2])
    _draw_distances(figure.add_subplot(grid[0, 0]), report.distances)
    _draw_similarity(figure.add_subplot(grid[0, 1]), report.similarity)
    axes = figure.add_subplot(grid[1, :])
    _draw_attention(axes, report.attention, report.words, n_components)
    return figure


def _draw_distances(axes: "Axes", distances: pd.DataFrame) -> None:
    """Draw bars of distances over what is found by chance, a group for each kind."""
    groups = distances.index.get_level_values("words").unique()
    labels = []
    for place, (words, kind) in enumerate((w, k) for w in groups for k in _KINDS):
        labels.append(f"{words}:\n{_KINDS[kind]}".replace(" ", "\n"))
        for shift, (stage, color) in zip((-0.2, 0.2), _STAGES.items(), strict=True):
            row = distances.loc[(stage, words)]
            ratio = row[kind] / row[f"{kind}_chance"]
            name = f"{stage} training" if place == 0 else "_"
            axes.bar(place + shift, ratio, width=0.36, color=color, label=name)
            axes.text(
                place + shift, ratio, f"{row[kind]:.2g}", ha="center", va="bottom"
            )
    for text in axes.texts:
        text.set_fontsize(7)
    axes.axhline(1, color="black", linewidth=1, linestyle=":")
    axes.set_yscale("log")
    axes.set_ylim(0.5, axes.get_ylim()[1] * 20)
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.set_ylabel("multiples of chance", fontsize=8)
    axes.set_title("distance of time tokens from words", **_LOOK)
    axes.legend(frameon=False, fontsize=7, loc="upper right", ncols=2)
    _panels.quiet(axes)


def _draw_similarity(axes: "Axes", similarity: pd.DataFrame) -> None:
    projected = similarity["own_projected"].notna().any()
    suffix = "_projected" if projected else ""
    for stage, color in _STAGES.items():
        rows = similarity.loc[stage]
        own, other = rows[f"own{suffix}"], rows[f"other{suffix}"]
        name = f"{stage} training"
        axes.plot(own, "o-", color=color, label=f"{name}, same window")
        axes.plot(other, "x:", color=color, label=f"{name}, other windows")
    axes.set(ylim=(-1.05, 1.05), xlabel="layer", ylabel="cosine")
    layers = np.unique(similarity.index.get_level_values("layer"))
    axes.set_xticks(layers, layers, fontsize=7)
    what = "hidden states of both branches" + (", projected" if projected else "")
    axes.set_title(what, **_LOOK)
    axes.legend(frameon=False, fontsize=7)
    _panels.quiet(axes)


def _draw_attention(
    axes: "Axes", attention: pd.DataFrame, words: pd.DataFrame, n: int
) -> None:
    ordered = attention.sort_index()
    top = attention.mean().nlargest(n).index
    shares = ordered[top].T.to_numpy()
    options: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "vmin": 0}
    image = axes.imshow(shares, cmap="magma", **options)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("share of attention", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    names = [f"{i}: {_name(words.loc[i])}" for i in top]
    axes.set_yticks(range(len(top)), names, fontsize=7)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_xlabel(f"window and variate, {len(ordered)} by time", fontsize=8)
    share, even = attention[top].to_numpy().sum(axis=1).mean(), 1 / attention.shape[1]
    axes.set_title(
        f"attention to principal embeddings: the first {len(top)} of "
        f"{attention.shape[1]} get {share:.0%}; evenly, each would get {even:.2%}",
        **_LOOK,
    )
    axes.tick_params(labelsize=7)


def _name(words: pd.Series) -> str:
    """Name a component by its nearest words that any font can write."""
    return " ".join([word for word in words if word.isascii()][:4])[:36] or "..."
