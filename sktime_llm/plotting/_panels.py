"""Panels of series over time, with the look that all plots of forecasts share."""

import importlib.util
import math
import re
from collections.abc import Iterator
from itertools import islice
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from sktime_llm.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OBSERVED: dict[str, Any] = {"color": "black", "linewidth": 1.3, "zorder": 4}
EMPHASIZED: dict[str, Any] = {"linewidth": 2.0, "zorder": 5}

# Colors of Okabe and Ito, which people with any color vision tell apart; ours first.
COLORS = ["#D55E00", "#009E73", "#CC79A7", "#0072B2", "#E69F00", "#56B4E9", "#7F7F00"]

_WIDTH, _DPI = 10.0, 160  # inches, dots per inch: 1,600 pixels
_HEIGHTS = {1: 4.3, 2: 2.9, 3: 2.4}
_NOTE_WIDTHS = {1: 140, 2: 72, 3: 48}  # characters
_ENDS = {"Y": "year", "A": "year", "Q": "quarter", "M": "month"}
_UNITS = {
    **{"W": "week", "D": "day", "B": "business day", "H": "hour", "h": "hour"},
    **{"T": "minute", "min": "minute", "S": "second", "s": "second"},
    # whose time is the first or last day, or business day
    **{f"{b}{a}{end}": u for a, u in _ENDS.items() for b in ("", "B") for end in "ES"},
    **{f"{b}{alias}": unit for alias, unit in _ENDS.items() for b in ("", "B")},
}
_MAX_LABEL = 32
_HISTORY_PER_FORECAST = 3
_MIN_HISTORY = 24
_QUIET_TEXT: dict[str, Any] = {"fontsize": 8, "color": "0.3"}


class Series(NamedTuple):
    """One series of a data set, by the names that tables of forecasts use."""

    instance: str
    variate: str
    values: pd.Series


def require_matplotlib() -> None:
    """Raise an error that says what to install if matplotlib is missing.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sktime_llm.plotting import require_matplotlib
    >>> require_matplotlib()
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingPackageError(
            "Plots need matplotlib. Install it with `pip install sktime-llm[plots]`."
        )


def split_series(y: pd.Series | pd.DataFrame, n: int) -> list[Series]:
    """Return the first `n` series."""
    return list(islice(_iterate(y), n))


def _iterate(y: pd.Series | pd.DataFrame) -> Iterator[Series]:
    frame = y.to_frame(y.name or "y") if isinstance(y, pd.Series) else y
    ids = list(range(frame.index.nlevels - 1))
    keys = [frame.index.get_level_values(i).map(str) for i in ids]  # as in tables
    parts = frame.groupby(keys, sort=False) if ids else [((), frame)]
    for key, part in parts:
        for place, variate in enumerate(frame.columns):
            values = part.iloc[:, place].droplevel(ids)
            yield Series(" / ".join(key), str(variate), values)


def own_rows(forecasts: pd.DataFrame, series: Series) -> pd.DataFrame:
    """Return the forecasts of one series, indexed by time."""
    is_own = forecasts["id"] == series.instance
    rows = forecasts[is_own & (forecasts["variate"] == series.variate)]
    return rows.set_axis(pd.Index(list(rows["time"])))


def count_series(y: pd.Series | pd.DataFrame) -> int:
    """Return how many series there are."""
    n_variates = 1 if y.ndim == 1 else y.shape[1]
    ids = list(range(y.index.nlevels - 1))
    return n_variates * (y.groupby(level=ids, observed=True).ngroups if ids else 1)


def make_axes(n: int) -> tuple["Figure", list["Axes"]]:
    """Make a figure of full-page width with `n` panels."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    n_columns = _n_columns(n)
    n_rows = math.ceil(n / n_columns)
    height = _HEIGHTS[n_columns] * n_rows + 0.7
    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout=layout)
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes in grid[n:]:
        axes.remove()
    return figure, list(grid[:n])


def draw_observed(axes: "Axes", observed: pd.Series, ahead: pd.Index) -> None:
    """Draw the end of a series, and shade the time of its forecasts."""
    places, future = positions(observed.index), positions(ahead)
    n_before = int((places < future[0]).sum())
    start = max(0, n_before - max(_HISTORY_PER_FORECAST * len(ahead), _MIN_HISTORY))
    values = observed.to_numpy()
    axes.plot(places[start:], values[start:], label="observed", **_OBSERVED)
    last = places[n_before - 1]
    axes.axvspan(last, future[-1], color="0.95", zorder=0, linewidth=0)


def draw_forecast(
    axes: "Axes", history: pd.Series, forecast: pd.Series, **style: Any
) -> None:
    """Draw a forecast from the last observed value of the history on."""
    axes.plot(*_attach(history, forecast), **style)


def draw_interval(
    axes: "Axes",
    history: pd.Series,
    lower: pd.Series,
    upper: pd.Series,
    *,
    color: str = COLORS[0],
    shade: float,
    label: str,
) -> None:
    """Draw an interval that opens at the last observed value; a shade of 0 is white."""
    from matplotlib.colors import to_rgb

    light = tuple(1 - shade * (1 - part) for part in to_rgb(color))
    places, low = _attach(history, lower)
    high = _attach(history, upper)[1]
    axes.fill_between(places, low, high, color=light, linewidth=0, label=label)


def _attach(history: pd.Series, ahead: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    last = history.dropna().iloc[-1:]
    places = np.concatenate([positions(last.index), positions(ahead.index)])
    return places, np.concatenate([last.to_numpy(), ahead.to_numpy()])


def label(
    axes: "Axes",
    name: str,
    y: pd.Series | pd.DataFrame,
    series: Series,
    note: str | None = None,
) -> None:
    """Label a panel and its axes; the note is a second, quieter line."""
    several_variates = y.ndim > 1 and y.shape[1] > 1
    details = [series.instance, series.variate * several_variates]
    own = ", ".join(filter(None, details))
    title = f"{name}: {own}" if own else name
    width = _NOTE_WIDTHS[_n_columns(len(axes.figure.axes))]
    lines = wrap(note or "", width)
    pad = 7 if note is None else 7 + 11 * max(len(lines), 1)
    plain: dict[str, Any] = {"parse_math": False}  # a $ is a $
    bold: dict[str, Any] = {"fontsize": 10, "fontweight": "bold", **plain}
    axes.set_title(_cut(title, 2 * width // 3), loc="left", pad=pad, **bold)
    above: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points"}
    text = axes.annotate(
        "\n".join(lines), (0, 1), xycoords="axes fraction", **above, **_QUIET_TEXT
    )
    text.set_in_layout(False)
    axes.set_xlabel(label_of_time(series.values.index), fontsize=8, **plain)
    axes.set_ylabel(_cut(series.variate, _MAX_LABEL), fontsize=8, **plain)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.01)
    if positions(series.values.index).dtype.kind == "M":
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=3, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.xaxis.get_offset_text().set(**_QUIET_TEXT)
    else:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def quiet(axes: "Axes") -> None:
    """Remove the frame of a panel, and write small."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", labelsize=7)
    axes.xaxis.label.set_fontsize(8)
    axes.yaxis.label.set_fontsize(8)


def _n_columns(n: int) -> int:
    return 1 if n == 1 else 2 if n <= 6 else 3


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def positions(times: pd.Index) -> np.ndarray:
    """Return places on a time axis, periods by their start."""
    if isinstance(times, pd.PeriodIndex):
        times = times.to_timestamp()
    return times.to_numpy()


def label_of_time(times: pd.Index) -> str:
    """Return the name and the unit of a time axis, such as ``"date (month)"``."""
    alias = getattr(times, "freqstr", None)
    if alias is None and isinstance(times, pd.DatetimeIndex) and len(times) > 2:
        alias = pd.infer_freq(times)
    default = "step" if times.dtype.kind in "iu" else "time"
    name = default if times.name is None else str(times.name)
    count, letters = re.findall(r"^(\d*)([A-Za-z]*)", alias or "")[0]
    unit = _UNITS.get(letters)
    if unit is None or name.lower() == unit:
        return name
    return f"{name} ({count} {unit}s)" if count else f"{name} ({unit})"


def add_legend(
    figure: "Figure", axes: list["Axes"], order: list[str], note: str
) -> None:
    """Put one legend above all panels, each name once, and a note below them."""
    entries: dict[str, Any] = {}
    for one in axes:
        handles, names = one.get_legend_handles_labels()
        entries |= dict(zip(names, handles, strict=True))
    names = [name for name in order if name in entries]
    figure.legend(
        [entries[name] for name in names],
        names,
        loc="outside upper left",
        ncols=min(len(names), 7),
        frameon=False,
        fontsize=9,
    )
    figure.supxlabel(note, **_QUIET_TEXT)
