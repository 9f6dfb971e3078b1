"""Forecasts of several forecasters in one picture."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sktime_llm.errors import InputError
from sktime_llm.plotting._matplotlib import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colors of Okabe and Ito, which people with any color vision tell apart.
_HIGHLIGHT = "#D55E00"
_COLOURS = ["#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F00"]
_DASHES = ["-", "--", ":", "-."]

_HISTORY_PER_FORECAST = 2
_SHORTEST_HISTORY = 16


def plot_comparison(
    data: Mapping[str, pd.Series | pd.DataFrame],
    forecasts: pd.DataFrame,
    scores: pd.DataFrame | None = None,
    *,
    highlight: str = "calf",
    history_length: int | None = None,
    max_series: int = 3,
) -> "Figure":
    """Plot the forecasts of the last fold against what came, one panel per series.

    Parameters
    ----------
    data : mapping of str to pandas.Series or pandas.DataFrame
        The data of every data set that is plotted, by its name.
    forecasts : pandas.DataFrame
        Forecasts as `compare_forecasters` returns them.
    scores : pandas.DataFrame, optional
        Scores as `compare_forecasters` returns them; the legend then gives the MASE,
        the best first, and names forecasters that failed.
    highlight : str, default "calf"
        The forecaster that is drawn strongest.
    history_length : int, optional
        Time points shown before the forecasts. Default: twice as many as were
        forecast, or 16 if that is more.
    max_series : int, default 3
        Panels for a data set of several variates or series: the first ones.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; save it with its ``savefig``.

    Raises
    ------
    InputError
        If there are no forecasts of the data sets.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sktime_llm.datasets import load_dataset
    >>> from sktime_llm.evaluation import compare_forecasters, default_forecasters
    >>> from sktime_llm.plotting import plot_comparison
    >>> airline = load_dataset("airline")
    >>> forecasters = default_forecasters(12, ["naive", "seasonal-naive"])
    >>> found = compare_forecasters(airline, forecasters)
    >>> figure = plot_comparison({"airline": airline.y}, found.forecasts, found.scores)
    >>> len(figure.axes)
    1
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    panels = list(_panels(data, forecasts, history_length, max_series))
    if not panels:
        raise InputError(
            f"There is nothing to plot: got no forecasts of {list(data)}, expected "
            f"some of at least one of these data sets."
        )
    styles = _styles(list(dict.fromkeys(forecasts["forecaster"])), highlight)
    n_columns = min(2, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = Figure(
        figsize=(7 * n_columns, 2.9 * n_rows), dpi=120, layout="constrained"
    )
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel, styles)
        if panel.is_first:
            _add_legend(axes, panel, scores)
    for axes in grid[len(panels) :]:
        axes.remove()
    if scores is not None:
        note = "Forecasts of the last fold; MASE is the mean over all folds."
        figure.supxlabel(note, fontsize=9, color="0.35")
    return figure


@dataclass(frozen=True)
class _Panel:
    """One series of a data set: its history, and forecasts of the last fold."""

    dataset: str
    title: str
    is_first: bool
    history: pd.Series
    truth: pd.Series
    forecasts: dict[str, pd.Series]


def _panels(
    data: Mapping[str, pd.Series | pd.DataFrame],
    forecasts: pd.DataFrame,
    history_length: int | None,
    max_series: int,
) -> Iterator[_Panel]:
    for dataset, y in data.items():
        rows = forecasts[forecasts["dataset"] == dataset]
        keys = list(dict.fromkeys(zip(rows["id"], rows["variate"], strict=True)))
        for place, (instance, variate) in enumerate(keys[:max_series]):
            part = rows[(rows["id"] == instance) & (rows["variate"] == variate)]
            groups = part.groupby("forecaster", sort=False)
            of_forecaster = {str(name): group for name, group in groups}
            truth = _by_time(next(iter(of_forecaster.values())), "truth")
            series = _select(y, instance, variate)
            history = series.iloc[: len(series) - len(truth)]
            usual = max(_HISTORY_PER_FORECAST * len(truth), _SHORTEST_HISTORY)
            shown = usual if history_length is None else history_length
            details = [text for text in (instance, variate) if len(keys) > 1 and text]
            yield _Panel(
                dataset=dataset,
                title=": ".join([dataset, ", ".join(details)]) if details else dataset,
                is_first=place == 0,
                history=history.iloc[-shown:],
                truth=truth,
                forecasts={
                    name: _by_time(group, "forecast")
                    for name, group in of_forecaster.items()
                },
            )


def _by_time(rows: pd.DataFrame, column: str) -> pd.Series:
    return pd.Series(rows[column].to_numpy(), index=pd.Index(list(rows["time"])))


def _select(y: pd.Series | pd.DataFrame, instance: str, variate: str) -> pd.Series:
    """Pick the series that goes by these names in a table of forecasts."""
    if y.index.nlevels > 1:
        names = [" / ".join(map(str, key[:-1])) for key in y.index]
        y = y[np.array(names) == instance]
        y = y.droplevel(list(range(y.index.nlevels - 1)))
    if isinstance(y, pd.Series):
        return y
    return y.iloc[:, [str(name) for name in y.columns].index(variate)]


def _styles(names: list[str], highlight: str) -> dict[str, dict[str, Any]]:
    """Give every forecaster the same look in all panels."""
    others = [name for name in names if name != highlight]
    styles: dict[str, dict[str, Any]] = {
        name: {
            "color": _COLOURS[i % len(_COLOURS)],
            "linestyle": _DASHES[i // len(_COLOURS) % len(_DASHES)],
            "linewidth": 1.2,
            "alpha": 0.85,
            "zorder": 3,
        }
        for i, name in enumerate(others)
    }
    styles[highlight] = {"color": _HIGHLIGHT, "linewidth": 2.6, "zorder": 5}
    return styles


def _draw(axes: "Axes", panel: _Panel, styles: Mapping[str, Mapping[str, Any]]) -> None:
    times = _positions(panel.history.index)
    ahead = _positions(panel.truth.index)
    last = panel.history.iloc[-1]
    axes.plot(times, panel.history.to_numpy(), color="0.6", linewidth=1.2)
    axes.plot(
        np.append(times[-1:], ahead),
        np.append(last, panel.truth.to_numpy()),
        color="black",
        linewidth=1.6,
        label="truth",
        zorder=4,
    )
    for name, values in panel.forecasts.items():
        style = {**styles[name], "label": name}
        axes.plot(_positions(values.index), values.to_numpy(), **style)
    axes.axvspan(times[-1], ahead[-1], color="0.94", zorder=0)
    axes.set_title(panel.title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.01)
    _format_dates(axes, times)


def _positions(times: pd.Index) -> np.ndarray:
    """Return places on a time axis, periods by their start."""
    if isinstance(times, pd.PeriodIndex):
        times = times.to_timestamp()
    return times.to_numpy()


def _format_dates(axes: "Axes", times: np.ndarray) -> None:
    if times.dtype.kind != "M":
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _add_legend(axes: "Axes", panel: _Panel, scores: pd.DataFrame | None) -> None:
    from matplotlib.lines import Line2D

    handles, names = axes.get_legend_handles_labels()
    line_of = dict(zip(names, handles, strict=True))
    entries = dict(line_of)
    title = None
    if scores is not None:
        title = "MASE" if panel.title == panel.dataset else "MASE of the data set"
        entries = {"truth": line_of["truth"]}
        rows = scores[scores["dataset"] == panel.dataset]
        for name, mase in zip(rows["forecaster"], rows["MASE"], strict=True):
            if name in line_of:
                entries[f"{name}  {mase:.2f}"] = line_of[name]
            else:
                entries[f"{name}  failed"] = Line2D([], [], linestyle="none")
    axes.legend(
        entries.values(),
        entries.keys(),
        title=title,
        alignment="left",
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=8,
        title_fontsize=8,
    )
