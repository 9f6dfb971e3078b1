"""Forecasts without training: networks pretrained on M1 and Tourism, one a period.

    python benchmarks/pretrained_start.py --data-dir DATA --networks NETWORKS

A network is pretrained on the training parts of the yearly, quarterly or monthly series
of M1 and Tourism, but for those that share a part with what is forecast: M3 has many of
M1's series, and one of these is airline. It forecasts M3's series of that period, and
five data sets that come with sktime, without training on them and after a few epochs.
Data sets are scored as by ``sktime-llm compare``: mean MASE over three folds of each.
Settings are those that `competitions.py` chose on M3's validation part. Networks are
kept in the folder NETWORKS; one that is there is not pretrained again. A run that is
already in the results file is not repeated.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _records import RESULTS, provenance, run_missing
from competitions import METHODS, SEASON, panel, point_errors, read

from sktime_llm._devices import resolve_device
from sktime_llm.datasets import load_dataset
from sktime_llm.evaluation import compare_forecasters, default_forecasters

HORIZONS = {"yearly": 6, "quarterly": 8, "monthly": 18}
SETS = {
    "airline": "monthly",
    "lynx": "yearly",
    "shampoo_sales": "monthly",
    "pbs": "monthly",
    "us_consumption": "quarterly",
}
PRETRAINED = [name for name in METHODS if len(METHODS[name]) == 1]
QUICK = ["CALF without language model", "LLM-TS Net without text"]
N_CHANGES = 6  # as many relative changes in a row make two series the same
CLASSICAL = ("auto-arima", "auto-ets", "theta", "seasonal-naive")


def make(args: argparse.Namespace, method: str, period: str, **own):
    """Return a forecaster, untrained."""
    ((forecaster_class, its),) = METHODS[method]
    horizon = HORIZONS[period]
    return forecaster_class(
        backbone=args.backbone,
        context_length=2 * horizon,
        prediction_length=horizon,
        intervals=None,
        learning_rate=1e-3,
        max_epochs=args.epochs,
        cosine_epochs=args.epochs,
        random_state=args.seed,
        device=args.device,
        verbose=0,
        **its,
        **own,
    )


def pretrained(args: argparse.Namespace, method: str, period: str) -> Path:
    """Return the folder of a network, pretrained unless it is there."""
    backbone = Path(args.backbone).name
    name = f"{method} {backbone} {period} {args.epochs} {args.seed}"
    folder = args.networks / name.replace(" ", "-").lower()
    if not folder.exists():
        forecaster = make(args, method, period)
        parts = pretraining_series(args.data_dir, period)
        forecaster.pretrain(panel(parts)).save_pretrained(folder)
    return folder


def pretraining_series(data_dir: Path, period: str) -> dict[str, list[np.ndarray]]:
    """Return the series of M1 and Tourism that share no part with what is forecast."""
    forecast = [
        np.concatenate(parts) for parts in read(data_dir, "M3", period).values()
    ]
    forecast += [load_dataset(name).y.to_numpy() for name in SETS]
    known = set().union(*map(changes_of, forecast))
    return {
        f"{competition} {name}": parts
        for competition in ("M1", "Tourism")
        for name, parts in read(data_dir, competition, period).items()
        if known.isdisjoint(changes_of(np.concatenate(parts)))
    }


def changes_of(values: np.ndarray) -> set[bytes]:
    """Return all runs of relative changes, which are the same in any unit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = (values[1:] / values[:-1]).round(3)
    if len(changes) < N_CHANGES:
        return set()
    runs = np.lib.stride_tricks.sliding_window_view(changes, N_CHANGES)
    runs = runs[np.isfinite(runs).all(axis=1)]
    return {run.tobytes() for run in runs[np.ptp(runs, axis=1) > 0]}


def errors_on_m3(args: argparse.Namespace, settings: dict) -> dict:
    """Forecast the test part of M3."""
    method, period = settings["method"], settings["target"].split()[1]
    folder = pretrained(args, method, period)
    series = read(args.data_dir, "M3", period)
    horizon, started = HORIZONS[period], time.perf_counter()
    own = {"fine_tune_epochs": settings["fine_tune_epochs"], "checkpoint": folder}
    forecaster = make(args, method, period, **own)
    y_pred = forecaster.fit(panel(series)).predict(range(1, horizon + 1))["value"]
    forecasts = np.stack([y_pred.loc[name].to_numpy() for name in series])
    errors = point_errors(series, forecasts, SEASON[period])
    return {**errors, "seconds": round(time.perf_counter() - started, 1)}


def errors_on_sets(args: argparse.Namespace, settings: dict) -> dict:
    """Compare on the data sets that come with sktime."""
    method, mase, times = settings["method"], {}, []
    for name, period in SETS.items():
        data = load_dataset(name)
        if method in CLASSICAL:
            forecasters = default_forecasters(data.seasonal_period, [method])
        else:
            folder = pretrained(args, method, period)
            own = {"fine_tune_epochs": settings["fine_tune_epochs"]}
            own["checkpoint"] = folder
            forecasters = {method: make(args, method, period, **own)}
        comparison = compare_forecasters(data, forecasters)
        (scores,) = comparison.scores.to_dict(orient="records")
        mase[name] = scores["MASE"]
        times.append(scores["fit_seconds"] + scores["predict_seconds"])
    mean = float(np.mean(list(mase.values())))
    return {"mase": mean, "mase_of_sets": mase, "seconds": round(float(sum(times)), 1)}


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Return the errors of a start on a target."""
    measure = errors_on_sets if settings["target"] == "five sets" else errors_on_m3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = measure(args, settings)
    return {**found, **provenance(resolve_device(args.device))}


def main() -> None:
    """Run what is not in the results yet, and print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument(
        "--method", choices=PRETRAINED, nargs="+", default=QUICK, metavar="METHOD"
    )
    parser.add_argument("--period", choices=HORIZONS, nargs="+", default=list(HORIZONS))
    parser.add_argument("--fine-tune-epochs", type=int, nargs="+", default=[0, 3])
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "pretrained_start.jsonl"
    )
    args = parser.parse_args()
    targets = [f"M3 {period}" for period in args.period]
    if set(SETS.values()) <= set(args.period):
        targets.append("five sets")
    common = {name: getattr(args, name) for name in ("backbone", "epochs", "seed")}
    runs = [
        {"target": target, "method": method, "fine_tune_epochs": epochs, **common}
        for target in targets
        for method in args.method
        for epochs in args.fine_tune_epochs
    ]
    if "five sets" in targets:
        runs += [{"target": "five sets", "method": method} for method in CLASSICAL]
    for record in run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['target']}, {settings['method']}",
    ):
        epochs = record.get("fine_tune_epochs")
        start = record["method"] + (f", {epochs} epochs" if epochs is not None else "")
        print(f"{record['target']}, {start}: MASE {record['mase']:.3f}", flush=True)


if __name__ == "__main__":
    main()
