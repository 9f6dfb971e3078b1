"""Few-shot and zero-shot forecasts of ETTh1 and Exchange, as of `long_term.py`.

    python benchmarks/few_shot.py --data-dir DATA

Few-shot: a network is trained on the first 5 or 10 % of the rows that `long_term.py`
trains on. The number of epochs is that of the lowest squared error on the validation
rows, which is recorded of each. Zero-shot: a network that was trained on the other data
set, as `long_term.py` does, forecasts without having seen this one. Errors are those of
`long_term.py`, on the same test windows, standardized in the same way. CALF has no
second copy where rows are few, as published. A run that is already in the results file
is not repeated. ``--share`` without shares leaves the few-shot runs out.
"""

import argparse
import time
from pathlib import Path

from _records import RESULTS, provenance, run_missing
from long_term import BACKBONES, DATASETS, METHODS, OF_DATASET, make_forecaster
from long_term import test_errors as errors_of

from sktime_llm._devices import resolve_device

SHARES = (0.05, 0.1)
EPOCHS = (2, 5, 10, 20)
# with few rows; a rate that halves each epoch would be over after a few of them
FEW = {
    "calf": {"consistency_loss_weight": 0.0, "feature_loss_weight": 0.0},
    "balm-tsf": {"lr_schedule": "one-cycle"},
}


def settings_of(args: argparse.Namespace, method: str, dataset: str, horizon: int):
    """Yield the settings of every run on a data set."""
    common = {"method": method, "dataset": dataset, "horizon": horizon}
    names = ("backbone", "backbone_mode", "seed")
    common |= {name: getattr(args, name) for name in names}
    for share in args.share:
        own = {**METHODS[method][1], **FEW[method]}
        for epochs in EPOCHS:
            own |= {"epochs": epochs}
            own |= {"cosine_epochs": epochs} if method == "calf" else {}
            yield {**common, "share": share, **own}
    if not args.few_shot_only:
        (source,) = set(DATASETS) - {dataset}
        own = METHODS[method][1] | OF_DATASET.get((method, source), {})
        yield {**common, "trained_on": source, **own}


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Train once; return the errors on the validation rows and on the test rows."""
    own = argparse.Namespace(**{**vars(args), **settings})
    table, train_end, test_start = DATASETS[own.dataset](args.data_dir)
    if "share" in settings:
        seen, fraction = table.iloc[: round(own.share * train_end)], 0.0
    else:
        other, other_train_end, other_end = DATASETS[own.trained_on](args.data_dir)
        seen, fraction = other.iloc[:other_end], 1 - other_train_end / other_end
    forecaster = make_forecaster(own, own.horizon, fraction)
    started = time.perf_counter()
    forecaster.fit(seen)
    seconds = time.perf_counter() - started
    held_out = table.iloc[:test_start]
    validation = errors_of(forecaster, held_out, train_end, train_end, every=1)
    return {
        "rows": len(seen),
        "validation_mse": validation["mse"],
        **errors_of(forecaster, table, train_end, test_start, every=1),
        "fit_seconds": round(seconds, 1),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet, and print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--method", choices=FEW, nargs="+", default=list(FEW))
    parser.add_argument("--dataset", choices=DATASETS, nargs="+", default=["ETTh1"])
    parser.add_argument("--horizon", type=int, nargs="+", default=[96])
    parser.add_argument("--share", type=float, nargs="*", default=SHARES)
    parser.add_argument("--few-shot-only", action="store_true")
    parser.add_argument("--backbone", default=BACKBONES["default"])
    parser.add_argument("--backbone-mode", default="pretrained")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "few_shot.jsonl")
    args = parser.parse_args()
    runs = [
        settings
        for method in args.method
        for dataset in args.dataset
        for horizon in args.horizon
        for settings in settings_of(args, method, dataset, horizon)
    ]
    for record in run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['method']}, {settings['dataset']}",
    ):
        start = f"trained on {record.get('trained_on') or record['rows']}"
        print(
            f"{record['method']} {record['dataset']} {record['horizon']}, {start}, "
            f"{record['epochs']} epochs: validation {record['validation_mse']:.3f}, "
            f"MSE {record['mse']:.3f} MAE {record['mae']:.3f}, "
            f"{record['fit_seconds']:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
