"""The pictures of a comparison and of an alignment."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sktime_llm.datasets._long import long_table
from sktime_llm.errors import InputError
from sktime_llm.plotting import (
    plot_alignment,
    plot_comparison,
    plot_forecast,
    require_matplotlib,
)

pytest.importorskip("matplotlib")
HORIZON = 3


def months(n=30, name="y", start="2000-01"):
    index = pd.period_range(start, periods=n, freq="M", name="date")
    return pd.Series(np.arange(n, dtype=float), index=index, name=name)


def make_comparison(data, **mase):
    """Forecasts of the last steps, off by one more for every forecaster that scored."""
    parts, scores = [], []
    for dataset, y in data.items():
        frame = y.to_frame() if isinstance(y, pd.Series) else y
        groups = frame.groupby(level=0) if frame.index.nlevels > 1 else frame
        truth = groups.tail(HORIZON)
        for place, name in enumerate(mase, 1):
            if mase[name] == mase[name]:
                part = long_table({"truth": truth, "forecast": truth + place})
                parts.append(part.assign(dataset=dataset, forecaster=name))
        table = {"forecaster": list(mase), "MASE": list(mase.values())}
        scores.append(pd.DataFrame(table).assign(dataset=dataset).sort_values("MASE"))
    return SimpleNamespace(
        datasets=[SimpleNamespace(name=name, y=y) for name, y in data.items()],
        scores=pd.concat(scores, ignore_index=True),
        forecasts=pd.concat(parts) if parts else pd.DataFrame({"dataset": []}),
    )


def plot(data, **mase):
    return plot_comparison(make_comparison(data, **mase))


def test_intervals_of_the_best_are_drawn():
    comparison = make_comparison({"data": months()}, calf=1.0, naive=2.0)
    forecasts = comparison.forecasts
    for level, width in (("80", 1.0), ("95", 2.0)):
        forecasts[f"lower_{level}"] = forecasts["forecast"] - width
        forecasts[f"upper_{level}"] = forecasts["forecast"] + width
    (axes,) = plot_comparison(comparison, highlight=["naive"]).axes
    bands = {c.get_label(): c.get_paths()[0].vertices for c in axes.collections}
    assert list(bands) == ["calf, 95 %", "calf, 80 %"]
    heights = [v[:, 1].max() for v in bands.values()]
    assert heights[0] - heights[1] == pytest.approx(1.0)
    forecasts.loc[forecasts["forecaster"] == "calf", "lower_80"] = np.nan
    (axes,) = plot_comparison(comparison).axes
    assert [c.get_label() for c in axes.collections] == ["calf, 95 %"]


def make_alignment(similarity, temperature=0.05):
    windows = [f"w{i}" for i in range(len(similarity))]
    scales = {"series": 0.1, "text": 2.0, "balanced text": 0.2}
    return SimpleNamespace(
        similarity=pd.DataFrame(similarity, index=windows, columns=windows),
        scales=pd.DataFrame(
            {n: v * np.arange(1, len(windows) + 1) for n, v in scales.items()},
            index=windows,
        ),
        temperature=temperature,
    )


ALIGNED = [[0.9, 0.1, 0.3, 0.0], [0.2, 0.1, 0.4, 0], [0, 0, 0.5, 0.4], [0, 0, 0, -1.0]]


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def titles_of(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def notes_of(figure):
    return [axes.texts[0].get_text() for axes in figure.axes]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_forecasts_are_attached_to_what_was_observed():
    figure = plot({"sales": months(40)}, naive=1.0, calf=2.0)
    (axes,) = figure.axes
    lines = lines_of(axes)
    assert titles_of(figure) == ["sales"]
    assert lines["observed"].get_ydata().tolist() == list(range(13, 40))
    assert lines["naive"].get_ydata().tolist() == [36.0, 38.0, 39.0, 40.0]
    assert lines["calf"].get_ydata().tolist() == [36.0, 39.0, 40.0, 41.0]
    ends = lines["calf"].get_xdata()[[0, -1]].astype("datetime64[M]").astype(str)
    assert ends.tolist() == ["2003-01", "2003-04"]


def test_forecasts_are_attached_to_the_last_value_before_a_gap():
    y = months(40)
    y.iloc[34:37] = np.nan
    lines = lines_of(plot({"sales": y}, calf=1.0).axes[0])
    assert lines["calf"].get_ydata()[0] == 33.0
    assert np.isnan(lines["observed"].get_ydata()).sum() == 3


def test_ours_and_the_best_stand_out():
    mase = {"naive": 3.0, "calf": 2.0, "theta": 1.0, "auto-ets": np.nan}
    comparison = make_comparison({"sales": months()}, **mase)
    chosen = plot_comparison(comparison, highlight=["naive"])
    assert legend_of(chosen) == ["observed", "naive", "theta", "other forecasters"]
    figure = plot_comparison(comparison)
    lines = lines_of(figure.axes[0])
    quiet = lines["other forecasters"]
    for name in ("calf", "theta"):
        assert lines[name].get_linewidth() > quiet.get_linewidth()
        assert lines[name].get_zorder() > quiet.get_zorder()
    colors = {lines[name].get_color() for name in lines}
    assert len(colors) == len(lines) == 4
    assert legend_of(figure) == ["observed", "calf", "theta", "other forecasters"]
    note = "MASE: theta 1.00 (1 of 3), calf 2.00 (2 of 3), auto-ets failed"
    assert notes_of(figure) == [note]


def test_a_forecaster_has_one_color_in_all_panels():
    data = {"sales": months(), "visits": months()}
    comparison = make_comparison(data, calf=3.0, naive=2.0, theta=1.0)
    is_naive = comparison.scores["forecaster"] == "naive"
    is_visits = comparison.scores["dataset"] == "visits"
    comparison.scores.loc[is_naive & is_visits, "MASE"] = 0.5
    comparison.scores.sort_values(["dataset", "MASE"], inplace=True)
    first, second = map(lines_of, plot_comparison(comparison).axes)
    assert first["calf"].get_color() == second["calf"].get_color()
    assert ("naive" in first, "theta" in first) == (False, True)
    assert ("naive" in second, "theta" in second) == (True, False)
    assert first["theta"].get_color() != second["naive"].get_color()
    # a data set without forecasts has no panel
    comparison.forecasts = comparison.forecasts.query("dataset == 'visits'")
    assert titles_of(plot_comparison(comparison)) == ["visits"]


def test_every_series_has_a_panel_up_to_a_limit():
    many = pd.DataFrame({name: months() for name in "abcde"})
    data = {"single": months(), "many": many}
    figure = plot(data, calf=1.0)
    assert titles_of(figure) == ["single", *(f"many: {name}" for name in "abcde")]
    figure = plot_comparison(make_comparison(data, calf=1.0), max_panels=3)
    assert titles_of(figure) == ["single", "many: a", "many: b"]
    assert "3 of 6 series are shown" in figure.get_supxlabel()
    assert [bool(note) for note in notes_of(figure)] == [True, True, False]


@pytest.mark.parametrize(
    "ids", [["north", "east"], [1, 2], list(pd.date_range("2020", periods=2))]
)
def test_series_of_a_panel_are_told_apart(ids):
    parts = dict(zip(ids, [months(30), months(25) * -1], strict=True))
    y = pd.concat({key: part.to_frame() for key, part in parts.items()})
    figure = plot({"shop": y}, calf=0.5, naive=1.25)
    assert titles_of(figure) == [f"shop: {one}" for one in ids]
    observed = lines_of(figure.axes[1])["observed"].get_ydata()
    assert observed.tolist() == [-float(i) for i in range(25)]


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (pd.RangeIndex(30), "step"),
        (pd.bdate_range("2020-01-01", periods=30, name="day"), "day (business day)"),
        (pd.date_range("2020", periods=30, freq="MS", name="when"), "when (month)"),
        (pd.DatetimeIndex(pd.date_range("2020", periods=30).array), "time (day)"),
        (pd.period_range("1900", periods=30, freq="Y", name="Year"), "Year"),
        (pd.period_range("2020", periods=30, freq="15min"), "time (15 minutes)"),
        (pd.period_range("2020", periods=30, freq="W-MON", name="t"), "t (week)"),
        (pd.period_range("2020", periods=30, freq="h", name="t"), "t (hour)"),
        (pd.date_range("2020", periods=30, freq="SME"), "time"),
        (pd.date_range("2020", periods=30, freq="SMS"), "time"),
        (pd.date_range("2020", periods=30, freq="WOM-1MON"), "time"),
        (pd.date_range("2020", periods=30, freq="bh"), "time"),
        (pd.date_range("2020", periods=30, freq="BQS-FEB"), "time (quarter)"),
        (pd.date_range("2020", periods=30, freq="2BME"), "time (2 months)"),
        (pd.date_range("2020", periods=30, freq="YE"), "time (year)"),
    ],
    ids=str,
)
def test_every_kind_of_time_is_drawn_and_named(index, words, tmp_path):
    y = pd.Series(np.arange(30.0), index=index, name="units sold")
    figure = plot({"sales": y}, naive=1.0)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == (words, "units sold")
    path = tmp_path / "forecasts.png"
    figure.savefig(path)
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert int.from_bytes(header[16:20], "big") == 1600


def test_the_legend_covers_no_data():
    data = {name: months() for name in ("sales", "visits", "calls")}
    figure = plot(data, calf=1.0, naive=2.0)
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert not any(legend.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_long_and_odd_names_fit(tmp_path):
    name = "price in $, not in $\\euro$, " + "x" * 200
    y = pd.concat({name: months(name=name).to_frame()})
    figure = plot({"shop": y}, calf=1.0)
    figure.savefig(tmp_path / "odd.png")
    (axes,) = figure.axes
    assert axes.get_title(loc="left").startswith(
        "shop: price in $, not in $\\euro$, xx"
    )
    for text in (axes.title, axes._left_title, axes.yaxis.label):
        box, page = text.get_window_extent(), figure.bbox
        assert box.x1 <= page.x1
        assert box.y1 <= page.y1


def test_a_forecast_opens_at_the_last_observed_value():
    y = months(30)
    y.iloc[-2] = np.nan
    ahead = pd.period_range("2002-07", periods=2, freq="M")
    table = pd.DataFrame({"time": list(ahead), "forecast": [30.0, 31.0]})
    table = table.assign(id="", variate="y")
    for level, width in (("50", 1), ("90", 2)):
        table[f"lower_{level}"] = table["forecast"] - width
        table[f"upper_{level}"] = table["forecast"] + width
    figure = plot_forecast(y, table, title="sales")
    (axes,) = figure.axes
    lines = lines_of(axes)
    assert lines["forecast"].get_ydata().tolist() == [29.0, 30.0, 31.0]
    assert np.isnan(lines["observed"].get_ydata()).sum() == 1
    assert titles_of(figure) == ["sales"]
    assert axes.get_xlabel() == "date (month)"
    names = ["50 % interval", "90 % interval"]
    assert legend_of(figure) == ["observed", "forecast", *names]
    bands = {band.get_label(): band for band in axes.collections}
    for name, width in zip(names, (1, 2), strict=True):
        heights = {tuple(point) for point in bands[name].get_paths()[0].vertices}
        assert {29.0, 31.0 - width, 31.0 + width} <= {y for _, y in heights}


def test_forecasts_of_a_panel_have_a_panel_each():
    y = pd.concat({key: months(5).to_frame() for key in "abc"})
    table = pd.DataFrame({"id": list("abc"), "variate": "y", "forecast": 7.0})
    table = table.assign(time=pd.Period("2000-06", "M"))
    figure = plot_forecast(y, table, title="shop", max_panels=2)
    assert titles_of(figure) == ["shop: a", "shop: b"]
    assert figure.get_supxlabel() == "2 of 3 series are shown."


def test_alignment_shows_every_cosine_and_scale():
    figure = plot_alignment(make_alignment(ALIGNED))
    left, right, bar = figure.axes
    (image,) = left.get_images()
    np.testing.assert_array_equal(image.get_array(), ALIGNED)
    assert image.get_clim() == (-1.0, 0.9)
    assert left.get_xlabel() == "text of window"
    assert left.get_ylabel() == "series of window"
    assert bar.get_ylabel() == "cosine"
    assert right.get_title() == "scales before and after balancing"
    lines = lines_of(right)
    assert list(lines) == ["series", "text", "balanced text"]
    np.testing.assert_allclose(lines["text"].get_ydata(), [2.0, 4.0, 6.0, 8.0])
    np.testing.assert_allclose(lines["series"].get_ydata(), [0.1, 0.2, 0.3, 0.4])
    assert right.get_yscale() == "log"
    legend = [text.get_text() for text in right.get_legend().get_texts()]
    assert legend == list(lines)


@pytest.mark.parametrize(
    ("similarity", "own", "chance"),
    [
        (ALIGNED, "50%", "25%"),
        ([[0.3]], "100%", "100%"),
        (np.eye(8), "100%", "12%"),
        (np.full((4, 4), 0.3), "25%", "25%"),
        (0.3 + 1e-8 * np.eye(4), "25%", "25%"),  # but for rounding
        (np.kron(np.eye(2), np.ones((2, 2))), "50%", "25%"),
    ],
)
def test_alignment_counts_the_series_whose_own_text_is_nearest(similarity, own, chance):
    title = plot_alignment(make_alignment(similarity, 0.0567)).axes[0].get_title()
    assert title == (
        f"own text most similar: {own} (by chance {chance}), temperature 0.057"
    )


def test_alignment_of_a_fitted_forecaster(tmp_path):
    from sktime_llm import BALMTSFForecaster

    sizes = {"context_length": 8, "prediction_length": 3, "patch_length": 4}
    options = {"backbone": "tiny-random", "max_epochs": 1, "device": "cpu"}
    forecaster = BALMTSFForecaster(**sizes, **options, d_ff=16, verbose=0)
    y = months(40) + np.random.default_rng(0).normal(size=40)
    report = forecaster.fit(y).inspect_alignment(y)
    figure = plot_alignment(report)
    (image,) = figure.axes[0].get_images()
    np.testing.assert_array_equal(image.get_array(), report.similarity)
    path = tmp_path / "alignment.png"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_pictures_have_at_least_one_panel():
    y = months(5)
    table = pd.DataFrame({"id": [""], "variate": "y", "forecast": 7.0})
    table = table.assign(time=pd.Period("2000-06", "M"))
    with pytest.raises(InputError, match="max_panels=0, expected an integer of at"):
        plot_forecast(y, table, max_panels=0)
    with pytest.raises(InputError, match="max_panels=0, expected an integer of at"):
        plot_comparison(make_comparison({"sales": y}, calf=1.0), max_panels=0)


def test_no_forecasts_is_an_error():
    with pytest.raises(InputError, match="nothing to plot"):
        plot({"sales": months()}, calf=np.nan)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: None)
    for draw in (
        require_matplotlib,
        lambda: plot({"sales": months()}, calf=1.0),
        lambda: plot_alignment(make_alignment(ALIGNED)),
    ):
        with pytest.raises(ImportError, match=re.escape("sktime-llm[plots]")):
            draw()


def test_plots_leave_pyplot_alone():
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r});"
        "from test_plotting import *;"
        "plot({'sales': months()}, calf=1.0);"
        "plot_alignment(make_alignment(ALIGNED));"
        "assert 'matplotlib.figure' in sys.modules;"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
