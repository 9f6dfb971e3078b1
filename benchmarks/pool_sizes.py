"""How large should the prompt pool of LLM-TS Net be, and what keeps it diverse?

    python benchmarks/pool_sizes.py --data-dir DATA

M3's quarterly series, one network for all, without text, trained briefly: 10 epochs of
100 steps. By default a series takes 2 of 16 prompts, and the loss that spreads their
keys has the weight 0.1. Errors are of the last block of the training parts, held out as
in ``competitions.py``. `prompt_pool.py` asks, on synthetic series, whether series of
one pattern choose the same prompts. A run that is already in the results file is not
repeated.
"""

import argparse
import time
import warnings
from pathlib import Path

from _records import RESULTS, provenance, run_missing
from competitions import SEASON, forecast, hold_out, panel, point_errors, read

from sktime_llm import LLMTSNetForecaster
from sktime_llm._devices import resolve_device

PERIOD, HORIZON = "quarterly", 8
POOLS: dict[str, dict] = {
    "no pool": {"prompt_pool": False},
    **{f"{n} prompts": {"n_prompts": n} for n in (2, 4, 8, 16, 32, 64, 128)},
    "16 prompts, selection loss x 0": {"selection_loss_weight": 0.0},
    "16 prompts, selection loss x 1": {"selection_loss_weight": 1.0},
}


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Train and forecast once; return errors, costs, and how much of a pool is used."""
    series = hold_out(read(args.data_dir, "M3", PERIOD))
    forecaster = LLMTSNetForecaster(
        text_fusion=False,
        context_length=2 * HORIZON,
        prediction_length=HORIZON,
        max_epochs=settings["epochs"],
        cosine_epochs=settings["epochs"],
        steps_per_epoch=settings["steps_per_epoch"],
        learning_rate=1e-3,
        random_state=settings["seed"],
        device=args.device,
        intervals=None,
        **POOLS[settings["pool"]],
    )
    started = time.process_time()
    forecasts = forecast(forecaster, panel(series), HORIZON)["forecasts"]
    spent = time.process_time() - started
    history = forecaster.history_
    in_use = None
    if "pool_in_use" in history:
        in_use = float(history["pool_in_use"].iloc[int(history["best"].argmax())])
    return {
        **point_errors(series, forecasts, SEASON[PERIOD]),
        "share_in_use": in_use,
        "cpu_seconds": round(spent, 1),
        "series": len(series),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--pool", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps-per-epoch", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "pool_sizes.jsonl")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    common = {"epochs": args.epochs, "steps_per_epoch": args.steps_per_epoch}
    runs = [{"pool": p, "seed": s, **common} for p in args.pool for s in args.seeds]
    for record in run_missing(
        args.results, runs, lambda settings: run(args, settings), lambda s: s["pool"]
    ):
        in_use = record["share_in_use"]
        used = "" if in_use is None else f"{100 * in_use:5.0f} % in use"
        print(
            f"{record['pool']:32}{record['mase']:8.3f} MASE {record['smape']:8.2f} "
            f"sMAPE {record['cpu_seconds']:7.1f} CPU s {used}",
            flush=True,
        )


if __name__ == "__main__":
    main()
