"""Records as tables: read them, select runs that compare, and write Markdown.

Nothing here trains or needs PyTorch. A number that is not recorded is NaN, and an empty
cell in the end.
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NAMES = {
    "calf": "CALF",
    "calf-no-llm": "CALF without language model",
    "calf-random-llm": "CALF with random weights",
    "balm-tsf": "BALM-TSF",
    "balm-tsf-no-llm": "BALM-TSF without language model",
    "balm-tsf-random-llm": "BALM-TSF with random weights",
    "llm-ts-net": "LLM-TS Net",
    "llm-ts-net-no-llm": "LLM-TS Net without text",
    "calf-no-llm with averaged weights": (
        "CALF without language model, averaged weights"
    ),
    "llm-ts-net-no-llm with averaged weights": (
        "LLM-TS Net without text, averaged weights"
    ),
    "llm-ts-net with level": "LLM-TS Net with level",
    "llm-ts-net-no-llm with level": "LLM-TS Net with level, without text",
    "llm-ts-net-random-llm": "LLM-TS Net with random weights",
    "auto-ets": "AutoETS",
    "auto-arima": "AutoARIMA",
    "theta": "Theta",
    "seasonal-naive": "seasonal naive",
    "naive": "naive",
    "mean of auto-arima, auto-ets, theta": "mean of AutoARIMA, AutoETS and Theta",
}
DEFAULT_BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"
# A method with a pretrained language model, and the same without one.
WITHOUT = {
    "CALF": "CALF without language model",
    "BALM-TSF": "BALM-TSF without language model",
    "LLM-TS Net": "LLM-TS Net without text",
}
AVERAGES = {  # of several networks
    "both": "both without language model",
    "four": "four without language model",
    "four and AutoETS": "four and AutoETS without language model",
}
PAIRS = WITHOUT | AVERAGES
# What runs are compared by or found: all else has to be equal in runs that compare.
_VARIANT = ("method", "name", "backbone", "backbone_mode", "seed", "seeds")
_RESULT = ("mse", "mae", "rmse", "smape", "mape", "mase", "owa", "of_each", "crps")
_RESULT += ("forecasts", "mase_by_period", "mase_of_each")
_RESULT += ("seconds_per_series", "naive2")
_RESULT += ("test_windows", "series", "points", "best_epoch", "epochs_run")
_CIRCUMSTANCE = ("history", "command", "commit", "date", "machine", "versions")
_CIRCUMSTANCE += ("seconds", "fit_seconds", "device", "precision")
_IGNORED = {*_VARIANT, *_RESULT, *_CIRCUMSTANCE}


def ordered(methods: Iterable[str]) -> list[str]:
    """Return ours first, each beside the same without a language model, and others."""
    methods = list(methods)
    pairs = [pair for pair in PAIRS.items() if set(methods) & set(pair)]
    ours = [m for pair in pairs for m in pair]
    return list(dict.fromkeys(ours + methods))


def read(file: str) -> pd.DataFrame:
    """Return the records of a results file, one a row; none if there is no file.

    `settings` is what runs that differ only in their variant and seed have in common.
    """
    path = RESULTS / file
    if not path.exists():
        return pd.DataFrame()
    if path.suffix == ".csv":
        return pd.read_csv(path)
    return from_records([json.loads(line) for line in path.read_text().splitlines()])


def from_records(records: list[dict]) -> pd.DataFrame:
    """Turn records into a table with their settings."""
    table = pd.DataFrame(records)
    table["settings"] = [
        json.dumps(
            {k: v for k, v in r.items() if k not in _IGNORED and v is not None},
            sort_keys=True,
        )
        for r in records
    ]
    return table


def is_default(records: pd.DataFrame) -> pd.Series:
    """Whether runs name the default language model, or none.

    A network without one still has the width of the one that its run names.
    """
    backbone = records.reindex(columns=["backbone"])["backbone"]
    return backbone.isna() | (backbone == DEFAULT_BACKBONE)


def comparable(records: pd.DataFrame, by: list[str], variant: str) -> pd.DataFrame:
    """Keep, of each group, the settings that most variants were run with.

    Of several, the settings that were recorded last.
    """

    def chosen(group: pd.DataFrame) -> pd.DataFrame:
        counts = group.groupby("settings", sort=False)[variant].nunique()
        last = group["settings"].drop_duplicates(keep="last")
        best = max(last, key=lambda s: (counts[s], last[last == s].index[0]))
        return group[group["settings"] == best]

    groups = [chosen(group) for _, group in records.groupby(by, sort=False)]
    return pd.concat(groups) if groups else records


def means(records: pd.DataFrame, by: list[str], errors: list[str]) -> pd.DataFrame:
    """Return the means of errors over the seeds, and how many seeds there are."""
    one_each = records.drop_duplicates([*by, "seed"], keep="last")
    groups = one_each.groupby(by, sort=False, dropna=False)
    return groups[errors].mean().assign(seeds=groups.size()).reset_index()


def over_periods(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the errors over the points, or series, of all periods together."""
    complete = rows.groupby("method")["period"].transform("nunique")
    rows = rows[complete == rows["period"].nunique()]
    weights = {"smape": "points", "mape": "points", "mase": "series"}
    sums = {
        error: (rows[error] * rows[weight]).groupby(rows["method"]).sum(min_count=1)
        / rows[weight].groupby(rows["method"]).sum()
        for error, weight in weights.items()
    }
    return pd.DataFrame(sums).reset_index()


@cache
def read_published() -> pd.DataFrame:
    """Return what others published, with its source."""
    return pd.read_csv(HERE / "published.csv", dtype={"horizon": "Int64"})


def published(dataset: str, horizon: int | None, metric: str) -> pd.Series:
    """Return the published errors of all methods on a data set, the best first."""
    table = read_published()
    found = table[(table["dataset"] == dataset) & (table["metric"] == metric)]
    if horizon is not None:
        found = found[found["horizon"] == horizon]
    return found.set_index("method")["value"].sort_values(kind="stable")


def published_as(method: str, dataset: str, horizon: int | None = None) -> str:
    """Return the name of a published row, marked if it is quoted from memory."""
    return f"published{from_memory(method, dataset, horizon)}"


def from_memory(method: str, dataset: str, horizon: int | None = None) -> str:
    """Return the mark of published errors that are quoted from memory, or nothing."""
    table = read_published()
    found = table[(table["method"] == method) & (table["dataset"] == dataset)]
    if horizon is not None:
        found = found[found["horizon"] == horizon]
    is_quoted = found["source"].str.contains("from memory").any()
    return " (from memory)" if is_quoted else ""


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or nothing; what is rounded to zero has no sign."""
    if value is None or pd.isna(value):
        return ""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def numbers(*values: float | None, digits: int | tuple[int, ...] = 3) -> str:
    """Write numbers side by side, or nothing if none is there."""
    each = digits if isinstance(digits, tuple) else (digits,) * len(values)
    texts = [number(v, d) for v, d in zip(values, each, strict=True)]
    return " / ".join(texts) if any(texts) else ""


def difference(ours: float | None, other: float | None) -> float:
    """Return by how many percent an error is above another one."""
    if ours is None or other is None or pd.isna(ours) or pd.isna(other):
        return float("nan")
    return 100 * (ours / other - 1)


def percent(value: float) -> str:
    """Write a difference in percent, with its sign, or nothing."""
    text = "" if pd.isna(value) else f"{value:+.1f} %"
    return "0.0 %" if text in ("-0.0 %", "+0.0 %") else text


def percents(*values: float) -> str:
    """Write differences side by side, or nothing if none is there."""
    texts = [percent(value) for value in values]
    return " / ".join(texts) if any(texts) else ""


def of(table: pd.DataFrame, column: str, **where) -> float:
    """Return the value of the last row with these values, NaN if there is none."""
    if column not in table:
        return float("nan")
    for name, value in where.items():
        table = table[table[name] == value]
    return float("nan") if table.empty else table[column].iloc[-1]


def markdown(rows: list[dict]) -> str:
    """Write a table, one dict a row, with numbers on the right."""
    if not rows:
        return ""
    columns = list(rows[0])
    texts = [[_unbroken(str(row[column])) for column in columns] for row in rows]
    marks = [
        "---:" if all(map(_is_number, each)) else "---"
        for each in zip(*texts, strict=True)
    ]
    lines = [columns, marks, *texts]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _unbroken(text: str) -> str:
    """Keep numbers side by side, and percents, on one line."""
    return text.replace(" / ", "\N{NBSP}/\N{NBSP}").replace(" %", "\N{NBSP}%")


def _is_number(text: str) -> bool:
    return not text or re.match(r"[-+]?\d", text) is not None
