"""What the one-line use costs: import, first fit with loading, second fit, saved size.

python benchmarks/one_line.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORT = "import time; t = time.perf_counter(); import sktime_llm; "
IMPORT += "print(time.perf_counter() - t)"


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

    CALFForecaster(random_state=0).fit(load_airline()).predict(fh=range(1, 13))


def saved_megabytes() -> float:
    """Size of a saved forecaster with the default backbone, one epoch trained."""
    from sktime.datasets import load_airline

    from sktime_llm import CALFForecaster

    forecaster = CALFForecaster(random_state=0, max_epochs=1).fit(load_airline())
    with tempfile.TemporaryDirectory() as folder:
        forecaster.save(Path(folder) / "forecaster")
        return (Path(folder) / "forecaster.zip").stat().st_size / 1e6


def main() -> None:
    """Print one line per measurement."""
    print(f"import sktime_llm                      {import_seconds():6.3f} s")
    print(f"airline, first fit with all loading    {seconds(one_line):6.1f} s")
    print(f"airline, second fit                    {seconds(one_line):6.1f} s")
    print(f"saved forecaster                       {saved_megabytes():6.1f} MB")


if __name__ == "__main__":
    main()
