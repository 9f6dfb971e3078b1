"""Tables of open questions: do texts about series help, does a pretrained start?"""

import numpy as np
import pandas as pd
from _simulated import PIECES
from _tables import NAMES, markdown, number, percent, read

NO_TEXT = "no text"
FIVE = "five sets"
SINGLE = "single series of M1 and Tourism"  # the first that `single_series.py` draws
GROUPS = {  # as records call them, and what they mean
    "others": "longer two thirds",
    "demogr": "demographic",
    "indust": "industry",
}


def real_texts(records: pd.DataFrame) -> str:
    """MASE by what the text of a series is, of all series and of some."""
    rows = []
    for _, run in _of_start(records, "known").iterrows():
        data = f"{run['competition']}, {run['period']}"
        groups = [
            (name, part) for by in run["by"].values() for name, part in by.items()
        ]
        groups = [(group, part) for group, part in groups if part["n"] > 1]
        for group, part in [("all", run), *groups]:
            name = GROUPS.get(group.lower(), group.lower())
            row = {"data": data, "series": f"{name} ({part['n']:.0f})"}
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
            gains = run["gain"].get(n, {})
            part = {"mase": means, "gain": gains}
            row |= {text: _with_gain(part, text) for text in means}
            over = [gains[label] for label in gains if " over " in label]
            rows.append(row | {"own words over another's": _told(*over)})
    return markdown(rows)


def _of_start(records: pd.DataFrame, start: str) -> pd.DataFrame:
    return records[records["start"] == start]


def _with_gain(part: dict, text: str) -> str:
    """Write a MASE, with its gain over no text, if there is one."""
    mase, gain = number(part["mase"][text]), part["gain"].get(text)
    return f"{mase} ({_told(gain)})" if gain else mase


def _told(gain: dict | None = None) -> str:
    """Write a gain in percent, in bold if it is beyond chance."""
    if gain is None:
        return ""
    told = percent(gain["gain"])
    return f"**{told}**" if gain["lower"] > 0 or gain["upper"] < 0 else told


def pretrained_start(records: pd.DataFrame) -> str:
    """MASE of networks pretrained on other series, and of classical methods."""
    records = records[records["part"].isna()]
    sets = records[records["target"] == FIVE]
    without = sets["mase_of_sets"].map(
        lambda mase: np.mean([error for name, error in mase.items() if name != "lynx"])
    )
    four = sets.assign(target="five sets without lynx", mase=without)
    single = records["target"] == SINGLE
    alone = fitted_to_each() if single.any() else None
    records = pd.concat([records[~single], four, records[single], alone])
    named = records.assign(
        method=records["method"].map(lambda m: NAMES.get(m, m)),
        learned=[_learned(row) for _, row in records.iterrows()],
    )
    tuned = sorted(named["fine_tune_epochs"].dropna().unique())
    rows, keys = [], ["target", "method", "learned"]
    named = pd.concat([of for _, of in named.groupby("target", sort=False)])
    for (target, method, learned), found in named.groupby(keys, sort=False):
        row = {"forecast": target, "method": method, "learned from": learned}
        row["seeds"] = number(found["seed"].nunique() or np.nan, 0)
        for epochs in tuned:
            of_epochs = found[found["fine_tune_epochs"] == epochs]
            title = f"after {epochs:.0f} epochs" if epochs else "without training"
            row[title] = number(of_epochs["mase"].mean())
        alone = found[found["fine_tune_epochs"].isna()]
        row["fitted to each"] = number(alone["mase"].mean())
        rows.append(row)
    return markdown(rows)


def _learned(record: pd.Series) -> str:
    """Say what a network was pretrained on, and how long, where that is unusual."""
    if pd.isna(record["fine_tune_epochs"]):
        return ""
    if record.get("simulated") is not True:
        return "others"
    pieces, given = "", record["pieces"]
    if not isinstance(given, dict):
        pieces = ", a longer piece"  # before there was a choice
    elif given != PIECES:
        pieces = f", pieces: {' or '.join(map(str, sorted(set(given.values()))))}"
    longer = f", {record['epochs']:.0f} epochs" if record["epochs"] != 10 else ""
    return f"others, simulated{pieces}{longer}"


def pretrained_choices(records: pd.DataFrame) -> str:
    """MASE of such networks on what settings are chosen by."""
    held_out = records[records["part"] == "validation"]
    rows = [
        {
            "forecast": record["target"],
            "method": NAMES.get(record["method"], record["method"]),
            "learned from": _learned(record),
            "MASE": number(record["mase"]),
        }
        for _, record in held_out.sort_values("target", kind="stable").iterrows()
    ]
    return markdown(rows)


def fitted_to_each() -> pd.DataFrame:
    """Return the recorded errors of methods fitted to each of the single series."""
    records = read("single_series.jsonl")
    drawn = (records["n_series"] == 100) & (records["draw_seed"] == 0)
    drawn &= records["competition"].map(lambda names: names == ["M1", "Tourism"])
    known = (records["part"] == "test") & ~records["without_fh"]
    known &= records["deseasonalize"].isna()
    own = records[drawn & known].sort_values("mase").assign(target=SINGLE)
    return own[["target", "name", "mase"]].rename(columns={"name": "method"})


def generated_descriptions(records: pd.DataFrame) -> str:
    """How many claims of descriptions are true."""
    titles = {"directions": "directions", "extremes": "peaks and troughs"}
    titles |= {"numbers": "numbers"}
    rows = []
    for _, run in records.iterrows():
        model = run.get("language_model")
        by = f", by {model}" if isinstance(model, str) else ""
        row = {"written from": f"{run['describer']}{by}"}
        row["texts"] = f"{run['n_texts']:,}"
        for claim, title in titles.items():
            true, claims = run[f"true_{claim}"], run[claim]
            share = f" ({100 * true / claims:.0f} %)" if claims else ""
            row[f"true {title}"] = f"{true:,} of {claims:,}{share}"
        row["words"] = number(run["words"], 0)
        rows.append(row | {"seconds a text": number(run["seconds_per_text"], 1)})
    return markdown(rows)
