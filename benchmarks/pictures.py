"""The pictures of the README: a forecast, and how much the language model gains.

    python benchmarks/pictures.py

The second one is drawn from the recorded results, without training anything.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from _records import RESULTS
from sktime.datasets import load_airline

from sktime_llm import CALFForecaster
from sktime_llm.plotting import plot_forecast

IMAGES = Path(__file__).parent.parent / "docs" / "images"
NAMES = {"calf": "CALF", "balm-tsf": "BALM-TSF"}
# Whatever else two runs have in common does not make them comparable.
_RESULT = ("test_windows", "mse", "mae", "best_epoch", "epochs_run", "fit_seconds")
_CIRCUMSTANCE = ("history", "command", "commit", "date", "machine", "versions")
_NO_MODEL = ("backbone_mode", "backbone")


def read(name: str) -> list[dict]:
    """Return the records of a results file."""
    return [json.loads(line) for line in (RESULTS / name).read_text().splitlines()]


def long_term_gains(records: list[dict]) -> dict[str, float]:
    """Return by how many percent the MSE falls with the language model.

    Runs are compared if only the language model differs; the mean is over seeds.
    """
    ignored = (*_RESULT, *_CIRCUMSTANCE, *_NO_MODEL)
    runs: dict[str, dict[str, dict]] = {"pretrained": {}, "none": {}}
    for record in records:
        if record["backbone_mode"] in runs and "MiniLM" in record["backbone"]:
            same = json.dumps({k: v for k, v in record.items() if k not in ignored})
            runs[record["backbone_mode"]][same] = record
    gains = defaultdict(list)
    for same, with_model in runs["pretrained"].items():
        if (without := runs["none"].get(same)) is not None:
            gain = 100 * (1 - with_model["mse"] / without["mse"])
            method, data = NAMES[with_model["method"]], with_model["dataset"]
            gains[f"{method}, {data}, {with_model['horizon']} steps"].append(gain)
    return {name: sum(each) / len(each) for name, each in gains.items()}


def traffic_gains(records: list[dict]) -> dict[str, float]:
    """Return by how many percent the MAE falls with text, the mean over seeds."""
    table = pd.DataFrame(records).query("missing == 0")
    errors = table.groupby(["method", "horizon"])["mae"].mean()
    gains = 100 * (1 - errors["LLM-TS Net"] / errors["without text"])
    return {f"LLM-TS Net, Los-loop, {h} steps": gain for h, gain in gains.items()}


def competition_gains(records: list[dict]) -> dict[str, float]:
    """Return by how many percent the sMAPE falls with the language model or text.

    Runs are compared if they have one seed, and the same period, epochs and context.
    """
    pairs = {
        "CALF": "CALF without language model",
        "LLM-TS Net": "LLM-TS Net without text",
    }
    same = ("competition", "period", "epochs", "horizons_of_context", "learning_rate")
    tests = [r for r in records if r["part"] == "test" and len(r["seeds"]) == 1]
    found = {(r["method"], *(r[name] for name in same)): r["smape"] for r in tests}
    return {
        f"{method}, {settings[0]}, {settings[1]}": 100 * (1 - smape / without)
        for (method, *settings), smape in found.items()
        if (without := found.get((pairs.get(method), *settings))) is not None
    }


def draw_gains(gains: dict[str, float], file: Path) -> None:
    """Draw one bar per comparison."""
    gains = dict(sorted(gains.items(), key=lambda item: item[1]))
    figure, axes = plt.subplots(figsize=(10, 1.2 + 0.4 * len(gains)), dpi=160)
    colors = ["#d55e00" if gain < 0 else "#0072b2" for gain in gains.values()]
    bars = axes.barh(list(gains), list(gains.values()), color=colors)
    axes.bar_label(bars, [f"{gain:+.1f} %" for gain in gains.values()], padding=4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.15)
    axes.set_xlabel("error saved by the pretrained language model, in percent")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.savefig(file, bbox_inches="tight")


def draw_forecast(file: Path) -> None:
    """Draw CALF's forecast of the three years after the airline data."""
    y = load_airline().rename("passengers, thousands").rename_axis("month")
    forecaster = CALFForecaster(random_state=0).fit(y, fh=range(1, 25))
    forecast = forecaster.predict().rename("forecast").rename_axis("time").reset_index()
    rows = forecast.assign(id="", variate=y.name)
    figure = plot_forecast(y, rows, title="airline")
    figure.savefig(file)


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=IMAGES)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    gains = long_term_gains(read("long_term.jsonl"))
    gains |= traffic_gains(read("traffic.jsonl"))
    gains |= competition_gains(read("competitions.jsonl"))
    draw_gains(gains, output / "language_model.png")
    draw_forecast(output / "forecast.png")


if __name__ == "__main__":
    main()
