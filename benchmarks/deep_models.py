"""Current deep models on the data and by the protocol of ``long_term.py``.

    pip install neuralforecast
    python benchmarks/deep_models.py --data-dir DATA

DLinear, PatchTST, iTransformer and TimeMixer as neuralforecast has them, with its own
sizes: the same rows for training and validation, the same standardization, all windows
of the test part, a rate of 0.001 and 32 windows of all variates in a batch. The library
keeps the last weights, so each model is trained twice: at most 2,000 steps, until five
checks of 100 steps brought no lower validation loss, and then anew up to the best of
these checks. Beside them the report puts the recorded runs of ours. A run that is
already in the results file is not repeated.
"""

import argparse
import logging
import time
import warnings
from pathlib import Path

import pandas as pd
import torch
from _records import RESULTS, provenance, run_missing
from long_term import DATASETS

MODELS = ("DLinear", "PatchTST", "iTransformer", "TimeMixer")
MULTIVARIATE = ("iTransformer", "TimeMixer")
FREQUENCIES = {"ETTh1": "h", "Exchange": "D"}
TASKS = (("ETTh1", 96, 96), ("ETTh1", 512, 96), ("Exchange", 512, 96))
CHECK, CHECKS, BATCH, RATE = 100, 5, 32, 1e-3


def read_long(data_dir: Path, dataset: str) -> tuple[pd.DataFrame, int, int]:
    """Return the standardized table, long, and the rows for validation and testing."""
    table, train_end, test_start = DATASETS[dataset](data_dir)
    train = table.iloc[:train_end]
    scaled = (table - train.mean()) / train.std(ddof=0)
    if not isinstance(scaled.index, pd.DatetimeIndex):
        scaled.index = pd.date_range("1990", periods=len(scaled), freq="D")
    scaled = scaled.rename_axis("ds").rename_axis(columns="unique_id")
    long = scaled.T.stack().rename("y").reset_index()
    return long, test_start - train_end, len(table) - test_start


def make(settings: dict, n_series: int, max_steps: int, device: str):
    """Return a model of neuralforecast."""
    from neuralforecast import models
    from neuralforecast.losses.pytorch import MSE

    multivariate = settings["model"] in MULTIVARIATE
    own = {"n_series": n_series} if multivariate else {}
    return getattr(models, settings["model"])(
        h=settings["horizon"],
        input_size=settings["context_length"],
        max_steps=max_steps,
        val_check_steps=min(CHECK, max_steps),
        early_stop_patience_steps=CHECKS if max_steps > CHECK else -1,
        learning_rate=RATE,
        windows_batch_size=BATCH if multivariate else BATCH * n_series,
        loss=MSE(),
        random_seed=settings["seed"],
        accelerator=device,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **own,
    )


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Train one model and forecast all test windows; return errors and seconds."""
    from neuralforecast import NeuralForecast

    frequency = FREQUENCIES[settings["dataset"]]
    long, n_validation, n_test = read_long(args.data_dir, settings["dataset"])
    n_series = long["unique_id"].nunique()
    started = time.perf_counter()
    known = long.groupby("unique_id").head(-n_test)
    first = make(settings, n_series, settings["steps"], args.device)
    searched = NeuralForecast([first], freq=frequency)
    searched.fit(known, val_size=n_validation)
    checks = searched.models[0].valid_trajectories
    best, loss = min(checks, key=lambda check: check[1])
    again = make(settings, n_series, max(int(best), 1), args.device)
    found = NeuralForecast([again], freq=frequency).cross_validation(
        long, n_windows=None, val_size=n_validation, test_size=n_test, step_size=1
    )
    off = found[settings["model"]] - found["y"]
    device = torch.device("cuda" if args.device == "gpu" else "cpu")
    return {
        "test_windows": len(found) // settings["horizon"] // n_series,
        "best_step": int(best),
        "validation_mse": float(loss),
        "mse": float(off.pow(2).mean()),
        "mae": float(off.abs().mean()),
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(device, ("torch", "neuralforecast")),
    }


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", choices=MODELS, nargs="+", default=MODELS)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS / "deep_models.jsonl")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    names = ("dataset", "context_length", "horizon")
    common = {"steps": args.steps, "seed": args.seed}
    runs = [
        {"model": model, **dict(zip(names, task, strict=True)), **common}
        for task in TASKS
        for model in args.model
    ]
    for record in run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['model']}, {settings['dataset']}",
    ):
        print(
            f"{record['model']}, {record['dataset']}, {record['horizon']} from "
            f"{record['context_length']}: MSE {record['mse']:.3f} MAE "
            f"{record['mae']:.3f}, step {record['best_step']}, {record['seconds']:.0f} "
            f"s",
            flush=True,
        )


if __name__ == "__main__":
    main()
