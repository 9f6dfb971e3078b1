"""Tables of open questions: whether texts about series help."""

import pandas as pd
from _tables import markdown, number, percent

NO_TEXT = "no text"


def real_texts(records: pd.DataFrame) -> str:
    """MASE by what the text of a series is, of all series and of some."""
    rows = []
    for _, run in _of_start(records, "known").iterrows():
        data = f"{run['competition']}, {run['period']}"
        groups = [
            (name, part) for by in run["by"].values() for name, part in by.items()
        ]
        for group, part in [("all", run), *groups]:
            row = {"data": data, "series": f"{group.lower()} ({part['n']:.0f})"}
            rows.append(row | {t: _with_gain(part, t) for t in part["mase"]})
    return markdown(rows)


def cold_starts(records: pd.DataFrame) -> str:
    """MASE of series that training never saw, means over the seeds."""
    rows = []
    for _, run in _of_start(records, "cold").iterrows():
        for n, errors in run["mase_of_seeds"].items():
            row = {"data": f"{run['competition']}, {run['period']}"}
            row |= {"series": f"{run['cold_series']:.0f}", "values seen": n}
            means = {text: sum(of) / len(of) for text, of in errors.items()}
            rows.append(row | {text: number(mase) for text, mase in means.items()})
    return markdown(rows)


def _of_start(records: pd.DataFrame, start: str) -> pd.DataFrame:
    return records[records["start"] == start]


def _with_gain(part: dict, text: str) -> str:
    """Write a MASE, with its gain over no text; in bold what is beyond chance."""
    mase = number(part["mase"][text])
    if text == NO_TEXT:
        return mase
    gain = part["gain"][text]
    told = percent(gain["gain"])
    if gain["lower"] > 0 or gain["upper"] < 0:
        told = f"**{told}**"
    return f"{mase} ({told})"
