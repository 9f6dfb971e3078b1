"""Tables of speed and memory: windows a second, and panels of many series."""

import pandas as pd
from _tables import markdown, number

METHODS = {
    "CALFForecaster": "CALF",
    "BALMTSFForecaster": "BALM-TSF",
    "LLMTSNetForecaster": "LLM-TS Net",
}
SHAPES = ["airline", "ETTh1-96", "ETTh1-512", "ETTh1-720", "sensors", "traffic"]
BACKBONES = {"minilm": "MiniLM", "gpt2-random": "GPT-2, random"}


def speed(records: pd.DataFrame) -> str:
    """Windows a second beside plain programs and the floor."""
    order = {
        "method": list(METHODS.values()),
        "backbone": list(BACKBONES),
        "shape": SHAPES,
        "precision": ["float32", "bfloat16"],
    }
    records = records.sort_values(
        list(order), key=lambda column: column.map(order[column.name].index)
    )
    return markdown([_row(run) for _, run in records.iterrows()])


def _row(run: pd.Series) -> dict:
    row = {"method": run["method"], "backbone": BACKBONES[run["backbone"]]}
    row |= {"shape": run["shape"], "precision": run["precision"]}
    for what in ("training", "forecast"):
        row |= {
            f"{what}, windows/s": number(run[f"{what}_windows_per_second"], 1),
            f"{what}, times plain": number(run[f"{what}_times_plain"], 2),
            f"{what}, seconds / floor": number(run[f"{what}_times_floor"], 2),
        }
    memory = run["ours_training_mib"], run["plain_training_mib"]
    return row | {
        "MiB": number(memory[0], 0),
        "MiB, plain": number(memory[1], 0),
    }


def first_forecast(records: pd.DataFrame) -> str:
    """Seconds to the first forecast of a saved forecaster."""
    rows = []
    for _, run in records.iterrows():
        row = {"method": METHODS[run["name"]]}
        row["imports, s"] = number(run["import_seconds"], 2)
        slowest = [f"{p} {number(s, 2)}" for p, s in run["packages"].items()]
        row["of these"] = ", ".join(slowest)
        rows.append(row | {"all else, s": number(run["beside_seconds"], 2)})
    return markdown(rows)


def scale(records: pd.DataFrame) -> str:
    """Seconds and memory by method and number of series."""
    order = {name: place for place, name in enumerate(METHODS)}
    records = records.assign(place=records["name"].map(order))
    rows = [
        {
            "method": METHODS[run["name"]],
            "series": f"{run['n_series']:,}",
            "arithmetic, s": number(run["arithmetic_seconds"], 2),
            "all else, s": number(run["beside_seconds"], 2),
            "MiB": number(run["peak_mib"], 0),
            "panel, MiB": number(run["panel_mib"], 1),
        }
        for _, run in records.sort_values(["place", "n_series"]).iterrows()
    ]
    return markdown(rows)


def out_of_core(records: pd.DataFrame) -> str:
    """Memory and seconds of runs over a file that were killed, and what came out."""
    return markdown([_killed(run) for _, run in records.iterrows()])


def _killed(run: pd.Series) -> dict:
    first = [peak["peak_mib"][0] for peak in run["peaks"]]
    others = [size for peak in run["peaks"] for size in peak["peak_mib"][1:]]
    row = {
        "engine": run["engine"],
        "workers": str(run["workers"]),
        "series": f"{run['n_series']:,}",
        "limit, GiB": number(run["address_space_gib"], 0),
        "main process, MiB": number(max(first), 0),
        "largest other, MiB": number(max(others), 0) if others else "",
        "seconds": " + ".join(f"{s:,.0f}" for s in run["seconds"]),
    }
    if run["engine"] == "memory":
        failed = ", out of memory" if run["status"] else ""
        row |= {"engine": f"none{failed}", "workers": ""}
        return row | {"kept": "", "lost": "", "twice": "", "differ by": ""}
    return row | {
        "kept": f"{run['n_parts_at_kill']:.0f} of {run['n_parts']:.0f}",
        "lost": f"{run['n_lost']:.0f}",
        "twice": f"{run['n_twice']:.0f}",
        "differ by": f"{run['largest_difference']:.1g}",
    }
