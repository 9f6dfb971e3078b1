"""How long does a fit take beside other processes?

A fit is timed alone and beside one busy process per core, and alone as it was before
the number of threads was chosen: on as many as PyTorch takes by itself, here "plain".
Each is the mean over the steps of training, without the first, in a process of its own,
and the median of rounds that take the ways in turn.

    python benchmarks/busy.py

A run that is already in the results file is not repeated. ETTh1 and the 207 sensors are
simulated in the shape of the data.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
METHODS = ("CALF", "BALM-TSF", "LLM-TS Net")
# Rows, variates, context and horizon of what is simulated.
SHAPES = {
    "airline": None,
    "ETTh1": (1000, 7, 96, 96),
    "207 sensors": (400, 207, 12, 12),
}
WAYS = ("alone", "plain", "beside")
BUSY = "while True: pass"


class EnoughError(Exception):
    """Ends a fit once it ran for long enough."""


def one_fit(method: str, shape: str, way: str, seconds: float) -> float:
    """Return the mean seconds of a step of training, of at least two steps."""
    if way == "plain":
        import torch  # noqa: F401, before sktime_llm loads it in its way

    import sktime_llm

    # first of all, as users do: it is what loads torch
    name = method.replace("-", "").replace(" ", "") + "Forecaster"
    forecaster = getattr(sktime_llm, name)
    from sktime_llm import _threads
    from sktime_llm.training import trainer

    if way == "plain":
        _threads.MIN_FLOPS = 0.0
    ends: list[float] = []
    train_step = trainer._Run.train_step

    def timed(run, *arguments):
        losses = train_step(run, *arguments)
        ends.append(time.perf_counter())
        if len(ends) > 2 and ends[-1] - ends[0] > seconds:
            raise EnoughError
        return losses

    trainer._Run.train_step = timed
    y, lengths = make_data(shape)
    options = {"max_epochs": 100, "patience": None, "device": "cpu", "verbose": 0}
    if method == "LLM-TS Net":
        options["language_model_steps"] = 0
    with suppress(EnoughError):
        forecaster(**options, **lengths).fit(y)
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def make_data(shape: str):
    """Return a series or table, and the lengths of context and forecast."""
    import numpy as np
    import pandas as pd
    from sktime.datasets import load_airline

    if SHAPES[shape] is None:
        return load_airline(), {"prediction_length": 12}
    n_rows, n_variates, context_length, horizon = SHAPES[shape]
    rng = np.random.default_rng(0)
    phases = rng.uniform(0, 2 * np.pi, n_variates)
    days = np.sin(2 * np.pi * np.arange(n_rows)[:, None] / 24 + phases)
    table = pd.DataFrame(days + 0.3 * rng.standard_normal(days.shape))
    return table, {"context_length": context_length, "prediction_length": horizon}


@contextmanager
def busy_processes(n: int) -> Iterator[None]:
    """Keep `n` processes computing."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(method: str, shape: str, seconds: float, rounds: int) -> dict:
    """Time a fit in all ways by turns, each in a fresh process."""
    import torch
    from _records import provenance

    found = {way: [] for way in WAYS}
    for way in WAYS * rounds:
        options = ["--one", method, shape, way, "--seconds", str(seconds)]
        command = [sys.executable, __file__, *options]
        with busy_processes(os.cpu_count() if way == "beside" else 0):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {way: statistics.median(times) for way, times in found.items()}
    return {**medians, "rounds": rounds, **provenance(torch.device("cpu"))}


def report(records: list[dict]) -> None:
    """Print the seconds of a step and their ratios."""
    print(f"{'seconds of a step':24s}{'alone':>9s}{'beside':>9s}{'ratio':>7s}", end="")
    print(f"{'plain':>9s}{'alone / plain':>15s}")
    for record in records:
        alone, plain, beside = (record[way] for way in WAYS)
        name = f"{record['method']}, {record['shape']}"
        print(f"{name:24s}{alone:9.3f}{beside:9.3f}{beside / alone:7.2f}", end="")
        print(f"{plain:9.3f}{alone / plain:15.2f}")


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--shape", choices=SHAPES, nargs="+", default=list(SHAPES))
    parser.add_argument("--seconds", type=float, default=3.0, help="of one fit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS / "busy.jsonl")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one_fit(*args.one, args.seconds)))
        return
    from _records import run_missing

    runs = [{"method": m, "shape": s} for m in args.method for s in args.shape]
    records = run_missing(
        args.results,
        runs,
        measure=lambda run: measure(**run, seconds=args.seconds, rounds=args.rounds),
        label=lambda run: f"{run['method']}, {run['shape']}",
    )
    report(list(records))


if __name__ == "__main__":
    main()
