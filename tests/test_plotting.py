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

from sktime_llm.errors import InputError
from sktime_llm.plotting import plot_alignment, plot_comparison, require_matplotlib

HORIZON = 3


def months(n=30, name="y"):
    index = pd.period_range("2000-01", periods=n, freq="M")
    return pd.Series(np.arange(n, dtype=float), index=index, name=name)


def make_forecasts(dataset, series, forecasters=("naive", "calf"), instance=""):
    """Forecasts of the last steps, off by one more for every forecaster."""
    truth = series.iloc[-HORIZON:]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "dataset": dataset,
                    "forecaster": name,
                    "id": instance,
                    "time": truth.index.astype("object"),
                    "variate": series.name,
                    "truth": truth.to_numpy(),
                    "forecast": truth.to_numpy() + 1 + i,
                }
            )
            for i, name in enumerate(forecasters)
        ],
        ignore_index=True,
    )


def make_scores(dataset, **mase):
    table = {"forecaster": list(mase), "MASE": list(mase.values())}
    return pd.DataFrame(table).assign(dataset=dataset)


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


@pytest.fixture(autouse=True)
def _matplotlib():
    pytest.importorskip("matplotlib")


def test_one_panel_shows_history_truth_and_forecasts():
    y = months()
    figure = plot_comparison({"sales": y}, make_forecasts("sales", y))
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "sales"
    history, truth, naive, calf = axes.get_lines()
    assert history.get_ydata().tolist() == list(range(11, 27))
    assert truth.get_ydata().tolist() == [26.0, 27.0, 28.0, 29.0]
    assert naive.get_ydata().tolist() == [28.0, 29.0, 30.0]
    assert calf.get_ydata().tolist() == [29.0, 30.0, 31.0]
    assert (naive.get_label(), calf.get_label()) == ("naive", "calf")
    assert history.get_xdata()[-1] == np.datetime64("2002-03-01")
    assert calf.get_xdata()[-1] == np.datetime64("2002-06-01")


def test_the_highlighted_forecaster_stands_out():
    y = months()
    forecasts = make_forecasts("sales", y, ["naive", "calf", "theta"])
    for highlight in ("calf", "theta"):
        figure = plot_comparison({"sales": y}, forecasts, highlight=highlight)
        lines = lines_of(figure.axes[0])
        others = [line for name, line in lines.items() if name != highlight]
        assert len(others) == 4
        for other in others:
            assert lines[highlight].get_linewidth() > other.get_linewidth()
            assert lines[highlight].get_zorder() > other.get_zorder()
            assert lines[highlight].get_color() != other.get_color()
        assert lines["truth"].get_color() == "black"


def test_many_forecasters_look_different():
    y = months()
    names = [f"forecaster {i}" for i in range(12)]
    figure = plot_comparison({"sales": y}, make_forecasts("sales", y, names))
    lines = lines_of(figure.axes[0])
    looks = {(lines[n].get_color(), lines[n].get_linestyle()) for n in names}
    assert len(looks) == len(names)


def test_legend_gives_the_scores_and_failures_in_their_order():
    y = months()
    scores = make_scores("sales", calf=0.5, naive=1.25, theta=np.nan)
    figure = plot_comparison({"sales": y}, make_forecasts("sales", y), scores)
    legend = figure.axes[0].get_legend()
    assert legend.get_title().get_text() == "MASE"
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["truth", "calf  0.50", "naive  1.25", "theta  failed"]


def test_legend_without_scores():
    y = months()
    figure = plot_comparison({"sales": y}, make_forecasts("sales", y))
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["truth", "naive", "calf"]


def test_one_panel_per_data_set_and_a_few_variates():
    single = months()
    many = pd.DataFrame({name: months() for name in "abcde"})
    forecasts = pd.concat(
        [make_forecasts("single", single)]
        + [make_forecasts("many", many[name]) for name in many]
    )
    figure = plot_comparison({"single": single, "many": many}, forecasts, max_series=2)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["single", "many: a", "many: b"]
    legends = [axes.get_legend() is not None for axes in figure.axes]
    assert legends == [True, True, False]


def test_series_of_a_panel_are_told_apart():
    parts = {"north": months(30), "east": months(25) * -1}
    y = pd.concat({key: part.to_frame() for key, part in parts.items()})
    forecasts = pd.concat(
        [make_forecasts("shop", part, instance=key) for key, part in parts.items()]
    )
    scores = make_scores("shop", calf=0.5, naive=1.25)
    figure = plot_comparison({"shop": y}, forecasts, scores)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["shop: north, y", "shop: east, y"]
    east = figure.axes[1].get_lines()[0].get_ydata()
    assert east.tolist() == [-float(i) for i in range(6, 22)]
    title = figure.axes[0].get_legend().get_title().get_text()
    assert title == "MASE of the data set"


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(30),
        pd.bdate_range("2020-01-01", periods=30),
        pd.period_range("1900", periods=30, freq="Y"),
        pd.period_range("2020-01-01", periods=30, freq="15min"),
    ],
    ids=["integers", "business days", "years", "minutes"],
)
def test_every_kind_of_time_can_be_drawn(index, tmp_path):
    y = pd.Series(np.arange(30.0), index=index, name="y")
    figure = plot_comparison({"sales": y}, make_forecasts("sales", y))
    path = tmp_path / "forecasts.png"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert len(figure.axes[0].get_lines()[0].get_xdata()) == 16


def test_history_length():
    y = months()
    forecasts = make_forecasts("sales", y)
    figure = plot_comparison({"sales": y}, forecasts, history_length=5)
    assert len(figure.axes[0].get_lines()[0].get_xdata()) == 5
    figure = plot_comparison({"sales": y}, forecasts, history_length=500)
    assert len(figure.axes[0].get_lines()[0].get_xdata()) == 27


def test_alignment_shows_every_cosine():
    figure = plot_alignment(make_alignment(ALIGNED))
    left, right, bar = figure.axes
    (image,) = left.get_images()
    np.testing.assert_array_equal(image.get_array(), ALIGNED)
    assert image.get_clim() == (-1.0, 0.9)
    assert (left.get_xlabel(), left.get_ylabel()) == (
        "text of window",
        "series of window",
    )
    assert bar.get_ylabel() == "cosine"
    assert right.get_title() == "scales before and after balancing"


@pytest.mark.parametrize(
    ("similarity", "own", "chance"),
    [(ALIGNED, "50%", "25%"), ([[0.3]], "100%", "100%"), (np.eye(8), "100%", "12%")],
)
def test_alignment_counts_the_series_whose_own_text_is_nearest(similarity, own, chance):
    title = plot_alignment(make_alignment(similarity, 0.0567)).axes[0].get_title()
    assert title == (
        f"own text most similar: {own} (by chance {chance}), temperature 0.057"
    )


def test_alignment_shows_scales_on_a_logarithmic_axis():
    axes = plot_alignment(make_alignment(ALIGNED)).axes[1]
    lines = lines_of(axes)
    assert list(lines) == ["series", "text", "balanced text"]
    np.testing.assert_allclose(lines["text"].get_ydata(), [2.0, 4.0, 6.0, 8.0])
    np.testing.assert_allclose(lines["series"].get_ydata(), [0.1, 0.2, 0.3, 0.4])
    assert axes.get_yscale() == "log"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == list(lines)


def test_alignment_of_a_fitted_forecaster(tmp_path):
    from sktime_llm import BALMTSFForecaster

    forecaster = BALMTSFForecaster(
        context_length=8,
        prediction_length=3,
        patch_length=4,
        patch_stride=2,
        d_ff=16,
        backbone="tiny-random",
        max_epochs=1,
        device="cpu",
        verbose=0,
    )
    y = months(40) + np.random.default_rng(0).normal(size=40)
    report = forecaster.fit(y).inspect_alignment(y)
    figure = plot_alignment(report)
    (image,) = figure.axes[0].get_images()
    np.testing.assert_array_equal(image.get_array(), report.similarity)
    path = tmp_path / "alignment.png"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_no_forecasts_is_an_error():
    y = months()
    with pytest.raises(InputError, match=r"nothing to plot.*\['other'\]"):
        plot_comparison({"other": y}, make_forecasts("sales", y))


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: None)
    with pytest.raises(ImportError, match=re.escape("sktime-llm[plots]")):
        require_matplotlib()
    y = months()
    with pytest.raises(ImportError, match=re.escape("sktime-llm[plots]")):
        plot_comparison({"sales": y}, make_forecasts("sales", y))
    with pytest.raises(ImportError, match=re.escape("sktime-llm[plots]")):
        plot_alignment(make_alignment(ALIGNED))


def test_importing_needs_neither_torch_nor_matplotlib():
    code = (
        "import sys, sktime_llm.plotting;"
        "assert not {'torch', 'sktime', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plots_leave_pyplot_alone():
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r});"
        "from test_plotting import *; y = months();"
        "plot_comparison({'sales': y}, make_forecasts('sales', y));"
        "plot_alignment(make_alignment(ALIGNED));"
        "assert 'matplotlib.figure' in sys.modules;"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
