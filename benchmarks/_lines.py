"""Sentences that say where the methods stand, made of the records."""

import numpy as np
import pandas as pd
from _accuracy import BOTH
from _competitions import (
    ERRORS,
    competition_errors,
    joint_errors,
    published_errors,
)
from _questions import FIVE
from _standing import ONE_PASS, digits_of
from _tables import AVERAGES, WITHOUT, difference, number, read

SHORT = {
    "CALF without language model": "without language model",
    "BALM-TSF without language model": "without language model",
    "LLM-TS Net without text": "without text",
}
HALF_ETS = AVERAGES["four and AutoETS"]
FITTED_MEAN = "CALF without language model and LLM-TS Net"
# Data, task and methods of each line, and what to say of the task.
LINES = {
    "M3, 3,003 series": ("M3", "all", ("LLM-TS Net", "CALF")),
    "M4 weekly": ("M4", "weekly", ("LLM-TS Net", "CALF")),
    "M4 hourly": ("M4", "hourly", ("LLM-TS Net", "CALF")),
    "Tourism, 1,311 series": ("Tourism", "all", ("LLM-TS Net", "CALF")),
    "ETTh1, 96 hours ahead": ("ETTh1", "96 steps", ("CALF", "BALM-TSF")),
    "Exchange, 96 days ahead": ("Exchange", "96 steps", ("BALM-TSF",)),
    "Los-loop, an hour ahead": ("Los-loop", "12 steps", ("LLM-TS Net",)),
    "the same, where level and time of day are known": (
        "Los-loop",
        f"12 steps, {BOTH}",
        ("LLM-TS Net",),
    ),
    "GEFCom2012, a day ahead": ("GEFCom2012", "a day", ("CALF", "LLM-TS Net")),
    "NN5, 56 days ahead": ("NN5", "2 % missing", ("LLM-TS Net", "CALF")),
    "five small data sets": ("five small data sets", "a year", ("LLM-TS Net", "CALF")),
    "the same, by pretrained networks": ("five small data sets", ONE_PASS, ("CALF",)),
}


def more_or_less(percents: float, than: str = "") -> str:
    """Say by how many percent an error is lower or higher than another."""
    text = f"{abs(percents):.1f}"
    if float(text) == 0:
        return f"the same as {than}" if than else "the same"
    changed = f"{text} % {'higher' if percents > 0 else 'lower'}"
    return f"{changed} than {than}" if than else changed


def lines(table: pd.DataFrame) -> str:
    """Say where the methods stand, a line for each task that is recorded."""
    texts = [f"- **The language model**: {changes(table)}"]
    for title, (data, task, methods) in LINES.items():
        found = table[(table["data"] == data) & (table["task"] == task)]
        found = found.set_index("method")
        parts = [_part(found.loc[m], m) for m in methods if m in found.index]
        if parts:
            texts.append(
                f"- **{title}**, {found['metric'].iloc[0]}: {'; '.join(parts)}."
            )
        if data == "M3" and (mean := mean_of_four()):
            texts.append(f"- **The mean of CALF and LLM-TS Net on M3**, sMAPE: {mean}.")
        if task == ONE_PASS and (mean := mean_of_pretrained()):
            name = "The mean of such a CALF and of LLM-TS Net, fitted to each"
            texts.append(f"- **{name}**, MASE: {mean}.")
    if half := half_of_ets():
        texts.append(f"- **The mean of such networks and AutoETS**: {half}.")
    return "\n".join([*texts, f"- **What it costs**: {cost()}"])


def m3_errors() -> pd.Series:
    """Return the sMAPE of our methods on all of M3."""
    found = competition_errors(read("competitions.jsonl"), "M3")
    return found[found["period"] == "all"].set_index("method")["smape"]


def mean_of_four() -> str:
    """Say how good the mean of networks is on M3, beside the best published."""
    errors, others = m3_errors(), published_errors("M3", "all")["smape"]
    ours, best = errors.get("four", np.nan), others.min()
    if np.isnan(ours):
        return ""
    beside = more_or_less(difference(ours, best), f"{others.idxmin()} ({best:.2f})")
    without = number(errors.get(AVERAGES["four"]), 2) or "(not recorded)"
    return (
        f"{ours:.2f} where each forecasts values and deseasonalized values, {beside}, "
        f"without language models {without}"
    )


def mean_of_pretrained() -> str:
    """Say how good a pretrained CALF and a fitted LLM-TS Net are on the five sets."""
    found = read("pretrained_start.jsonl")
    found = found[(found["target"] == FIVE) & found["part"].isna()]
    errors = found.groupby("method")["mase"].mean()
    ours, best = errors.get(FITTED_MEAN, np.nan), errors.get("auto-arima", np.nan)
    if np.isnan(ours) or np.isnan(best):
        return ""
    beside = more_or_less(difference(ours, best), f"AutoARIMA ({best:.3f})")
    without = number(errors.get(f"{FITTED_MEAN} without text"), 3) or "(not recorded)"
    return f"{ours:.3f}, {beside}, without text {without}"


def half_of_ets() -> str:
    """Say how good the mean of networks and AutoETS is, beside the best published."""
    records, parts = read("competitions.jsonl"), []
    m3 = competition_errors(records, "M3")
    one, three = (joint_errors(records, "Tourism", ("M1", "M3"), n) for n in (1, 3))
    for found, name, error, how in (
        (m3, "M3", "smape", ""),
        (one, "Tourism", "mape", "trained on M1 and M3, "),
        (three, "Tourism", "mape", "three seeds of these, "),
    ):
        own = found[found["period"] == "all"].set_index("method")[error]
        ours, others = own.get(HALF_ETS), published_errors(name, "all")[error]
        if ours is not None:
            best = f"{others.idxmin()} ({others.min():.2f})"
            beside = more_or_less(difference(ours, others.min()), best)
            title = ERRORS[error][0]
            parts.append(f"{name}, {title}, {how}{ours:.2f}, {beside}")
    return "; ".join(parts) and f"without language models, {'; '.join(parts)}"


def _part(row: pd.Series, method: str) -> str:
    """Tell one method's errors, and how they compare."""
    digits, without = digits_of(row), WITHOUT[method]
    beside = ""
    if row["other"]:
        name, _, quoted = row["other"].partition(" (from memory")
        error = number(row["error of other"], digits) + ", from memory" * bool(quoted)
        other = f"{name} ({error})"
        beside = f", {more_or_less(row['beside'], other)}"
    if pd.isna(row["with"]):
        text = f"{without} {number(row['without'], digits)}{beside}"
        return f"{text} (with it: not recorded)"
    text = f"{method} {number(row['with'], digits)}{beside}"
    known = number(row["without"], digits) or "(not recorded)"
    return f"{text}, {SHORT[without]} {known}"


def changes(table: pd.DataFrame) -> str:
    """Say what the language model changes in all pairs of runs."""
    gains = table.loc[table["task"] != "all", "gain"].dropna()
    lower, higher = gains[gains > 0], gains[gains < 0]
    few, median = (gains.abs() < 1).sum(), more_or_less(-gains.median())
    return (
        f"in {len(gains)} pairs it makes the error lower {len(lower)} times, by at "
        f"most {lower.max():.1f} %, and higher {len(higher)} times, by at most "
        f"{-higher.min():.1f} %; {few} times it changes less than 1 %, and in the "
        f"median the error is {median}."
    )


def m3_text(table: pd.DataFrame) -> str:
    """Say what LLM-TS Net's descriptions change on M3, and what averages do."""
    found = table[(table["data"] == "M3") & (table["task"] == "all")]
    row = found.set_index("method").loc["LLM-TS Net"]
    ours, without, other = (
        number(row[name], 2) for name in ("with", "without", "error of other")
    )
    four = number(m3_errors().get("four"), 2)
    averages = (
        "; that of the mean of CALF and LLM-TS Net, each on values and on "
        f"deseasonalized values, is {four}"
        if four
        else ""
    )
    return (
        f"{ours} (sMAPE) with LLM-TS Net's descriptions, {without} without them, and "
        f"{other} by {row['other'].title()}, the best method of the competition"
        f"{averages}"
    )


def cost() -> str:
    """Say how much faster BALM-TSF is without its language model."""
    speeds = read("text_branch.jsonl")["speeds"].iloc[-1]
    shipped = speeds["the same, each text read once (shipped)"]
    without = speeds["no language model"]
    train, forecast = (without[k] / shipped[k] for k in ("train", "forecast"))
    return (
        f"without its language model BALM-TSF trains {train:.0f} times and forecasts "
        f"{forecast:.0f} times as fast, on one thread."
    )
