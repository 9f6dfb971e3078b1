"""A critical-difference diagram: mean ranks, and what cannot be told apart."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from sktime_llm.plotting import _panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW = 0.28  # inches


class _Ranks(Protocol):
    @property
    def mean_ranks(self) -> pd.Series: ...
    @property
    def groups(self) -> Sequence[Sequence[str]]: ...
    def verdict(self) -> str: ...


def plot_ranks(
    ranks: _Ranks, *, highlight: Sequence[str] = ("calf", "balm-tsf", "llm-ts-net")
) -> "Figure":
    """Plot mean ranks of forecasters; a bar joins those that cannot be told apart.

    On a bar, a dot marks each forecaster that belongs to it.

    Parameters
    ----------
    ranks : Ranks
        What `Comparison.ranks` or `rank_forecasters` returns.
    highlight : sequence of str, default the three methods of this package
        Names of the forecasters to emphasize.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, 1,600 pixels wide; save it with its ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_llm.evaluation import rank_forecasters
    >>> from sktime_llm.plotting import plot_ranks
    >>> ranks = rank_forecasters(pd.DataFrame({"a": range(6), "b": range(1, 7)}))
    >>> [text.get_text() for text in plot_ranks(ranks).axes[0].texts]
    [' a  1.00 ', ' 2.00  b ']
    """
    _panels.require_matplotlib()
    from matplotlib.figure import Figure

    names, places = list(ranks.mean_ranks.index), ranks.mean_ranks.tolist()
    n, n_groups = len(names), len(ranks.groups)
    figure = Figure(figsize=(10, 1.2 + _ROW * (n / 2 + n_groups)), dpi=160)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    own = dict(zip([x for x in highlight if x in names], _panels.COLORS, strict=False))
    for i, (name, place) in enumerate(zip(names, places, strict=True)):
        is_left = i < (n + 1) // 2
        depth = n_groups + 1 + (i if is_left else n - 1 - i)
        side = 0.75 if is_left else n + 0.25
        color = own.get(name, "0.25")
        axes.plot([place, place, side], [0, depth, depth], color=color, linewidth=1.2)
        text = f"{name}  {place:.2f}" if is_left else f"{place:.2f}  {name}"
        look: dict[str, Any] = {"color": color, "fontsize": 10, "parse_math": False}
        toward = "right" if is_left else "left"
        axes.text(side, depth, f" {text} ", ha=toward, va="center", **look)
    spots = dict(zip(names, places, strict=True))
    for i, group in enumerate(ranks.groups, 1):
        bar = [spots[name] for name in group]
        # Dots, as a bar may pass one that does not belong to it.
        axes.plot(bar, [i] * len(bar), "o-", color="black", linewidth=4, markersize=8)
    axes.set(xlim=(0.2, n + 0.8), ylim=(n_groups + n / 2 + 1.2, 0))
    axes.set_xticks(range(1, n + 1))
    axes.xaxis.tick_top()
    axes.spines["top"].set_bounds(1, n)
    axes.spines[["left", "right", "bottom"]].set_visible(False)
    axes.yaxis.set_visible(False)
    axes.set_title("mean rank, 1 is best", fontsize=9, color="0.3")
    figure.supxlabel(
        fill(ranks.verdict(), 130, break_on_hyphens=False), fontsize=8, color="0.3"
    )
    return figure
