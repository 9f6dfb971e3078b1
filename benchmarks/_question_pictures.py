"""Pictures of the open questions: CALF's parts, kinds of series, texts about series."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _tables import NAMES, percent
from matplotlib.figure import Figure

BETTER, WORSE, GRAY = "#0072b2", "#d55e00", "#777777"
LIGHT = "#56b4e9"  # without the language model
WITHOUT_MODEL = ", no language model"
METHODS = {  # color, filled or not, shift within a row
    "calf": ("#0072b2", True, 0.24),
    "calf-no-llm": ("#0072b2", False, 0.12),
    "llm-ts-net": ("#cc79a7", True, 0.0),
    "llm-ts-net-no-llm": ("#cc79a7", False, -0.12),
    "auto-ets": (GRAY, True, -0.24),
}


def draw_calf_questions(records: pd.DataFrame) -> Figure:
    """Draw what context, principal embeddings and losses of CALF are worth."""
    figure, grid = plt.subplots(
        2, 2, figsize=(10, 7.5), dpi=160, layout="constrained", sharex="col"
    )
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.1)
    table = records.drop_duplicates(["question", "variant"], keep="last")
    of = dict(list(table.groupby("question")))
    _by_context(grid[0, 0], of["context"], "mse")
    grid[0, 0].set_title("Squared error by the context")
    grid[0, 0].legend(frameon=False)
    _by_context(grid[1, 0], of["context"], "cpu_seconds")
    grid[1, 0].set_title("CPU seconds of the same training")
    grid[1, 0].set_ylim(bottom=0)
    grid[1, 0].set_xlabel("hours of context")
    _rows(grid[0, 1], of["losses"])
    grid[0, 1].set_title("Squared error by the losses")
    _rows(grid[1, 1], of["principal embeddings"])
    grid[1, 1].set_title("Squared error by principal embeddings")
    grid[1, 1].set_xlabel("MSE on standardized data")
    return figure


def _by_context(axes: plt.Axes, table: pd.DataFrame, column: str) -> None:
    """Draw a column by the hours of context, with and without the language model."""
    is_without = table["variant"].str.endswith(WITHOUT_MODEL)
    hours = table["variant"].str.split().str[0].astype(int)
    for chosen, color, label in [
        (~is_without, BETTER, "with the language model"),
        (is_without, LIGHT, "without it"),
    ]:
        axes.plot(hours[chosen], table[column][chosen], "o-", color=color, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(hours)), sorted(set(hours)))
    axes.minorticks_off()
    axes.grid(axis="y", alpha=0.3)


def _rows(axes: plt.Axes, table: pd.DataFrame) -> None:
    """Draw the squared error of every variant, a row each."""
    places = -np.arange(len(table))
    axes.scatter(table["mse"], places, 50, BETTER, zorder=3)
    axes.axvline(table["mse"].iloc[0], color=GRAY, linewidth=0.8, linestyle=":")
    axes.set_yticks(places, table["variant"])
    axes.tick_params(left=False)
    axes.grid(axis="x", alpha=0.3)
    axes.margins(x=0.1, y=0.08)


def draw_kinds(records: pd.DataFrame) -> Figure:
    """Draw by how much errors on each kind of series are above the best possible."""
    table = records[records["name"].isin(METHODS)].drop_duplicates(
        ["kind", "name"], keep="last"
    )
    above = 100 * (table["mae"] / table["best_mae"] - 1)
    kinds = list(dict.fromkeys(table["kind"]))
    figure, axes = plt.subplots(figsize=(10, 1 + 0.75 * len(kinds)), dpi=160)
    right = 60.0
    for name, (color, is_filled, shift) in METHODS.items():
        own = table["name"] == name
        heights = np.array([-kinds.index(kind) for kind in table["kind"][own]]) + shift
        face = color if is_filled else "white"
        look = {"facecolors": face, "edgecolors": color, "linewidths": 1.7, "zorder": 3}
        inside = (above[own] <= right).to_numpy()
        label = NAMES.get(name, name)
        axes.scatter(above[own][inside], heights[inside], 60, label=label, **look)
        for height, value in zip(heights[~inside], above[own][~inside], strict=True):
            axes.scatter(right, height, 60, marker=">", **look)
            at = {"xytext": (7, -4), "textcoords": "offset points"}
            axes.annotate(percent(value), (right, height), **at)
    for i in range(1, len(kinds)):
        axes.axhline(0.5 - i, color="#dddddd", linewidth=0.8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(-np.arange(len(kinds)), kinds)
    axes.tick_params(left=False)
    axes.set_xlabel("MAE above that of somebody who knows how series are made, percent")
    axes.legend(
        frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.45, -0.14)
    )
    return figure


def draw_texts(records: pd.DataFrame) -> Figure:
    """Draw the gain of every kind of text over no text, with its 95 % interval."""
    known = records[records["start"] == "known"]
    rows = [
        {"data": f"{run['competition']}, {run['period']}", "text": text, **gain}
        for _, run in known.iterrows()
        for text, gain in run["gain"].items()
    ]
    table = pd.DataFrame(rows)
    gaps = (table["data"] != table["data"].shift()).cumsum() - 1
    places = -(np.arange(len(table)) + 0.8 * gaps.to_numpy())
    lower, upper = table["lower"], table["upper"]
    colors = np.where(lower > 0, BETTER, np.where(upper < 0, WORSE, GRAY))
    figure, axes = plt.subplots(figsize=(10, 1 + 0.3 * -places.min()), dpi=160)
    axes.hlines(places, lower, upper, colors, linewidth=2.5)
    axes.scatter(table["gain"], places, 45, colors, zorder=3)
    axes.axvline(0, color="black", linewidth=0.8, zorder=0)
    axes.set_yticks(places, table["data"] + ": " + table["text"])
    axes.tick_params(left=False)
    axes.set_xlabel("by how many percent the error is lower than without text")
    return figure


def draw_pools(records: pd.DataFrame) -> Figure:
    """Draw errors, and the share of prompts in use, by the size of the pool."""
    by_pool = records.groupby("pool", sort=False)
    pools = list(by_pool.groups)
    places = np.array([pools.index(pool) for pool in records["pool"]])
    figure, (left, right) = plt.subplots(
        1,
        2,
        figsize=(10, 1 + 0.36 * len(pools)),
        dpi=160,
        layout="constrained",
        sharey=True,
    )
    left.scatter(records["mase"], -places, 30, LIGHT, label="a seed")
    mean = by_pool["mase"].mean()
    left.scatter(mean, -np.arange(len(pools)), 60, BETTER, zorder=3, label="mean")
    left.axvline(mean["no pool"], color=GRAY, linewidth=0.8, linestyle=":")
    left.set_yticks(-np.arange(len(pools)), pools)
    left.set_title("MASE on held-out blocks")
    left.legend(frameon=False)
    in_use = 100 * by_pool["share_in_use"].mean()
    right.barh(-np.arange(len(pools)), in_use, 0.6, color=BETTER)
    right.set_xlim(0, 100)
    right.set_title("Percent of the pool in use")
    for axes in (left, right):
        axes.tick_params(left=False)
        axes.grid(axis="x", alpha=0.3)
    return figure


def draw_adapters(records: pd.DataFrame) -> Figure:
    """Draw what adapters keep for the backward pass, beside what they learn."""
    figure, grid = plt.subplots(1, 2, figsize=(10, 4), dpi=160, layout="constrained")
    adapters = records[records["rank"] > 0]
    rates = sorted(adapters["learning_rate"].unique())
    for method, color in (("LoRA", WORSE), ("LoRA-AMR", BETTER)):
        own = adapters[adapters["method"] == method]
        kept = own.drop_duplicates("rank")
        grid[0].plot(kept["rank"], kept["kept_bytes_projections"] / 1e6, "o-", c=color)
        looks = [("-", color), *[("none", "white")] * (len(rates) - 1)]
        for rate, (line, face) in zip(rates, looks, strict=True):
            at = own[own["learning_rate"] == rate]
            look = {"color": color, "markerfacecolor": face, "linestyle": line}
            label = f"{method}, learning rate {rate:g}"
            grid[1].plot(at["rank"], at["loss_after"], marker="o", label=label, **look)
    grid[0].set_ylim(bottom=0)
    grid[0].set_title("MB kept in the adapted projections")
    grid[1].set_title("Loss after 60 steps")
    grid[1].legend(frameon=False)
    for axes in grid:
        axes.set_xscale("log", base=2)
        axes.set_xticks([16, 32, 64], ["16", "32", "64"])
        axes.minorticks_off()
        axes.set_xlabel("rank")
        axes.grid(axis="y", alpha=0.3)
    return figure
