"""What the one-line use costs: import, first fit with loading, second fit, saved size.

    python benchmarks/one_line.py

Every run measures anew, and is added to the results file.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORT = "import time; t = time.perf_counter(); import sktime_llm; "
IMPORT += "print(time.perf_counter() - t)"
RESULTS = Path(__file__).parent / "results" / "one_line.jsonl"
SEED = 0


def seconds(function) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def import_seconds() -> float:
    """Best of five fresh processes."""
    command = [sys.executable, "-c", IMPORT]
    runs = (subprocess.run(command, capture_output=True, text=True) for _ in range(5))
    return min(float(run.stdout) for run in runs)


def one_line() -> None:
    """Import, load the backbone, fit and forecast."""
    from sktime.datasets import load_airline

    from sktime_llm import CALFForecaster

    CALFForecaster(random_state=SEED).fit(load_airline()).predict(fh=range(1, 13))


def saved_megabytes() -> float:
    """Size of a saved forecaster with the default backbone, one epoch trained."""
    from sktime.datasets import load_airline

    from sktime_llm import CALFForecaster

    forecaster = CALFForecaster(random_state=SEED, max_epochs=1).fit(load_airline())
    with tempfile.TemporaryDirectory() as folder:
        forecaster.save(Path(folder) / "forecaster")
        return (Path(folder) / "forecaster.zip").stat().st_size / 1e6


def run() -> dict[str, float]:
    """Measure all, in this order."""
    return {
        "import_seconds": import_seconds(),
        "first_fit_seconds": seconds(one_line),
        "second_fit_seconds": seconds(one_line),
        "saved_megabytes": saved_megabytes(),
    }


def report(record: dict) -> None:
    """Print one line per measurement."""
    print(f"import sktime_llm                      {record['import_seconds']:6.3f} s")
    print(f"airline, first fit with all loading  {record['first_fit_seconds']:8.1f} s")
    print(f"airline, second fit                 {record['second_fit_seconds']:9.1f} s")
    print(f"saved forecaster                       {record['saved_megabytes']:6.1f} MB")


def main() -> None:
    """Measure, record, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    measured = run()
    # not before, as both import torch: that is part of the first fit
    from _records import append, provenance

    from sktime_llm._devices import resolve_device

    settings = {"dataset": "airline", "seed": SEED}
    record = {**settings, **measured, **provenance(resolve_device("auto"))}
    append(args.results, record)
    report(record)


if __name__ == "__main__":
    main()
