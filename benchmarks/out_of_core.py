"""Forecasts of a panel in little memory, by a run that is killed in the middle.

    python benchmarks/out_of_core.py

A file of synthetic monthly series is written piece by piece, and CALF on
``tiny-random`` is fitted on 500 of them. The command ``sktime-llm forecast --engine``
forecasts all of them while the address space of each of its processes is limited. All
of its processes get SIGKILL when half of the partitions are done, and the command is
started again. Then each series has to be there once, and a sample has to have the
forecasts of a run without a kill. ``--engine memory`` instead reads the whole file, for
comparison. A run that is already in the results file is not repeated. Needs Linux.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from _records import RESULTS, provenance, run_missing

from sktime_llm import CALFForecaster
from sktime_llm.datasets import read_table
from sktime_llm.engines import forecast_partitions

N_ROWS, HORIZON, N_FITTED, N_SAMPLE, CHUNK = 48, 12, 500, 1000, 5000
ENGINES = ("local", "dask", "ray", "memory")
NAMES = {"time_column": "month", "id_column": "series"}
# The allocator of pyarrow reserves a gigabyte of addresses, of which it uses little.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
IN_MEMORY = """
import sys
from sktime_llm import load_pretrained
from sktime_llm.datasets import read_table

panel, model, out, horizon = sys.argv[1:]
y = read_table(panel, time_column="month", id_column="series")
forecaster = load_pretrained(model).update(y, update_params=False)
forecaster.predict(range(1, int(horizon) + 1)).to_parquet(out)
"""


def make_chunk(first: int, n_series: int) -> pd.DataFrame:
    """Return series with a season and a drift, in the order of their numbers."""
    rng = np.random.default_rng(first)
    t = np.arange(N_ROWS)
    phase = rng.uniform(0, 2 * np.pi, (n_series, 1))
    values = 100 + 10 * np.sin(t * 2 * np.pi / 12 + phase)
    values += rng.normal(size=(n_series, N_ROWS)).cumsum(axis=1)
    names = [f"series {i:07d}" for i in range(first, first + n_series)]
    months = pd.date_range("2020-01-01", periods=N_ROWS, freq="MS")
    return pd.DataFrame(
        {
            "series": np.repeat(names, N_ROWS),
            "month": np.tile(months, n_series),
            "value": values.ravel(),
        }
    )


def write_panel(path: Path, n_series: int) -> None:
    """Write series piece by piece."""
    writer = None
    for first in range(0, n_series, CHUNK):
        chunk = make_chunk(first, min(CHUNK, n_series - first))
        table = pa.Table.from_pandas(chunk, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def write_some(panel: Path, path: Path, n_series: int, n_wanted: int) -> Path:
    """Write series of a panel, at equal distances, to a file of their own."""
    wanted = np.unique(np.linspace(0, n_series - 1, n_wanted).round().astype(int))
    names = [f"series {i:07d}" for i in wanted]
    pq.write_table(pq.read_table(panel, filters=[("series", "in", names)]), path)
    return path


def fit(sample: Path, folder: Path) -> Path:
    """Fit a small forecaster on some of the series, and save it."""
    y = read_table(sample, **NAMES)
    forecaster = CALFForecaster(
        backbone="tiny-random", max_epochs=2, random_state=0, device="cpu", verbose=0
    )
    return forecaster.fit(y, fh=range(1, HORIZON + 1)).save_pretrained(folder)


def run_limited(
    command: list[str], gib: float, kill_if: Callable[[], bool]
) -> tuple[int, float, dict[str, list[float]]]:
    """Run a command with a limit of address space; return its status and seconds.

    And the most memory, and address space, in MiB, that each of its processes had: the
    first one first, then the others by size. All of them get SIGKILL as soon as
    `kill_if` says so.
    """
    limit = int(gib * 2**30)
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **ENVIRONMENT},
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        stdout=sys.stderr,
    )
    peaks: dict[int, tuple[float, float]] = {}
    while process.poll() is None:
        look(process.pid, peaks)
        if kill_if():
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.2)
    process.wait()
    seconds = time.perf_counter() - started
    first = peaks.pop(process.pid, (0.0, 0.0))
    each = [first, *sorted(peaks.values(), reverse=True)]
    sizes = zip(*each, strict=True)
    names = ("peak_mib", "address_space_mib")
    return process.returncode, seconds, dict(zip(names, sizes, strict=True))


def look(pid: int, peaks: dict[int, tuple[float, float]]) -> None:
    """Note the peaks so far of a process and all that it started."""
    try:
        family = [psutil.Process(pid)]
        family += family[0].children(recursive=True)
        for one in family:
            status = Path(f"/proc/{one.pid}/status").read_text()
            lines = dict(line.split(":", 1) for line in status.splitlines())
            sizes = [lines[name].split()[0] for name in ("VmHWM", "VmPeak")]
            peaks[one.pid] = tuple(int(size) / 2**10 for size in sizes)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError, KeyError):
        return  # it has just ended


def parts(folder: Path) -> list[Path]:
    """Return the files of partitions that are whole."""
    return sorted(folder.glob("part-*.parquet"))


def check(folder: Path, n_series: int, expected: pd.DataFrame) -> dict:
    """Count series that are lost or twice; compare a sample with its forecasts."""
    seen: dict[str, int] = {}
    sampled = []
    for file in parts(folder):
        table = pd.read_parquet(file)
        for name, n in table["series"].value_counts().items():
            seen[name] = seen.get(name, 0) + n
        sampled.append(table[table["series"].isin(expected["series"])])
    found = pd.concat(sampled, ignore_index=True)
    assert found[["series", "time"]].equals(expected[["series", "time"]])
    return {
        "n_lost": n_series - len(seen),
        "n_twice": sum(n > HORIZON for n in seen.values()),
        "n_incomplete": sum(n < HORIZON for n in seen.values()),
        "n_compared": len(expected["series"].unique()),
        "largest_difference": float(
            (found["forecast"] - expected["forecast"]).abs().max()
        ),
    }


def measure(settings: dict, work: Path) -> dict:
    """Forecast a panel, kill that in the middle, and start it again."""
    n_series, gib = settings["n_series"], settings["address_space_gib"]
    panel = work / f"panel-{n_series}.parquet"
    if not panel.exists():
        write_panel(panel, n_series)
    some = write_some(panel, work / "fitted.parquet", n_series, N_FITTED)
    model = fit(some, work / "model")
    record = {"file_mib": panel.stat().st_size / 2**20}
    if settings["engine"] == "memory":
        paths = map(str, (panel, model, work / "whole.parquet", HORIZON))
        command = [sys.executable, "-c", IN_MEMORY, *paths]
        status, seconds, peaks = run_limited(command, gib, lambda: False)
        record |= {"status": status, "seconds": [seconds], "peaks": [peaks]}
        return record | provenance(torch.device("cpu"))
    sample = write_some(panel, work / "sample.parquet", n_series, N_SAMPLE)
    options = {"horizon": HORIZON, "partition_size": settings["partition_size"]}
    reference = work / f"reference-{settings['engine']}-{n_series}"
    forecast_partitions(sample, model, reference, **NAMES, **options)
    out = work / f"out-{settings['engine']}-{n_series}"
    command = [sys.executable, "-m", "sktime_llm.cli", "forecast", str(panel)]
    command += ["--engine", settings["engine"], "--workers", str(settings["workers"])]
    command += ["--load", str(model), "--output", str(out)]
    command += ["--time-column", "month", "--id-column", "series"]
    command += ["--horizon", str(HORIZON), "--quiet"]
    command += ["--partition-size", str(settings["partition_size"])]
    n_parts = -(-n_series // settings["partition_size"])
    killed, first, peaks = run_limited(
        command, gib, lambda: len(parts(out)) >= n_parts // 2
    )
    assert killed == -signal.SIGKILL, killed
    n_kept = len(parts(out))
    before = {file: file.stat().st_mtime_ns for file in parts(out)}
    status, second, again = run_limited(command, gib, lambda: False)
    assert status == 0, status
    assert all(file.stat().st_mtime_ns == when for file, when in before.items())
    record |= {
        "status": status,
        "n_parts": n_parts,
        "n_parts_at_kill": n_kept,
        "seconds": [first, second],
        "peaks": [peaks, again],
        **check(out, n_series, pd.read_parquet(reference)),
    }
    return record | provenance(torch.device("cpu"))


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=["local"])
    parser.add_argument("--n-series", type=int, default=200_000)
    parser.add_argument("--partition-size", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--address-space-gib", type=float, default=2.0)
    parser.add_argument("--results", type=Path, default=RESULTS / "out_of_core.jsonl")
    args = parser.parse_args()
    names = ("n_series", "partition_size", "workers", "address_space_gib")
    shared = {name: getattr(args, name) for name in names}
    runs = [{"engine": engine, **shared} for engine in args.engine]
    with tempfile.TemporaryDirectory() as work:
        records = run_missing(
            args.results,
            runs,
            lambda settings: measure(settings, Path(work)),
            lambda settings: settings["engine"],
        )
        for record in records:
            print({k: v for k, v in record.items() if k != "versions"}, flush=True)


if __name__ == "__main__":
    main()
