"""Seconds to the first forecast of a saved forecaster in a fresh process.

    python benchmarks/first_forecast.py

A forecaster is fitted to the airline data and saved with ``save_pretrained``. Fresh
processes load it, on one thread, and forecast. Python itself tells how long each import
took (``-X importtime``, without what it imported in turn); the rest is loading weights
and forecasting. Medians of the processes. A run that is already in the results file is
not repeated.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from _records import RESULTS, provenance, run_missing

import sktime_llm
from sktime_llm._devices import resolve_device

METHODS = ("CALFForecaster", "BALMTSFForecaster", "LLMTSNetForecaster")
MARK = "the imports of Python itself end here"
CODE = """
import sys, time
print({mark!r}, file=sys.stderr, flush=True)
started = time.perf_counter()
from sktime_llm import {method}
{method}.from_pretrained(sys.argv[1]).predict(fh=range(1, 13))
print(time.perf_counter() - started)
"""
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)$", re.MULTILINE)
_SHOWN = 6  # packages; the others are taken together


def forecast_in_a_new_process(method: str, folder: Path) -> tuple[float, Counter]:
    """Return the seconds of all, and those of imports by package."""
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-c",
        CODE.format(method=method, mark=MARK),
    ]
    done = subprocess.run(
        [*command, str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds: Counter = Counter()
    own = done.stderr.partition(MARK)[2]
    for microseconds, module in _IMPORT.findall(own):
        seconds[module.partition(".")[0]] += int(microseconds) / 1e6
    return float(done.stdout.splitlines()[-1]), seconds


def run(method: str, n_processes: int) -> dict:
    """Fit, save, and measure the first forecast in fresh processes."""
    from sktime.datasets import load_airline

    options = {"max_epochs": 1, "intervals": None, "random_state": 0, "verbose": 0}
    forecaster = getattr(sktime_llm, method)(**options)
    forecaster.fit(load_airline(), fh=range(1, 13))
    with tempfile.TemporaryDirectory() as folder:
        path = forecaster.save_pretrained(Path(folder) / "saved")
        found = [forecast_in_a_new_process(method, path) for _ in range(n_processes)]
    imports = [sum(seconds.values()) for _, seconds in found]
    packages = dict(found[-1][1].most_common(_SHOWN))
    return {
        "import_seconds": statistics.median(imports),
        "beside_seconds": statistics.median(
            total - spent for (total, _), spent in zip(found, imports, strict=True)
        ),
        "packages": {name: round(each, 3) for name, each in packages.items()},
        "n_processes": n_processes,
        **provenance(resolve_device("cpu")),
    }


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--n-processes", type=int, default=5)
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "first_forecast.jsonl"
    )
    args = parser.parse_args()
    for record in run_missing(
        args.results,
        [{"name": method} for method in args.method],
        lambda settings: run(settings["name"], args.n_processes),
        lambda settings: settings["name"],
    ):
        slowest = ", ".join(f"{p} {s:.2f}" for p, s in record["packages"].items())
        print(
            f"{record['name']}: imports {record['import_seconds']:.2f} s ({slowest}), "
            f"beside them {record['beside_seconds']:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
