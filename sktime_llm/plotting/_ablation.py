"""A plot of what a method loses without its parts."""

from textwrap import fill
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from sktime_llm.plotting._panels import COLORS, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_QUIET: dict[str, Any] = {"color": "0.35", "fontsize": 9}


class _Ablation(Protocol):
    def effects(self) -> pd.DataFrame: ...
    def verdict(self) -> str: ...


def plot_ablation(ablation: _Ablation) -> "Figure":
    """Plot the gain of a method over each of its variants, with 95 % intervals.

    Parameters
    ----------
    ablation : Ablation
        What `ablate` returns.

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
    >>> from types import SimpleNamespace
    >>> import pandas as pd
    >>> from sktime_llm.plotting import plot_ablation
    >>> effects = pd.DataFrame(
    ...     {"MASE": 0.9, "gain": 2.0, "lower": -1.0, "upper": 5.0}, ["no text"]
    ... )
    >>> ablation = SimpleNamespace(
    ...     effects=lambda: effects, verdict=lambda: "Cannot tell."
    ... )
    >>> len(plot_ablation(ablation).axes)
    1
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    effects = ablation.effects()
    height = 1.8 + 0.45 * len(effects)
    figure = Figure(figsize=(10, height), dpi=160, layout="constrained")
    axes = figure.subplots()
    places = range(len(effects))
    for place, (_, row) in zip(places, effects.iterrows(), strict=True):
        sure = row["lower"] > 0 or row["upper"] < 0
        color = COLORS[3] if sure else "0.55"
        axes.plot([row["lower"], row["upper"]], [place, place], color=color, lw=2.2)
        axes.plot(row["gain"], place, "o", color=color, ms=7)
        note = f"{row['gain']:+.1f} %  (MASE {row['MASE']:.3f})"
        axes.annotate(
            note,
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            **_QUIET,
        )
    axes.axvline(0, color="black", lw=0.8, zorder=0)
    axes.set_yticks(list(places), [str(name) for name in effects.index], fontsize=10)
    axes.set_ylim(len(effects) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.set_xlabel(
        "by how many percent the whole method's error is lower (95 % interval)",
        fontsize=9,
    )
    axes.set_title(fill(ablation.verdict(), 105), loc="left", fontsize=10, pad=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False, labelsize=9)
    axes.grid(axis="x", color="0.92", zorder=0)
    return figure
