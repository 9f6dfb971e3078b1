"""Long-term forecasting under the published protocol.

ETTh1: 12 months to train, 4 to validate, 4 to test; standardized by the statistics of
the training part; every test window counts; errors on standardized data. Exchange:
70 / 10 / 20 %.

    python benchmarks/long_term.py --method calf --dataset ETTh1 --horizon 96 \
        --data-dir DATA

``--preset published`` takes the settings of the public code, with GPT-2 from the Hub,
or with ``--backbone FOLDER`` from a folder. A run that is already in the results file,
with the same settings, is not repeated.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _records import RESULTS, provenance, run_missing
from _tables import NAMES, numbers, published

from sktime_llm import BALMTSFForecaster, CALFForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.training.rollout import roll_forward
from sktime_llm.training.windows import Windows, WindowShape

# What each method is run with, unless the command says otherwise.
METHODS = {
    "calf": (
        CALFForecaster,
        {
            "context_length": 96,
            "epochs": 6,
            "cosine_epochs": 6,
            "learning_rate": 5e-4,
            "batch_size": 64,
            "d_ff": 1024,  # by default; 2048 with GPT-2
            "dropout": 0.1,
            "task_loss": "mae",
            "consistency_loss": "mse",
            "consistency_loss_weight": 1.0,
            "feature_loss_weight": 0.01,
            "projection_learning_rate": None,
            "residual_in_features": False,
            "ema_decay": 0.99,
        },
    ),
    "balm-tsf": (
        BALMTSFForecaster,
        {
            "context_length": 512,
            "epochs": 8,
            "lr_schedule": "step",
            "learning_rate": 0.01,
            "batch_size": 96,
            "alignment_loss_weight": 1.0,
            "prompt_order": "text-first",
            "text_style": "short",
            "ema_decay": None,
            "text_cache_gigabytes": 2.0,
        },
    ),
}
# What the public code does instead, by `docs/methods.md`. BALM-TSF's has batches of 24
# on each of 4 GPUs, and halves its rate from the third epoch on, not from the second.
PUBLISHED = {
    "calf": {
        "epochs": 100,
        "cosine_epochs": 20,
        "batch_size": 256,
        "d_ff": 2048,
        "consistency_loss": "mae",
        "projection_learning_rate": 1e-4,
        "residual_in_features": True,
        "ema_decay": None,
    },
    "balm-tsf": {
        "epochs": 100,
        "learning_rate": 4e-4,
        "prompt_order": "prompts-first",
        "text_style": "published",
    },
}
BACKBONES = {
    "default": "sentence-transformers/all-MiniLM-L6-v2",
    "published": "openai-community/gpt2",
}
# Chosen by the validation loss, among 0.001 to 0.01 and without a language model: this
# series is short and nearly a random walk.
OF_DATASET = {("balm-tsf", "Exchange"): {"epochs": 6, "learning_rate": 1e-3}}
_ETT_HOURS = 30 * 24


def read_etth1(data_dir: Path) -> tuple[pd.DataFrame, int, int]:
    """Return the table, and the rows at which validation and test begin."""
    table = pd.read_csv(data_dir / "ETTh1.csv", index_col="date", parse_dates=True)
    table = table.asfreq("h").iloc[: 20 * _ETT_HOURS]
    return table, 12 * _ETT_HOURS, 16 * _ETT_HOURS


def read_exchange(data_dir: Path) -> tuple[pd.DataFrame, int, int]:
    """Return the table, and the rows at which validation and test begin."""
    table = pd.read_csv(data_dir / "exchange_rate.txt.gz", header=None)
    n = len(table)
    return table, int(0.7 * n), n - int(0.2 * n)


DATASETS = {"ETTh1": read_etth1, "Exchange": read_exchange}


def make_forecaster(args: argparse.Namespace, horizon: int, fraction: float):
    """Return the forecaster; by default it reaches the target on a CPU."""
    forecaster_class, defaults = METHODS[args.method]
    own = {name: getattr(args, name) for name in defaults if name != "epochs"}
    if args.method != "llm-ts-net":
        own["subtract_last"] = False  # as published
    return forecaster_class(
        prediction_length=horizon,
        backbone=args.backbone,
        backbone_mode=args.backbone_mode,
        intervals=None,
        max_epochs=args.epochs,
        patience=10,
        validation_fraction=fraction,
        random_state=args.seed,
        device=args.device,
        precision=args.precision,
        verbose=2,
        **own,
    )


def test_errors(
    forecaster, table, train_end: int, test_start: int, *, every: int
) -> dict:
    """MSE and MAE over test windows, on data standardized by the training part.

    These are all windows, or every tenth one and the like.
    """
    train = table.iloc[:train_end].to_numpy()
    values = (table.to_numpy() - train.mean(0)) / train.std(0)
    shape = WindowShape(forecaster.context_length_, forecaster.prediction_length_)
    device = resolve_device(forecaster.device)
    rows = torch.from_numpy(
        values[test_start - shape.context_length :].astype(np.float32)
    ).to(device)
    starts = torch.arange(0, len(rows) - shape.total + 1, every, device=device)
    windows = Windows(rows, starts, shape)
    squared = absolute = 0.0
    for indices in torch.arange(len(starts), device=device).split(256):
        context, target = windows.gather(indices)
        forecast = roll_forward(
            forecaster.network_,
            context,
            shape.prediction_length,
            batch_size=256,
            precision=forecaster.precision,
        ).mean
        squared += float((forecast - target).square().mean()) * len(indices)
        absolute += float((forecast - target).abs().mean()) * len(indices)
    n = len(starts)
    return {"test_windows": n, "mse": squared / n, "mae": absolute / n}


def run(args: argparse.Namespace, horizon: int) -> dict:
    """Train and test once; return the errors and how they came about."""
    table, train_end, test_start = DATASETS[args.dataset](args.data_dir)
    fraction = 1 - train_end / test_start
    forecaster = make_forecaster(args, horizon, fraction)
    started = time.perf_counter()
    forecaster.fit(table.iloc[:test_start])
    seconds = time.perf_counter() - started
    history = forecaster.history_
    return {
        **test_errors(forecaster, table, train_end, test_start, every=1),
        "best_epoch": int(history.loc[history["best"] == 1, "epoch"].iloc[0]),
        "epochs_run": len(history),
        "fit_seconds": round(seconds, 1),
        "history": history.round(6).to_dict("list"),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run every horizon that is not in the results yet, and print all of them."""
    args = parse_arguments()
    ignored = ("horizon", "data_dir", "results", "text_cache_gigabytes", "preset")
    common = {k: v for k, v in vars(args).items() if k not in ignored}
    for record in run_missing(
        args.results,
        runs=[{**common, "horizon": horizon} for horizon in args.horizon],
        measure=lambda settings: run(args, settings["horizon"]),
        label=lambda settings: f"horizon {settings['horizon']}",
    ):
        report(record)


def parse_arguments() -> argparse.Namespace:
    """Read the command line; the method has its own options, the data set defaults."""
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--method", choices=list(METHODS), default="calf")
    first.add_argument("--dataset", choices=list(DATASETS), default="ETTh1")
    first.add_argument("--preset", choices=list(BACKBONES), default="default")
    known = first.parse_known_args()[0]
    own = METHODS[known.method][1]
    if known.preset == "published":
        own = own | PUBLISHED[known.method]
    else:
        own = own | OF_DATASET.get((known.method, known.dataset), {})
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], parents=[first]
    )
    parser.add_argument("--horizon", type=int, nargs="+", default=[96])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--backbone", default=BACKBONES[known.preset])
    parser.add_argument("--backbone-mode", default="pretrained")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "long_term.jsonl")
    for name, default in own.items():
        option = "--" + name.replace("_", "-")
        if isinstance(default, bool):
            action = argparse.BooleanOptionalAction
            parser.add_argument(option, action=action, default=default)
        else:
            kind = float if default is None else type(default)
            parser.add_argument(option, type=kind, default=default)
    return parser.parse_args()


def report(record: dict) -> None:
    """Print one result beside the published one."""
    paper = (
        published(record["dataset"], record["horizon"], metric)
        for metric in ("MSE", "MAE")
    )
    paper = numbers(*(errors.get(NAMES[record["method"]]) for errors in paper))
    beside = f" (published {paper})" if paper else ""
    print(
        f"{record['method']} {record['dataset']} L={record['context_length']} "
        f"H={record['horizon']} seed {record['seed']}: MSE {record['mse']:.4f} "
        f"MAE {record['mae']:.4f}{beside}; {record['test_windows']} test windows, "
        f"best epoch {record['best_epoch']} of {record['epochs_run']}, "
        f"{record['fit_seconds']:.0f} s on {record['machine']}",
        flush=True,
    )


if __name__ == "__main__":
    main()
