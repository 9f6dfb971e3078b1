"""The figures of the page on the methods: how data pass through each network.

    python docs/figures/methods.py

Writes calf.svg, balm_tsf.svg and llm_ts_net.svg into docs/images.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

IMAGES = Path(__file__).parent.parent / "images"
DATA, TRAINED, FROZEN, ADAPTED = "#f1f3f5", "#ffe3c2", "#d3e4f7", "#e4d5f5"
LEGEND = {
    "trained": TRAINED,
    "frozen": FROZEN,
    "frozen, with trained adapters": ADAPTED,
}
INK, LOSS = "#343a40", "#c0392b"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "sktime-llm",
    "text.color": INK,
}

Side = tuple[float, float]


class Box:
    """A box with a text, and the middles of its four sides."""

    def __init__(
        self, axes: Axes, x: float, y: float, text: str, color: str, width: float = 1.5
    ) -> None:
        height = 0.34 + 0.2 * text.count("\n")
        patch = FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0.04,rounding_size=0.09",
            facecolor=color,
            edgecolor=INK,
            linewidth=0.8,
        )
        axes.add_patch(patch)
        axes.text(x, y, text, ha="center", va="center", linespacing=1.25)
        self.left, self.right = (x - width / 2 - 0.04, y), (x + width / 2 + 0.04, y)
        self.bottom, self.top = (x, y - height / 2 - 0.04), (x, y + height / 2 + 0.04)


def new_axes(width: float, height: float) -> Axes:
    """Return axes of a new figure, in which a unit is an inch."""
    figure = plt.figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return axes


def arrow(axes: Axes, start: Side, end: Side, **options: object) -> None:
    """Draw an arrow from one side of a box to another."""
    style = {"arrowstyle": "-|>", "mutation_scale": 9, "linewidth": 0.9, "color": INK}
    axes.add_patch(
        FancyArrowPatch(start, end, shrinkA=0, shrinkB=1, **(style | options))
    )


def loss(axes: Axes, start: Side, end: Side, text: str, shift: float = 0.08) -> None:
    """Draw a loss between two boxes, one above the other."""
    arrow(axes, start, end, arrowstyle="<|-|>", color=LOSS, linestyle=(0, (3, 2)))
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    axes.text(x + shift, y, text, color=LOSS, va="center", style="italic")


def curve(axes: Axes, x: float, y: float, ahead: bool = False) -> None:
    """Draw a small series above a box, with its forecast or without."""
    steps = np.linspace(0, 1, 60)
    values = np.sin(14 * steps) * 0.1 + 0.16 * steps
    axes.plot(x + 0.6 * (steps - 0.5), y + values, color=INK, linewidth=1.2)
    if ahead:
        further = np.linspace(1, 1.5, 30)
        values = np.sin(14 * further) * 0.1 + 0.16 * further
        axes.plot(x + 0.6 * (further - 0.5), y + values, color="#1f77b4", linewidth=1.6)


def frame(
    axes: Axes, x: float, y: float, width: float, height: float, text: str
) -> None:
    """Draw a dashed frame around what exists in training only."""
    patch = FancyBboxPatch(
        (x, y),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.1",
        facecolor="none",
        edgecolor="#adb5bd",
        linestyle=(0, (5, 3)),
    )
    axes.add_patch(patch)
    axes.text(x + 0.12, y + 0.1, text, color="#868e96", fontsize=8)


def legend(axes: Axes, x: float, y: float, names: tuple[str, ...]) -> None:
    """Say what the colors mean."""
    handles = [
        Patch(facecolor=LEGEND[name], edgecolor=INK, label=name) for name in names
    ]
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(x, y),
        bbox_transform=axes.transData,
        ncols=len(names),
        frameon=False,
        fontsize=8,
    )


def save(axes: Axes, name: str) -> None:
    """Write the figure, the same bytes each time."""
    path = IMAGES / f"{name}.svg"
    axes.figure.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(axes.figure)


def calf() -> None:
    """Draw CALF: a temporal and a textual branch of one language model."""
    axes = new_axes(10.2, 3.9)
    curve(axes, 0.85, 2.72)
    window = Box(axes, 0.85, 2.4, "window", DATA, 1.0)
    encoder = Box(axes, 2.6, 2.4, "one token\nper variate,\nattention", TRAINED, 1.25)
    time = Box(axes, 5.6, 2.4, "language model\n(LoRA)", ADAPTED, 1.7)
    head = Box(axes, 7.75, 2.4, "linear", TRAINED, 0.9)
    forecast = Box(axes, 9.4, 2.4, "forecast", DATA, 1.0)
    curve(axes, 9.25, 2.72, ahead=True)
    words = Box(axes, 1.6, 1.0, "principal word\nembeddings", FROZEN, 1.25)
    cross = Box(axes, 3.75, 1.0, "cross-\nattention", TRAINED, 0.9)
    text = Box(axes, 5.6, 1.0, "language model\n(same weights)", FROZEN, 1.7)
    same_head = Box(axes, 7.75, 1.0, "linear\n(the same)", TRAINED, 0.9)
    forecast_of_text = Box(axes, 9.4, 1.0, "forecast\nof the words", DATA, 1.0)
    Box(axes, 9.4, 3.55, "truth", DATA, 1.0)
    for one, other in [
        (window, encoder), (encoder, time), (time, head), (head, forecast),
        (words, cross), (cross, text), (text, same_head),
        (same_head, forecast_of_text),
    ]:  # fmt: skip
        arrow(axes, one.right, other.left)
    arrow(axes, (cross.top[0], 2.4), cross.top)
    axes.text(cross.top[0] + 0.08, 1.98, "query", fontsize=8, color="#868e96")
    loss(axes, time.bottom, text.top, "features")
    loss(axes, forecast.bottom, forecast_of_text.top, "consistency", -0.95)
    loss(axes, (9.4, 3.34), (9.4, 3.04), "task")
    frame(axes, 0.6, 0.4, 9.45, 1.4, "in training only")
    legend(axes, 0.2, 0.0, ("trained", "frozen", "frozen, with trained adapters"))
    save(axes, "calf")


def balm_tsf() -> None:
    """Draw BALM-TSF: a sentence on each window beside its patches."""
    axes = new_axes(10.2, 3.3)
    curve(axes, 0.85, 2.16)
    window = Box(axes, 0.85, 1.8, "window of\none variate", DATA, 1.0)
    words = Box(
        axes, 2.9, 2.75, "min -1.8, max 2.1,\nmedian 0.1, rising,\nlags 24 48 23",
        DATA, 1.6,
    )  # fmt: skip
    prompts = Box(axes, 2.9, 1.8, "prompts", TRAINED, 1.0)
    model = Box(axes, 5.0, 2.75, "language model", FROZEN, 1.4)
    scaling = Box(axes, 6.95, 2.75, "rescaled to\nthe patches", DATA, 1.2)
    patches = Box(axes, 2.9, 0.85, "patches", DATA, 1.0)
    embedding = Box(axes, 5.0, 0.85, "convolution,\nlinear", TRAINED, 1.4)
    head = Box(axes, 8.3, 1.8, "linear", TRAINED, 0.8)
    forecast = Box(axes, 9.55, 1.8, "forecast", DATA, 0.9)
    curve(axes, 9.4, 2.12, ahead=True)
    fork = {"connectionstyle": "angle,angleA=0,angleB=90,rad=4"}
    trunk = (1.65, 1.8)
    arrow(axes, window.right, trunk, arrowstyle="-")
    for box in (words, patches):
        arrow(axes, trunk, box.left, connectionstyle="angle,angleA=90,angleB=0,rad=4")
    for one, other in [
        (words, model), (model, scaling), (patches, embedding), (head, forecast)
    ]:  # fmt: skip
        arrow(axes, one.right, other.left)
    arrow(axes, prompts.right, model.bottom, **fork)
    arrow(axes, scaling.right, head.top, **fork)
    arrow(axes, embedding.right, head.bottom, **fork)
    loss(axes, scaling.bottom, (6.95, 0.87), "contrastive")
    legend(axes, 0.2, 0.0, ("trained", "frozen"))
    save(axes, "balm_tsf")


def llm_ts_net() -> None:
    """Draw LLM-TS Net: descriptions of series, read once, beside their windows."""
    axes = new_axes(10.2, 3.9)
    curve(axes, 0.85, 3.42)
    series = Box(axes, 0.85, 3.1, "series so far", DATA, 1.1)
    describer = Box(axes, 2.6, 3.1, "describer", DATA, 1.0)
    words = Box(axes, 4.5, 3.1, '"Rises. Repeats\nevery 12 steps."', DATA, 1.5)
    model = Box(
        axes, 6.75, 3.1, "language model,\ntuned before (LoRA-AMR)", FROZEN, 2.0
    )
    curve(axes, 0.85, 1.72)
    window = Box(axes, 0.85, 1.4, "window", DATA, 1.1)
    tokens = Box(axes, 2.6, 1.4, "tokens of a\nfew steps", TRAINED, 1.1)
    pool = Box(axes, 2.6, 0.62, "pool of prompts", TRAINED, 1.3)
    time = Box(axes, 4.5, 1.4, "attention\nover time", TRAINED, 1.1)
    variates = Box(axes, 6.0, 1.4, "attention\nover variates", TRAINED, 1.2)
    fusion = Box(axes, 7.6, 1.4, "attention to\ndescriptions,\ngate", TRAINED, 1.15)
    head = Box(axes, 8.75, 1.4, "linear", TRAINED, 0.6)
    forecast = Box(axes, 9.65, 1.4, "forecast", DATA, 0.75)
    curve(axes, 9.5, 1.72, ahead=True)
    for one, other in [
        (series, describer), (describer, words), (words, model), (window, tokens),
        (tokens, time), (time, variates), (variates, fusion), (fusion, head),
        (head, forecast),
    ]:  # fmt: skip
        arrow(axes, one.right, other.left)
    arrow(axes, (7.6, model.bottom[1]), fusion.top)
    arrow(axes, pool.right, time.bottom,
          connectionstyle="angle,angleA=0,angleB=90,rad=4")  # fmt: skip
    frame(axes, 0.1, 2.4, 7.85, 1.42, "once per series and time, not per window")
    legend(axes, 0.2, 0.0, ("trained", "frozen"))
    save(axes, "llm_ts_net")


def main() -> None:
    """Draw all."""
    with plt.rc_context(STYLE):
        calf()
        balm_tsf()
        llm_ts_net()


if __name__ == "__main__":
    main()
