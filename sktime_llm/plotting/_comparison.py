"""A plot of the forecasts of several forecasters."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from sktime_llm._validation import integer
from sktime_llm.errors import InputError
from sktime_llm.plotting import _panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OTHERS = "other forecasters"
_QUIET = {"color": "0.7", "linewidth": 0.9, "zorder": 3, "label": _OTHERS}


class _Comparison(Protocol):
    @property
    def datasets(self) -> Sequence[Any]: ...
    @property
    def scores(self) -> pd.DataFrame: ...
    @property
    def forecasts(self) -> pd.DataFrame: ...


def plot_comparison(
    comparison: _Comparison,
    *,
    highlight: Sequence[str] = ("calf", "balm-tsf", "llm-ts-net"),
    max_panels: int = 12,
) -> "Figure":
    """Plot forecasts of the last fold and the observed values, one panel per series.

    The highlighted forecasters and the best one of each data set are drawn in color,
    the others in gray; with intervals, if it has any, the best of those in color.

    Parameters
    ----------
    comparison : Comparison
        What `compare_forecasters` returns.
    highlight : sequence of str, default the three methods of this package
        Names of the forecasters to emphasize.
    max_panels : int, default 12
        Maximum number of panels. If there are more series, each data set gets its share
        and shows its first ones; the picture says how many there are.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, 1,600 pixels wide; save it with its ``savefig``.

    Raises
    ------
    InputError
        If all forecasters failed, so that there are no forecasts, or `max_panels` is
        invalid.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sktime_llm.datasets import load_dataset
    >>> from sktime_llm.evaluation import compare_forecasters, default_forecasters
    >>> from sktime_llm.plotting import plot_comparison
    >>> forecasters = default_forecasters(12, ["naive", "seasonal-naive"])
    >>> comparison = compare_forecasters(load_dataset("airline"), forecasters)
    >>> figure = plot_comparison(comparison, highlight=["seasonal-naive"])
    >>> len(figure.axes)
    1
    """
    _panels.require_matplotlib()
    integer(1).check("max_panels", max_panels)
    forecasts, scores = comparison.forecasts, comparison.scores
    known = set(forecasts["dataset"])
    datasets = [one for one in comparison.datasets if one.name in known]
    if not datasets:
        raise InputError(
            "There is nothing to plot: got a comparison without forecasts, expected "
            "one in which a forecaster did not fail."
        )
    totals = [_panels.count_series(one.y) for one in datasets]
    counts = _share(totals, max_panels)
    figure, grid = _panels.make_axes(sum(counts))
    free = iter(grid)
    colors = _choose_colors(scores, highlight)
    for dataset, count in zip(datasets, counts, strict=True):
        own_scores = scores[scores["dataset"] == dataset.name]
        rows = forecasts[forecasts["dataset"] == dataset.name]
        names = _emphasized(own_scores, highlight)
        note = _summarize(own_scores, names)
        for series in _panels.split_series(dataset.y, count):
            axes = next(free)
            _draw(axes, series, rows, {name: colors[name] for name in names})
            _panels.label(axes, dataset.name, dataset.y, series, note)
            note = ""
    about = "Forecasts of the last fold. MASE: mean over all folds; lower is better."
    if counts != totals:
        about += f" {sum(counts)} of {sum(totals)} series are shown."
    levels = [one[6:] for one in forecasts.columns if one.startswith("lower_")]
    shaded = [_interval_name(name, level) for name in colors for level in levels]
    order = ["observed", *colors, *shaded, _OTHERS]
    _panels.add_legend(figure, grid, order, about)
    return figure


def _share(totals: list[int], n: int) -> list[int]:
    """Deal `n` panels out to the data sets in turn; none gets more than it has."""
    turns = sorted((turn, i) for i, total in enumerate(totals) for turn in range(total))
    dealt = [i for _, i in turns[:n]]
    return [dealt.count(i) for i in range(len(totals))]


def _emphasized(scores: pd.DataFrame, highlight: Sequence[str]) -> list[str]:
    """Return the highlighted forecasters and the best one, in the order of scores."""
    names = scores.dropna(subset=["MASE"])["forecaster"].tolist()
    return [name for name in names if name in highlight or name == names[0]]


def _choose_colors(scores: pd.DataFrame, highlight: Sequence[str]) -> dict[str, str]:
    """Give each forecaster that is emphasized anywhere a color of its own."""
    parts = scores.groupby("dataset", sort=False)
    names = [name for _, part in parts for name in _emphasized(part, highlight)]
    ordered = [name for name in highlight if name in names] + names
    return dict(zip(dict.fromkeys(ordered), cycle(_panels.COLORS), strict=False))


def _summarize(scores: pd.DataFrame, names: list[str]) -> str:
    """Say how the emphasized forecasters scored, and which failed."""
    scored = scores.dropna(subset=["MASE"]).set_index("forecaster")["MASE"]
    ranks = scored.rank(method="min").astype(int)
    parts = [f"{n} {scored[n]:.2f} ({ranks[n]} of {len(ranks)})" for n in names]
    failed = scores[scores["MASE"].isna()]["forecaster"]
    return "MASE: " + ", ".join(parts + [f"{name} failed" for name in failed])


def _draw(
    axes: "Axes", series: _panels.Series, rows: pd.DataFrame, colors: Mapping[str, str]
) -> None:
    parts = dict(iter(_panels.own_rows(rows, series).groupby("forecaster", sort=False)))
    of_best = next((name for name in colors if name in parts), None)
    for name, ahead in parts.items():
        history = series.values.iloc[: len(series.values) - len(ahead)]
        if name == of_best:
            _draw_intervals(axes, history, ahead, name, colors[name])
        style = {"color": colors[name], "label": name} if name in colors else _QUIET
        style = {**_panels.EMPHASIZED, **style}
        _panels.draw_forecast(axes, history, ahead["forecast"], **style)
    _panels.draw_observed(axes, series.values, ahead.index)


def _draw_intervals(
    axes: "Axes", history: pd.Series, ahead: pd.DataFrame, name: str, color: str
) -> None:
    """Draw the widest interval first, below the others."""
    levels = [one[6:] for one in ahead.columns if one.startswith("lower_")]
    for i, level in enumerate(sorted(levels, key=float, reverse=True)):
        bounds = ahead[f"lower_{level}"], ahead[f"upper_{level}"]
        if bounds[0].notna().all():
            label = _interval_name(name, level)
            shade = 0.15 + 0.25 * i / len(levels)
            _panels.draw_interval(
                axes, history, *bounds, color=color, shade=shade, label=label
            )


def _interval_name(name: str, level: str) -> str:
    return f"{name}, {level} %"
