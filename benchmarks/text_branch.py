"""What BALM-TSF's text costs: tokens, speed and accuracy, step by step.

From the published text branch (prompts first, numbers in full) to the one that is
shipped, one idea at a time. Speeds are medians over rounds in which the variants take
turns, so that a busy machine slows all alike; their ratios are what counts. Accuracy is
on every tenth test window of ETTh1 after the same, few, steps.

    python benchmarks/text_branch.py --data-dir DATA
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from _records import RESULTS, provenance, run_missing
from long_term import read_etth1

from sktime_llm import BALMTSFForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.training.rollout import roll_forward
from sktime_llm.training.windows import Windows, WindowShape

SHAPE = WindowShape(512, 96)
VARIANTS = {
    "published": {"prompt_order": "prompts-first", "text_style": "published"},
    "short text": {"prompt_order": "prompts-first", "text_style": "short"},
    "short text, read before the prompts": {"text_cache_gigabytes": 0.0},
    "the same, each text read once (shipped)": {},
    "no language model": {"backbone_mode": "none"},
}
COMPARED = ("published", "the same, each text read once (shipped)")


def main() -> None:
    """Print speeds, then accuracies; a recorded run is not repeated."""
    args = parse_arguments()
    settings = {
        name: getattr(args, name)
        for name in ("backbone", "windows", "rounds", "steps", "seed", "device")
    }
    for record in run_missing(
        args.results,
        runs=[settings],
        measure=lambda settings: run(args),
        label=lambda settings: f"{settings['windows']} windows a batch",
    ):
        report(record)


def run(args: argparse.Namespace) -> dict:
    """Measure speeds of all variants, and accuracies of the two that are compared."""
    table, train_end, test_start = read_etth1(args.data_dir)
    mean, deviation = table.iloc[:train_end].mean(), table.iloc[:train_end].std(ddof=0)
    device = resolve_device(args.device)
    scaled = ((table - mean) / deviation).to_numpy(np.float32)
    values = torch.from_numpy(scaled).to(device)
    speeds = measure_speeds(args, table, values, train_end)
    errors = {
        name: measure_error(args, table, values, name, train_end, test_start)
        for name in COMPARED
    }
    return {"speeds": speeds, "errors": errors, **provenance(device)}


def make(args: argparse.Namespace, name: str, **settings) -> BALMTSFForecaster:
    return BALMTSFForecaster(
        context_length=SHAPE.context_length,
        prediction_length=SHAPE.prediction_length,
        backbone=args.backbone,
        validation_fraction=0,
        intervals=None,
        random_state=args.seed,
        device=args.device,
        verbose=0,
        **{"batch_size": args.windows, **VARIANTS[name], **settings},
    )


def measure_speeds(args, table, values, train_end: int) -> dict:
    """Series per second of a training step and of a forecast, in turns."""
    networks = {
        name: make(args, name, max_epochs=1, steps_per_epoch=1)
        .set_params(subtract_last=False)  # as of the whole table
        .fit(table.iloc[: SHAPE.total + args.windows])
        .network_
        for name in VARIANTS
    }
    starts = torch.arange(train_end - SHAPE.total, device=values.device)
    windows = Windows(values, starts, SHAPE)
    generator = torch.Generator().manual_seed(args.seed)
    # a text is new once a fit, and known in every later epoch
    batch = torch.randperm(len(starts), generator=generator)[: args.windows]
    context, target = windows.gather(batch.to(values.device))
    in_a_row, _ = windows.gather(torch.arange(args.windows, device=values.device))
    kinds = ("train", "forecast", "forecast in a row")
    times = {name: {kind: [] for kind in kinds} for name in networks}
    tokens = {}
    for name, network in networks.items():
        features = network.window_features(context)
        tokens[name] = float((features["token_ids"] >= 0).sum(-1).float().mean())
        tokens[name] += len(network.text.prompts)
    for _ in range(args.rounds):
        for name, network in networks.items():
            spent = time_all(network, context, target, in_a_row)
            for what, seconds in spent.items():
                times[name][what].append(seconds)
    n_series = args.windows * values.shape[1]
    return {
        name: {
            "tokens": round(tokens[name], 1),
            **{what: n_series / median(t) for what, t in times[name].items()},
        }
        for name in networks
    }


def time_all(network, context, target, in_a_row) -> dict[str, float]:
    """Seconds of a training step on windows seen before, and of forecasts."""
    features = network.window_features(context)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-6)
    with network.train().training_context():
        step(network, optimizer, context, target, features)  # reads the texts
        synchronize(context)
        started = time.perf_counter()
        step(network, optimizer, context, target, features)
        synchronize(context)
        training = time.perf_counter() - started
    return {
        "train": training,
        "forecast": time_forecast(network, context),
        "forecast in a row": time_forecast(network, in_a_row),
    }


@torch.inference_mode()
def time_forecast(network, context) -> float:
    """Seconds of a forecast; writing and tokenising the texts is part of it."""
    network.eval()
    started = time.perf_counter()
    network(context)
    synchronize(context)
    return time.perf_counter() - started


def step(network, optimizer, context, target, features) -> None:
    loss = network(context, target, features).losses["loss"]
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def synchronize(tensor: torch.Tensor) -> None:
    if tensor.device.type == "cuda":
        torch.cuda.synchronize()


def measure_error(args, table, values, name: str, train_end: int, test_start: int):
    """MSE and MAE on standardized data after a short training."""
    forecaster = make(
        args, name, max_epochs=1, steps_per_epoch=args.steps, learning_rate=0.005
    ).fit(table.iloc[:train_end])
    first = test_start - SHAPE.context_length
    starts = torch.arange(first, len(table) - SHAPE.total + 1, 10, device=values.device)
    windows = Windows(values, starts, SHAPE)
    context, target = windows.gather(torch.arange(len(starts), device=values.device))
    length = SHAPE.prediction_length
    forecast = roll_forward(forecaster.network_, context, length, batch_size=32).mean
    error = forecast - target
    return {"mse": float(error.square().mean()), "mae": float(error.abs().mean())}


def report(record: dict) -> None:
    """Print a table, with ratios to the published text."""
    base = record["speeds"]["published"]
    print(
        f"{'':42}tokens  training step    forecast         in a row          MSE    MAE"
    )
    for name, row in record["speeds"].items():
        error = record["errors"].get(name)
        accuracy = f"{error['mse']:.4f} {error['mae']:.4f}" if error else ""
        print(
            f"{name:42}{row['tokens']:6.1f}  "
            + "".join(
                f"{row[kind]:6.1f}/s {row[kind] / base[kind]:5.2f}x  "
                for kind in ("train", "forecast", "forecast in a row")
            )
            + accuracy
        )
    print(
        f"series per second, {record['windows']} windows of ETTh1 a batch, at random "
        "or one hour after the other, as in a rolling evaluation; "
        f"{record['rounds']} rounds; accuracy after {record['steps']} steps; "
        f"{record['machine']}"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "text_branch.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    main()
