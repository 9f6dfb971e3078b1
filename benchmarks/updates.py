"""Should `update` train, and CALF by which losses?

A forecaster is fitted on the first part of the data; then block after block is first
forecast, every window of it, and then given to `update`. Copies of one fitted
forecaster go on in several ways: without training, with it (the default), and CALF by
all three losses, too (``keep_textual_branch=True``). Errors are on data standardized by
the first part, the mean over all blocks but the first, which no update precedes.

    python benchmarks/updates.py --data-dir DATA --method CALF BALM-TSF "LLM-TS Net"

A run that is already in the results file is not repeated.
"""

import argparse
import copy
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing
from long_term import read_etth1, test_errors
from sktime.datasets import load_airline, load_PBS_dataset, load_uschange

from sktime_llm import BALMTSFForecaster, CALFForecaster, LLMTSNetForecaster
from sktime_llm._devices import resolve_device

METHODS = {
    "CALF": (CALFForecaster, {"keep_textual_branch": True}),
    "BALM-TSF": (BALMTSFForecaster, {}),
    "LLM-TS Net": (LLMTSNetForecaster, {}),
}
WAYS = dict.fromkeys(METHODS, ("no training", "training"))
WAYS["CALF"] = ("no training", "task loss", "all losses")
MONTH = 30 * 24


class Stream(NamedTuple):
    """Data that comes in blocks.

    Attributes
    ----------
    table : pandas.DataFrame
        All of it.
    n_fit, block, horizon : int
        Rows to fit on, of a block, and of a forecast.
    settings : dict
        Of the forecaster, beside its defaults.
    """

    table: pd.DataFrame
    n_fit: int
    block: int
    horizon: int
    settings: dict


def read(name: str, data_dir: Path) -> Stream:
    """Return a data set by its name."""
    if name == "ETTh1":
        settings = {"max_epochs": 6, "cosine_epochs": 6, "batch_size": 64}
        settings |= {"context_length": 96, "validation_fraction": 0.25}
        return Stream(read_etth1(data_dir)[0], 12 * MONTH, MONTH, 96, settings)
    table = {
        "airline": lambda: load_airline().to_frame(),
        "PBS": lambda: load_PBS_dataset().to_frame(),
        "US change": lambda: load_uschange()[1],
    }[name]()
    return Stream(table, int(0.6 * len(table)), 12, 12, {})


DATASETS = ("airline", "PBS", "US change", "ETTh1")


def goes_on(forecaster, stream: Stream, way: str) -> dict:
    """Forecast and update block after block."""
    forecaster = copy.deepcopy(forecaster)
    if way == "task loss":
        forecaster.network_.textual = None  # what keep_textual_branch=False does
    errors, seconds = [], 0.0
    starts = range(stream.n_fit, len(stream.table) - stream.horizon + 1, stream.block)
    for start in starts:
        seen = stream.table.iloc[: start + stream.block]
        errors.append(test_errors(forecaster, seen, stream.n_fit, start, every=1))
        started = time.perf_counter()
        forecaster.update(seen.iloc[start:], update_params=way != "no training")
        seconds += time.perf_counter() - started
    after = errors[1:]
    return {
        "blocks": len(after),
        "mse": float(np.mean([e["mse"] for e in after])),
        "mae": float(np.mean([e["mae"] for e in after])),
        "update_seconds": round(seconds / len(errors), 2),
    }


def run(stream: Stream, method: str, seed: int, device: str) -> dict:
    """Fit once, and go on in every way."""
    forecaster_class, own = METHODS[method]
    forecaster = forecaster_class(
        prediction_length=stream.horizon,
        intervals=None,
        random_state=seed,
        device=device,
        **own,
        **stream.settings,
    ).fit(stream.table.iloc[: stream.n_fit])
    return {
        **{way: goes_on(forecaster, stream, way) for way in WAYS[method]},
        **provenance(resolve_device(device)),
    }


def report(records: list[dict]) -> None:
    """Print MSE / MAE of every way, the mean over the seeds."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for record in records:
        key = record.get("method", "CALF"), record["dataset"]
        groups.setdefault(key, []).append(record)
    for (method, name), own in groups.items():
        cells = []
        for way in WAYS[method]:
            mse, mae = (np.mean([r[way][key] for r in own]) for key in ("mse", "mae"))
            cells.append(f"{way} {mse:.3f} / {mae:.3f}")
        print(f"{method}, {name}: {', '.join(cells)}", flush=True)


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=DATASETS, nargs="+", default=DATASETS)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--method", choices=list(METHODS), nargs="+", default=["CALF"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "updates.jsonl")
    args = parser.parse_args()
    records = run_missing(
        args.results,
        runs=[
            {"dataset": name, "seed": seed, "device": args.device}
            # records made before there was a choice are of CALF
            | ({} if method == "CALF" else {"method": method})
            for method in args.method
            for name in args.dataset
            for seed in args.seeds
        ],
        measure=lambda settings: run(
            read(settings["dataset"], args.data_dir),
            settings.get("method", "CALF"),
            settings["seed"],
            args.device,
        ),
        label=lambda settings: (
            f"{settings.get('method', 'CALF')}, {settings['dataset']}, "
            f"seed {settings['seed']}"
        ),
    )
    report(list(records))


if __name__ == "__main__":
    main()
