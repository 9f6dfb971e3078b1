"""The pictures of the docs: a forecast, and what the records say.

    python benchmarks/pictures.py

The forecast is of a forecaster that is trained for it; the others are drawn from the
recorded results, by ``make report`` too.
"""

import argparse
import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _question_pictures import (
    BETTER,
    GRAY,
    WORSE,
    draw_adapters,
    draw_calf_questions,
    draw_kinds,
    draw_pools,
    draw_texts,
)
from _standing import standing
from _tables import NAMES, percent, read
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

IMAGES = Path(__file__).parent.parent / "docs" / "images"
COLORS = {"CALF": "#0072b2", "BALM-TSF": "#009e73", "LLM-TS Net": "#cc79a7"}
OFFSETS = {"CALF": -0.18, "BALM-TSF": 0.0, "LLM-TS Net": 0.18}  # within a row
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}


def draw_gains(table: pd.DataFrame) -> Figure:
    """Draw by how many percent the error is lower with the language model."""
    table = table[table["task"] != "all"].dropna(subset="gain")
    table = table.sort_values("gain", kind="stable")
    gains, places = table["gain"].to_numpy(), np.arange(len(table))
    figure, axes = plt.subplots(figsize=(10, 1.2 + 0.32 * len(table)), dpi=160)
    colors = np.where(gains < 0, WORSE, BETTER)
    bars = axes.barh(places, gains, color=colors, height=0.7)
    axes.set_yticks(places, _names(table))
    axes.bar_label(bars, list(map(percent, gains)), padding=4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.15, y=0.02)
    axes.set_xlabel("error saved by the pretrained language model, in percent")
    axes.tick_params(left=False)
    return figure


def draw_standing(table: pd.DataFrame) -> Figure:
    """Draw errors with and without the language model, in percent of the best other."""
    table = table[table["error of other"].notna() & ~table["is detail"]]
    tasks = table["data"] + ", " + table["task"] + "  (" + table["metric"] + ")"
    others = table.groupby(tasks, sort=False)["other"].first()
    rows = {task: -place for place, task in enumerate(others.index)}
    ratios = 100 * table[["with", "without"]].div(table["error of other"], axis=0)
    colors, heights = table["method"].map(COLORS), tasks.map(rows)
    heights = heights - table["method"].map(OFFSETS)
    figure, axes = plt.subplots(figsize=(10, 2 + 0.42 * len(rows)), dpi=160)
    left, right = ratios.min(axis=None) - 4, ratios.max(axis=None) + 4
    axes.set(xlim=(left, right), ylim=(-len(rows) + 0.5, 0.5))
    axes.axvspan(left, 100, color="#eef4f8", zorder=0)
    axes.axvline(100, color="black", linewidth=1, zorder=1)
    for height in rows.values():
        axes.axhline(height - 0.5, color="white", linewidth=1.5, zorder=1)
    ends = ratios.min(axis=1), ratios.max(axis=1)
    axes.hlines(heights, *ends, colors, linewidth=2.5, zorder=2)
    hollow = {"facecolors": "white", "edgecolors": colors, "linewidths": 1.7}
    axes.scatter(ratios["with"], heights, 52, colors, zorder=3)
    axes.scatter(ratios["without"], heights, 52, zorder=4, **hollow)
    axes.set_yticks(list(rows.values()), list(rows))
    names = axes.secondary_yaxis("right")
    names.set_yticks(list(rows.values()), others, color=GRAY)
    names.spines["right"].set_visible(False)
    for each in (axes, names):
        each.tick_params(axis="y", length=0)
    axes.set_xlabel("error in percent of the best other's, which is named on the right")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.42 / len(rows) - 0.05)}
    axes.legend(handles=_legend(), ncols=5, frameon=False, columnspacing=1.2, **below)
    axes.set_title("Where the methods stand: left of the line they are better")
    return figure


def draw_ablations(records: pd.DataFrame) -> Figure:
    """Draw the gain over each variant with its 95 % interval, for all data."""
    counts = [len(gain) for gain in records["gain"]]
    ratios = {"height_ratios": counts}
    figure, grid = plt.subplots(
        len(records),
        1,
        figsize=(10, 0.9 * len(records) + 0.3 * sum(counts)),
        dpi=160,
        gridspec_kw=ratios,
        squeeze=False,
        layout="constrained",
    )
    for axes, (_, run) in zip(grid[:, 0], records.iterrows(), strict=True):
        gains = pd.DataFrame.from_dict(run["gain"], orient="index")
        lower, upper = gains["lower"], gains["upper"]
        colors = np.where(lower > 0, BETTER, np.where(upper < 0, WORSE, GRAY))
        places = -np.arange(len(gains))
        axes.hlines(places, lower, upper, colors, linewidth=2.5)
        axes.scatter(gains["gain"], places, 45, colors, zorder=3)
        axes.set_yticks(places, list(gains.index))
        axes.axvline(0, color="black", linewidth=0.8, zorder=0)
        axes.tick_params(left=False)
        axes.margins(y=0.5 / len(gains) + 0.05)
        _cut(axes, gains, places, colors)
        axes.set_title(f"{NAMES[run['method']]} on {run['data']}")
    figure.get_layout_engine().set(h_pad=0.12)
    grid[-1, 0].set_xlabel(
        "by how many percent the whole method's error is lower than with the variant"
    )
    return figure


def _cut(axes: plt.Axes, gains: pd.DataFrame, places: np.ndarray, colors) -> None:
    """End the axis soon after the gains; arrows stand for what goes on beyond it."""
    room = max(60.0, 1.15 * gains["gain"].abs().max())
    left = max(gains["lower"].min() * 1.1, -room)
    right = min(gains["upper"].max() * 1.1, room)
    axes.set_xlim(left, right)
    for marker, edge, beyond in [
        ("<", left, gains["lower"] < left),
        (">", right, gains["upper"] > right),
    ]:
        where = beyond.to_numpy()
        ends = np.full(where.sum(), edge)
        axes.scatter(
            ends, places[where], 60, colors[where], marker=marker, clip_on=False
        )


def draw_scale(records: pd.DataFrame) -> Figure:
    """Draw seconds and memory by the number of series, and a line of proportion."""
    table = records[records["name"] == "CALFForecaster"].sort_values("n_series")
    n_series = table["n_series"].to_numpy()
    figure, both = plt.subplots(1, 2, figsize=(10, 4), dpi=160)
    panels = {
        "seconds": {"arithmetic_seconds": "arithmetic", "beside_seconds": "all else"},
        "MiB": {"peak_mib": "fit and forecast", "panel_mib": "the panel itself"},
    }
    for axes, (unit, columns) in zip(both, panels.items(), strict=True):
        for (column, label), color in zip(
            columns.items(), COLORS.values(), strict=False
        ):
            axes.loglog(n_series, table[column], "o-", color=color, label=label)
            last = table[column].iloc[-1]
            axes.loglog(n_series, last * n_series / n_series[-1], ":", color=GRAY)
        axes.set(xlabel="series of 30 months; dotted: in proportion", title=unit)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.tight_layout()
    return figure


def _legend() -> list[Line2D]:
    """Return a sign for each method, and for what is filled and what is not."""
    ring = {"linestyle": "", "marker": "o", "markeredgewidth": 1.7}
    methods = [
        Line2D([], [], color=c, label=name, **ring) for name, c in COLORS.items()
    ]
    filled = Line2D([], [], color=GRAY, label="with its language model", **ring)
    hollow = Line2D([], [], color=GRAY, markerfacecolor="white", **ring)
    hollow.set_label("without it")
    return [*methods, filled, hollow]


def _names(table: pd.DataFrame) -> list[str]:
    return list(table["method"] + " · " + table["data"] + ", " + table["task"])


def fingerprint(table: pd.DataFrame, draw: Callable) -> str:
    """Return what a picture depends on, other than the version of matplotlib."""
    module = Path(inspect.getfile(draw)).read_text("utf-8")
    shown = table.to_csv(float_format="%.6g") + module
    return hashlib.sha256(shown.encode()).hexdigest()


def fingerprint_of(file: Path) -> str | None:
    """Return the fingerprint that a picture was saved with."""
    if not file.exists():
        return None
    with Image.open(file) as image:
        return image.info.get("Source")


def draw_results(folder: Path) -> None:
    """Draw what is drawn from the records, unless it is there.

    The same table gives the same bytes, and another version of matplotlib changes none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (draw, tabulate) in PICTURES.items():
        table = tabulate()
        source = fingerprint(table, draw)
        if fingerprint_of(folder / name) != source:
            with plt.rc_context(STYLE):
                figure = draw(table)
                metadata = {"Software": None, "Source": source}
                figure.savefig(folder / name, bbox_inches="tight", metadata=metadata)
                plt.close(figure)


PICTURES = {
    "language_model.png": (draw_gains, standing),
    "standing.png": (draw_standing, standing),
    "ablations.png": (draw_ablations, partial(read, "ablations.jsonl")),
    "scale.png": (draw_scale, partial(read, "scale.jsonl")),
    "calf_questions.png": (draw_calf_questions, partial(read, "calf_questions.jsonl")),
    "kinds.png": (draw_kinds, partial(read, "kinds.jsonl")),
    "texts.png": (draw_texts, partial(read, "real_texts.jsonl")),
    "pool_sizes.png": (draw_pools, partial(read, "pool_sizes.jsonl")),
    "lora_amr.png": (draw_adapters, partial(read, "lora_amr_memory.csv")),
}


def draw_forecast(file: Path) -> None:
    """Draw CALF's forecast of the two years after the airline data."""
    from sktime.datasets import load_airline

    from sktime_llm import CALFForecaster
    from sktime_llm.plotting import plot_forecast

    y = load_airline().rename("passengers, thousands").rename_axis("month")
    forecaster = CALFForecaster(random_state=0).fit(y, fh=range(1, 25))
    forecast = forecaster.predict().rename("forecast").rename_axis("time").reset_index()
    rows = forecast.assign(id="", variate=y.name)
    figure = plot_forecast(y, rows, title="airline")
    figure.savefig(file)


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=IMAGES)
    output = parser.parse_args().output
    draw_results(output)
    draw_forecast(output / "forecast.png")


if __name__ == "__main__":
    main()
