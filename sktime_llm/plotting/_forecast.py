"""Recent history and its forecasts in one picture."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sktime_llm._validation import integer
from sktime_llm.plotting import _panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_forecast(
    y: pd.Series | pd.DataFrame,
    forecasts: pd.DataFrame,
    *,
    title: str = "forecast",
    max_panels: int = 12,
) -> "Figure":
    """Plot forecasts after the end of the data, one panel per series.

    Parameters
    ----------
    y : pandas.Series or pandas.DataFrame
        The data, or their most recent rows, in one of sktime's pandas formats.
    forecasts : pandas.DataFrame
        One row per value: ``id`` (empty unless a panel), ``time``, ``variate``,
        ``forecast``, and for intervals of, say, 80 % ``lower_80`` and ``upper_80``.
    title : str, default "forecast"
        Title of the panels, before the name of the series.
    max_panels : int, default 12
        Maximum number of panels; the first series are shown.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, 1,600 pixels wide; save it with its ``savefig``.

    Raises
    ------
    InputError
        If `max_panels` is invalid.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_llm.plotting import plot_forecast
    >>> index = pd.period_range("2020-01", periods=6, freq="M", name="month")
    >>> y = pd.Series([3.0, 5.0, 4.0, 6.0], index=index[:4], name="sales")
    >>> forecasts = pd.DataFrame({"time": list(index[4:]), "forecast": [5.0, 7.0]})
    >>> figure = plot_forecast(y, forecasts.assign(id="", variate="sales"))
    >>> figure.axes[0].get_ylabel()
    'sales'
    """
    _panels.require_matplotlib()
    integer(1).check("max_panels", max_panels)
    panels = _panels.split_series(y, max_panels)
    figure, grid = _panels.make_axes(len(panels))
    levels = [name[6:] for name in forecasts.columns if name.startswith("lower_")]
    names = [f"{level} % interval" for level in levels]
    shades = np.linspace(0.45, 0.2, len(levels))
    for axes, series in zip(grid, panels, strict=True):
        ahead = _panels.own_rows(forecasts, series)
        # The widest first, below the others.
        for level, name, shade in list(zip(levels, names, shades, strict=True))[::-1]:
            bounds = ahead[f"lower_{level}"], ahead[f"upper_{level}"]
            _panels.draw_interval(axes, series.values, *bounds, shade=shade, label=name)
        style = {"color": _panels.COLORS[0], "label": "forecast", **_panels.EMPHASIZED}
        _panels.draw_forecast(axes, series.values, ahead["forecast"], **style)
        _panels.draw_observed(axes, series.values, ahead.index)
        _panels.label(axes, title, y, series)
    total = _panels.count_series(y)
    note = f"{len(panels)} of {total} series are shown." if total > len(panels) else ""
    _panels.add_legend(figure, grid, ["observed", "forecast", *names], note)
    return figure
