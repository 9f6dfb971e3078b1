"""Results files: one JSON object per line, with all that a number depends on."""

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"
# Options whose values are nobody else's, and what stands for these in a record.
_OWN_PATHS = {
    "--data-dir": "DATA",
    "--reference": "REFERENCE",
    "--results": "RESULTS",
    "--networks": "NETWORKS",
    "--forecasts": "FORECASTS",
    "--language-model": "FOLDER",
}


def run_missing(
    results: Path,
    runs: Iterable[dict],
    measure: Callable[[dict], dict],
    label: Callable[[dict], str],
) -> Iterator[dict]:
    """Yield the record of each run; measure and append those that are not recorded.

    A run is known by its settings. Each label of recorded runs is printed once, with
    the day and the commit that they are of.
    """
    told = set()
    for settings in runs:
        if Path(settings.get("backbone") or "").is_absolute():
            raise SystemExit(
                f"--backbone {settings['backbone']} is a path of this machine, and "
                "would be in the record. Run this beside the folder, and give its "
                "name alone."
            )
        record = find(results, settings)
        if record is None:
            record = {**settings, **measure(settings)}
            append(results, record)
        else:
            when = f"recorded {record['date'][:10]} at {record['commit']}"
            line = f"{when}: {label(settings)}"
            if line not in told:
                print(line, flush=True)
            told.add(line)
        yield record


def find(results: Path, settings: dict) -> dict | None:
    """Return the record of a run with these settings, if there is one.

    What a record does not name is None.
    """
    lines = results.read_text().splitlines() if results.exists() else []
    for record in map(json.loads, lines):
        if all(record.get(name) == value for name, value in settings.items()):
            return record
    return None


def append(results: Path, record: dict) -> None:
    """Add a record to the end of a results file, which need not exist yet."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


def provenance(
    device: torch.device, packages: tuple[str, ...] = ("torch", "transformers", "peft")
) -> dict:
    """Return what a number depends on besides its settings."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "command": "python benchmarks/"
        + shlex.join([Path(sys.argv[0]).name, *_argv()]),
        "commit": _commit(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": gpu
        or f"{platform.machine()} CPU, {torch.get_num_threads()} threads",
        "versions": {package: version(package) for package in packages},
    }


def _commit() -> str:
    """Return the commit, marked if files other than results differ from it."""
    commit = _git("describe", "--always")
    changed = _git("status", "--porcelain", "--", ":/", f":(exclude){RESULTS}")
    return commit + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _argv() -> list[str]:
    """Return the arguments of the command, without paths of this machine."""
    words = iter(sys.argv[1:])
    out = []
    for word in words:
        name, equals, _ = word.partition("=")
        stand_in = _stand_in(name)
        if stand_in is None:
            out.append(word)
        elif equals:
            out.append(f"{name}={stand_in}")
        else:
            next(words, None)  # the path
            out += [name, stand_in]
    return out


def _stand_in(option: str) -> str | None:
    """Return what stands for the value of an option, which may be abbreviated."""
    for name, stand_in in _OWN_PATHS.items():
        if len(option) > len("--") and name.startswith(option):
            return stand_in
    return None
