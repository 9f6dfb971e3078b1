"""The same networks with other language models than the default."""

from collections.abc import Iterator

import pandas as pd
from _accuracy import BACKBONES, TASK
from _competitions import ERRORS, LEADING
from _tables import (
    DEFAULT_BACKBONE,
    NAMES,
    WITHOUT,
    difference,
    is_default,
    markdown,
    number,
    of,
    percent,
    read,
)

NONE = "none"


def language_models(records: pd.DataFrame) -> str:
    """Errors with each language model, where another than the default is recorded."""
    rows = []
    for row in [*_of_competitions(records), *_of_long_term(read("long_term.jsonl"))]:
        errors, digits = row.pop("errors"), row.pop("digits")
        without = errors.pop(NONE)
        row["without"] = number(without, digits)
        for name, error in errors.items():
            change = percent(difference(error, without))
            row[name] = number(error, digits) + (f" ({change})" if change else "")
        rows.append(row)
    columns = dict.fromkeys(column for row in rows for column in row)
    return markdown([dict.fromkeys(columns, "") | row for row in rows])


def _of_competitions(records: pd.DataFrame) -> Iterator[dict]:
    """Yield the errors of runs that differ only in their language model."""
    records = records[(records["part"] == "test") & (records["seeds"].map(len) == 1)]
    records = records.assign(seed=records["seeds"].map(lambda seeds: seeds[0]))
    others = records[~is_default(records) & records["method"].isin(WITHOUT)]
    by = ["competition", "period", "method"]
    for (name, period, method), own in others.groupby(by, sort=False):
        leading = LEADING.get(name, "smape")
        title, digits = ERRORS[leading]
        same = _like_the_last(records, own)
        without = same[is_default(same) & (same["method"] == WITHOUT[method])]
        errors = _by_model(same[same["method"] == method], without, leading)
        data = f"{name}, {period}, {title}"
        yield {"data": data, "method": method, "errors": errors, "digits": digits}


def _of_long_term(records: pd.DataFrame) -> Iterator[dict]:
    """Yield the MSE of runs that differ only in their language model."""
    pretrained = records["backbone_mode"] == "pretrained"
    others = records[pretrained & ~is_default(records)]
    for (method, dataset, _, horizon), own in others.groupby(TASK, sort=False):
        same = _like_the_last(records, own)
        mode = same["backbone_mode"]
        without = same[is_default(same) & (mode == NONE)]
        errors = _by_model(same[mode == "pretrained"], without, "mse")
        data = f"{dataset}, {horizon} steps, MSE"
        yield {"data": data, "method": NAMES[method], "errors": errors, "digits": 3}


def _like_the_last(records: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """Keep what was run as the last of some runs was, by its settings and seed."""
    last = own.iloc[-1]
    same = (records["settings"] == last["settings"]) & (records["seed"] == last["seed"])
    return records[same]


def _by_model(runs: pd.DataFrame, without: pd.DataFrame, error: str) -> dict:
    """Return an error without a language model, with the default one, with others."""
    backbones = dict.fromkeys([DEFAULT_BACKBONE, *runs["backbone"]])
    return {NONE: of(without, error)} | {
        BACKBONES.get(name, name): of(runs, error, backbone=name) for name in backbones
    }
