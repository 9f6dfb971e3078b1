"""How time and memory grow with the number of series of a panel.

    python benchmarks/scale.py

A forecaster on ``tiny-random`` is fitted for one epoch on a panel of random walks, and
forecasts; each panel in a process of its own, on one thread. Arithmetic is what the
network computes: training, the forecasts of the windows that calibrate intervals, and
those of predict. All else is reading, checking, scaling and labeling. Seconds are
those of the processor. Memory is what the process has at most above what it has with
the panel and all imports, before fit. A run that is already in the results file is not
repeated.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from functools import wraps
from pathlib import Path

from _records import RESULTS, run_missing

METHODS = ("CALFForecaster", "BALMTSFForecaster", "LLMTSNetForecaster")
SIZES = (1000, 3000, 10_000, 30_000, 100_000)
N_ROWS, HORIZON = 30, 6
# where the network computes: the name of a function in the module that calls it
ARITHMETIC = (
    ("sktime_llm.forecasting._training", "train"),
    ("sktime_llm.forecasting._conformal", "roll_forward"),
    ("sktime_llm.forecasting._predicting", "roll_forward"),
)


def count_seconds(spent: list[float]) -> None:
    """Make the functions that compute append the processor's seconds that they take."""
    for module_name, name in ARITHMETIC:
        module = importlib.import_module(module_name)
        call = getattr(module, name)

        @wraps(call)
        def counted(*args, _call=call, **kwargs):
            started = time.process_time()
            try:
                return _call(*args, **kwargs)
            finally:
                spent.append(time.process_time() - started)

        setattr(module, name, counted)


def make_panel(n_series: int):
    """Return random walks by month, and their size in bytes."""
    import numpy as np
    import pandas as pd

    keys = [f"series {i:06d}" for i in range(n_series)]
    months = pd.period_range("2020-01", periods=N_ROWS, freq="M")
    index = pd.MultiIndex.from_product([keys, months], names=["series", "month"])
    steps = np.random.default_rng(0).normal(size=(n_series, N_ROWS))
    y = pd.DataFrame({"y": 100 + steps.cumsum(axis=1).ravel()}, index=index)
    return y, int(y.memory_usage(deep=True).sum())


def peak_mib() -> float:
    """Return the most memory that this process has had."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure_here(name: str, n_series: int) -> dict:
    """Fit and forecast in this process."""
    import torch
    from _records import provenance

    import sktime_llm

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    options = {"backbone": "tiny-random", "max_epochs": 1, "random_state": 0}
    make = getattr(sktime_llm, name)
    y, n_bytes = make_panel(n_series)
    small = y.iloc[: 20 * N_ROWS]
    make(**options, device="cpu", verbose=0).fit(small, fh=[1]).predict()  # imports
    spent: list[float] = []
    count_seconds(spent)
    before, started = peak_mib(), time.process_time()
    forecaster = make(**options, device="cpu", verbose=0)
    forecaster.fit(y, fh=range(1, HORIZON + 1))
    fitted = time.process_time()
    forecasts = forecaster.predict()
    done = time.process_time()
    assert len(forecasts) == n_series * HORIZON
    return {
        "fit_seconds": fitted - started,
        "forecast_seconds": done - fitted,
        "arithmetic_seconds": sum(spent),
        "beside_seconds": done - started - sum(spent),
        "peak_mib": peak_mib() - before,
        "panel_mib": n_bytes / 2**20,
        **provenance(torch.device("cpu")),
    }


def measure(settings: dict) -> dict:
    """Fit and forecast in a process of its own."""
    arguments = ["--here", settings["name"], str(settings["n_series"])]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    record = json.loads(done.stdout.splitlines()[-1])
    return {**record, "command": "python benchmarks/scale.py"}


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", nargs="+", choices=METHODS, default=METHODS[:1])
    parser.add_argument("--n-series", type=int, nargs="+", default=SIZES)
    parser.add_argument("--results", type=Path, default=RESULTS / "scale.jsonl")
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(json.dumps(measure_here(args.here[0], int(args.here[1]))))
        return
    runs = [
        {"name": name, "n_series": n, "n_rows": N_ROWS, "horizon": HORIZON}
        for name in args.method
        for n in args.n_series
    ]
    print(f"{'':20}{'series':>8}{'arithmetic':>12}{'beside':>9}{'MiB':>7}")
    for record in run_missing(args.results, runs, measure, lambda run: run["name"]):
        print(
            f"{record['name']:20}{record['n_series']:8}"
            f"{record['arithmetic_seconds']:10.2f} s{record['beside_seconds']:7.2f} s"
            f"{record['peak_mib']:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
