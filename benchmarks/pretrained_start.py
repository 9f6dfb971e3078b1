"""Forecasts without training, by networks pretrained on other series, one a period.

    python benchmarks/pretrained_start.py --data-dir DATA --networks NETWORKS

A network is pretrained on the training parts of the yearly, quarterly or monthly series
of M1 and Tourism. It forecasts M3's series of that period, and five data sets that come
with sktime, without training on them and after a few epochs. Another is pretrained on
M3's, and forecasts the 100 series of M1 and Tourism that `single_series.py` draws, each
by itself. Series that share a part with what is forecast are left out of pretraining:
M3 has many of M1's, and one of these is airline. Data sets are scored as by
``sktime-llm compare``: mean MASE over three folds of each. Settings are those that
`competitions.py` chose on M3's validation part. Networks are kept in the folder
NETWORKS; one that is there is not pretrained again. A run that is already in the
results file is not repeated.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _questions import SINGLE
from _records import RESULTS, provenance, run_missing
from competitions import METHODS, SEASON, panel, point_errors, read, sharing_nothing
from single_series import FREQUENCIES, draw

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
OTHERS, M3 = ("M1", "Tourism"), ("M3",)
FIVE = "five sets"
# what `single_series.py` draws by default
DRAWN = {
    "competition": list(OTHERS),
    "part": "test",
    "n_series": 100,
    "draw_seed": 0,
}
# so that M3's monthly series, which have most windows, take minutes
SHORT_EPOCHS = {"steps_per_epoch": 100, "max_validation_windows": 2000}
TARGETS = (*(f"M3 {period}" for period in HORIZONS), FIVE, SINGLE)
PRETRAINED = [name for name in METHODS if len(METHODS[name]) == 1]
QUICK = ["CALF without language model", "LLM-TS Net without text"]
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


def pretrained(
    args: argparse.Namespace, method: str, period: str, learned: tuple[str, ...]
) -> Path:
    """Return the folder of a network of competitions, pretrained unless it is there."""
    name = f"{method} {Path(args.backbone).name} {period} {args.epochs} {args.seed}"
    if learned != OTHERS:
        name = f"{' '.join(learned)} {name}"
    folder = args.networks / name.replace(" ", "-").lower()
    if not folder.exists():
        parts = pretraining_series(args.data_dir, period, learned)
        limits = SHORT_EPOCHS if learned == M3 else {}
        forecaster = make(args, method, period, **limits)
        forecaster.pretrain(panel(parts)).save_pretrained(folder)
    return folder


def pretraining_series(
    data_dir: Path, period: str, learned: tuple[str, ...]
) -> dict[str, list[np.ndarray]]:
    """Return the series of competitions that share no part with what is forecast."""
    if learned == M3:
        targets = [parts for of, _, parts in drawn(data_dir) if of == period]
    else:
        targets = list(read(data_dir, "M3", period).values())
        targets += [[load_dataset(name).y.to_numpy()] for name in SETS]
    return {
        f"{competition} {name}": parts
        for competition in learned
        for name, parts in sharing_nothing(
            read(data_dir, competition, period), targets
        ).items()
    }


def drawn(data_dir: Path) -> list[tuple[str, str, list[np.ndarray]]]:
    """Return the period, the name and the two parts of each of the single series."""
    return draw(argparse.Namespace(data_dir=data_dir, **DRAWN))


def errors_on_m3(args: argparse.Namespace, settings: dict) -> dict:
    """Forecast the test part of M3."""
    method, period = settings["method"], settings["target"].split()[1]
    folder = pretrained(args, method, period, OTHERS)
    series = read(args.data_dir, "M3", period)
    horizon, started = HORIZONS[period], time.perf_counter()
    own = {"fine_tune_epochs": settings["fine_tune_epochs"], "checkpoint": folder}
    forecaster = make(args, method, period, **own)
    y_pred = forecaster.fit(panel(series)).predict(range(1, horizon + 1))["value"]
    forecasts = np.stack([y_pred.loc[name].to_numpy() for name in series])
    errors = point_errors(series, forecasts, SEASON[period])
    return {**errors, "seconds": round(time.perf_counter() - started, 1)}


def errors_on_single(args: argparse.Namespace, settings: dict) -> dict:
    """Forecast single series of M1 and Tourism, each by itself."""
    method, rows, seconds = settings["method"], [], 0.0
    for period, name, (train, test) in drawn(args.data_dir):
        folder = pretrained(args, method, period, M3)
        started = time.perf_counter()
        own = {"fine_tune_epochs": settings["fine_tune_epochs"], "checkpoint": folder}
        index = pd.period_range("1950-01", periods=len(train), freq=FREQUENCIES[period])
        fitted = make(args, method, period, **own).fit(pd.Series(train, index=index))
        found = fitted.predict(range(1, len(test) + 1)).to_numpy()
        errors = point_errors({name: [train, test]}, found[None], SEASON[period])
        rows.append({"series": name, "period": period, **errors})
        seconds += time.perf_counter() - started
    table = pd.DataFrame(rows)
    return {
        **table.drop(columns=["series", "period"]).mean().to_dict(),
        "mase_by_period": table.groupby("period")["mase"].mean().to_dict(),
        "mase_of_each": table.set_index("series")["mase"].round(5).to_dict(),
        "seconds": round(seconds, 1),
    }


def errors_on_sets(args: argparse.Namespace, settings: dict) -> dict:
    """Compare on the data sets that come with sktime."""
    method, mase, times = settings["method"], {}, []
    for name, period in SETS.items():
        data = load_dataset(name)
        if method in CLASSICAL:
            forecasters = default_forecasters(data.seasonal_period, [method])
        else:
            folder = pretrained(args, method, period, OTHERS)
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
    measures = {FIVE: errors_on_sets, SINGLE: errors_on_single}
    measure = measures.get(settings["target"], errors_on_m3)
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
    parser.add_argument(
        "--target", choices=TARGETS, nargs="+", default=TARGETS, metavar="TARGET"
    )
    parser.add_argument("--fine-tune-epochs", type=int, nargs="+", default=[0, 3])
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "pretrained_start.jsonl"
    )
    args = parser.parse_args()
    common = {name: getattr(args, name) for name in ("backbone", "epochs", "seed")}
    runs = [
        {"target": target, "method": method, "fine_tune_epochs": epochs, **common}
        for target in args.target
        for method in args.method
        for epochs in args.fine_tune_epochs
    ]
    if FIVE in args.target:
        runs += [{"target": FIVE, "method": method} for method in CLASSICAL]
    for record in run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['target']}, {settings['method']}",
    ):
        epochs = record.get("fine_tune_epochs")
        start = record["method"] + (f", {epochs} epochs" if epochs is not None else "")
        found = f"MASE {record['mase']:.3f}, {record['seconds']:.1f} s"
        print(f"{record['target']}, {start}: {found}", flush=True)


if __name__ == "__main__":
    main()
