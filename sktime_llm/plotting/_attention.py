"""A plot of what LLM-TS Net looks at."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from sktime_llm.plotting import _panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_NAMES = 24


class _Report(Protocol):
    @property
    def prompts(self) -> pd.DataFrame | None: ...
    @property
    def prompt_shares(self) -> pd.DataFrame | None: ...
    @property
    def text_attention(self) -> pd.DataFrame | None: ...
    @property
    def text_gain(self) -> pd.Series | None: ...
    @property
    def sensor_attention(self) -> pd.DataFrame | None: ...


def plot_attention(report: _Report) -> "Figure":
    """Plot the prompts that windows take, and their attention to texts and sensors.

    Parameters
    ----------
    report : AttentionReport
        What ``LLMTSNetForecaster.inspect_alignment`` returns.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each part that the network has. Prompts: the share of each prompt of
        the pool (column) in each window and variate (row), with a dot on those that are
        taken. Texts and sensors: the attention of each variate (row) to each (column),
        mean over windows, and for sensors over blocks.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sktime_llm import LLMTSNetForecaster
    >>> from sktime_llm.datasets import load_dataset
    >>> from sktime_llm.plotting import plot_attention
    >>> forecaster = LLMTSNetForecaster(
    ...     backbone="tiny-random", language_model_steps=2, max_epochs=1
    ... )
    >>> forecaster = forecaster.fit(load_dataset("us_change").y, fh=[1, 2, 3])
    >>> figure = plot_attention(forecaster.inspect_alignment())
    >>> [axes.get_title(loc="left").split(",")[0] for axes in figure.axes[:3]]
    ['prompts', 'attention to descriptions', 'attention to sensors']
    """
    _panels.require_matplotlib()
    from matplotlib.figure import Figure

    matrices = {
        "descriptions": report.text_attention,
        "sensors": report.sensor_attention,
    }
    there = {name: table for name, table in matrices.items() if table is not None}
    has_pool = report.prompts is not None and report.prompt_shares is not None
    n_panels = has_pool + len(there)
    figure = Figure(figsize=(10, 4.2), dpi=160, layout="constrained")
    grid = iter(figure.subplots(1, max(n_panels, 1), squeeze=False)[0])
    if report.prompts is not None and report.prompt_shares is not None:
        _draw_prompts(next(grid), report.prompts, report.prompt_shares)
    for name, table in there.items():
        axes = next(grid)
        means = table.groupby(level="variate", sort=False).mean()
        note = f"evenly {1 / len(means):.2f}"
        if name == "descriptions" and report.text_gain is not None:
            note = f"which add {report.text_gain.mean():.1%} to states; {note}"
        _draw(axes, means.to_numpy(), f"attention to {name},\n{note}", "viridis")
        _name_ticks(axes, list(means.index))
        axes.set_xlabel(name[:-1], fontsize=8)
    if not n_panels:
        figure.suptitle("The network has no pool, no texts and no sensors to look at.")
    return figure


def _draw_prompts(axes: "Axes", prompts: pd.DataFrame, shares: pd.DataFrame) -> None:
    values = shares.to_numpy()
    taken = prompts.to_numpy()
    used = len(np.unique(taken))
    title = f"prompts,\n{used} of {values.shape[1]} are taken"
    _draw(axes, values, title, "Greys", aspect="auto")
    rows = np.repeat(np.arange(len(taken)), taken.shape[1])
    look: dict[str, Any] = {"s": 12, "color": _panels.COLORS[0], "linewidths": 0}
    axes.scatter(taken.ravel(), rows, **look)
    axes.set_xlabel("prompt of the pool", fontsize=8)
    axes.set_ylabel("window and variate", fontsize=8)


def _draw(
    axes: "Axes", values: np.ndarray, title: str, cmap: str, aspect: str = "equal"
) -> None:
    options: dict[str, Any] = {"interpolation": "nearest", "aspect": aspect}
    image = axes.imshow(values, vmin=0, cmap=cmap, **options)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.7, location="bottom")
    bar.set_label("share", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    axes.set_title(title, fontsize=8, loc="left")
    axes.tick_params(labelsize=7)


def _name_ticks(axes: "Axes", names: list[str]) -> None:
    if len(names) > _MAX_NAMES:
        return
    texts = [str(name)[:20] for name in names]
    axes.set_xticks(range(len(names)), texts, rotation=90)
    axes.set_yticks(range(len(names)), texts)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set_parse_math(False)
