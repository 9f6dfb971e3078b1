"""Does the language model help, and the other parts? ``ablate`` on four kinds of data.

    python benchmarks/ablations.py --data-dir DATA

A short series (airline), a table from a CSV file (the first ten columns of NN5, with
their holes), hours of ETTh1, 96 ahead from 96, trained briefly, and the 756 quarterly
series of M3 as one panel. Each by the methods that are named in `RUNS`, over three
seeds; those of the short series with each method's own parts left out, too. A run that
is already in the results file is not repeated.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from _records import RESULTS, provenance, run_missing
from competitions import panel, read
from long_term import read_etth1

from sktime_llm._devices import resolve_device
from sktime_llm.datasets import Dataset, load_dataset, read_table
from sktime_llm.evaluation import (
    LANGUAGE_MODELS,
    ablate,
    default_forecasters,
    parts_of,
)

SHORT = {"max_epochs": 5, "cosine_epochs": 5}
RUNS = {  # folds, whether with the other parts, and the parameters
    ("airline", "calf"): (3, True, {}),
    ("M3 quarterly", "llm-ts-net"): (
        1,
        False,
        {"context_length": 16, "learning_rate": 1e-3, **SHORT},
    ),
    ("ETTh1", "calf"): (
        2,
        False,
        {
            "context_length": 96,
            "batch_size": 32,
            "steps_per_epoch": 50,
            "learning_rate": 5e-4,
            "max_epochs": 3,
            "cosine_epochs": 3,
        },
    ),
    ("NN5", "llm-ts-net"): (2, False, SHORT),
    ("airline", "balm-tsf"): (3, True, {}),
    ("airline", "llm-ts-net"): (3, True, {}),
}


def load(data_dir: Path, name: str) -> Dataset:
    """Return the data by name."""
    if name == "airline":
        return load_dataset("airline")
    if name == "ETTh1":
        table, _, _ = read_etth1(data_dir)
        return Dataset(name, table, 24, 96)
    if name == "NN5":
        own = {"target": [f"NN5-{i:03}" for i in range(1, 11)], "missing": "keep"}
        table = read_table(data_dir / "nn5_daily.csv.gz", time_column="date", **own)
        return Dataset(name, table, 7, 14)
    series = read(data_dir, "M3", "quarterly")
    whole = {k: [np.concatenate(v), None] for k, v in series.items()}
    return Dataset(name, panel(whole), 4, 8)


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Fit all variants, compare them, and return errors, costs and sentences."""
    started = time.perf_counter()
    data, method = load(args.data_dir, settings["data"]), settings["method"]
    own = {"backbone": args.backbone, "device": args.device, "verbose": 0}
    forecasters = default_forecasters(data.seasonal_period, [method], **own)
    forecaster = forecasters[method].set_params(intervals=None, **settings["set"])
    ablation = ablate(
        forecaster,
        data,
        n_folds=settings["folds"],
        seeds=args.seeds,
        variants=parts_of(forecaster) if settings["parts"] else LANGUAGE_MODELS,
    )
    errors = ablation.errors.groupby("variant", sort=False)["MASE"].mean()
    effects = ablation.effects()[["gain", "lower", "upper"]]
    return {
        "mase": errors.to_dict(),
        "gain": effects.to_dict(orient="index"),
        "verdict": {name: ablation.verdict(name) for name in ablation.variants[1:]},
        "costs": ablation.costs.to_dict(orient="index"),
        "series": int(ablation.errors["series"].nunique()),
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet; print errors and sentences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    names = list(dict.fromkeys(data for data, _ in RUNS))
    parser.add_argument("--data", choices=names, nargs="+", default=names)
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "ablations.jsonl")
    args = parser.parse_args()
    common = {"backbone": args.backbone, "seeds": args.seeds}
    runs = [
        {"data": data, "method": m, "folds": n, "parts": parts, "set": own, **common}
        for (data, m), (n, parts, own) in RUNS.items()
        if data in args.data
    ]
    for record in run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['data']}, {settings['method']}",
    ):
        print(f"{record['data']}, {record['method']}")
        for name, mase in record["mase"].items():
            print(f"  {name}: MASE {mase:.3f}")
        for sentence in record["verdict"].values():
            print(f"  {sentence}", flush=True)


if __name__ == "__main__":
    main()
