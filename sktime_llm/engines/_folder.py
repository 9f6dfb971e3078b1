"""The folder of a run: a manifest, and a file for each partition that is done."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sktime_llm._files import replacing
from sktime_llm.engines._plan import Partition
from sktime_llm.errors import InputError

# Readers of Parquet folders leave out names that begin with an underscore or a dot.
MANIFEST = "_manifest.json"
_WHAT, _FORMAT = "forecasts of sktime-llm by partition", 1
_DIGESTS = {"input": "input files", "forecaster": "forecaster"}


class Manifest(NamedTuple):
    """The identity of a run, what was found in its data, and its partitions.

    `run` and `found` are JSON.
    """

    run: dict[str, Any]
    found: dict[str, Any]
    partitions: list[Partition]

    def write(self, folder: Path) -> None:
        """Write to a folder, as a whole or not at all."""
        content = {
            "what": _WHAT,
            "format": _FORMAT,
            "run": self.run,
            "found": self.found,
            "partitions": [list(one[1:]) for one in self.partitions],
        }
        with replacing(folder / MANIFEST) as beside:
            beside.write_text(json.dumps(content), encoding="utf-8")


def part_of(folder: Path, number: int) -> Path:
    """Return the file of a partition."""
    return folder / f"part-{number:05d}.parquet"


def missing_parts(folder: Path, partitions: Sequence[Partition]) -> list[Partition]:
    """Return the partitions that have no file yet; a file is always whole."""
    return [one for one in partitions if not part_of(folder, one.number).exists()]


def remove_remains(folder: Path) -> None:
    """Remove what processes that were killed had begun to write."""
    for rest in [*folder.glob(".part-*.parquet.*"), *folder.glob(f".{MANIFEST}.*")]:
        rest.unlink(missing_ok=True)


def read_manifest(folder: Path, run: Mapping[str, Any]) -> Manifest | None:
    """Return the manifest of a run that was begun in a folder; None of a new one.

    Raise an InputError if the folder has files of another run, or of none.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, expected a folder. Name another one.")
    found = sorted(folder.iterdir()) if folder.exists() else []
    found = [one for one in found if not one.name.startswith(".")]
    if not found:
        return None
    manifest = _read(folder / MANIFEST)
    if manifest is None:
        raise InputError(
            f"{folder} has files that are not of such a run, as {found[0].name}; "
            "expected a new or empty folder, or one of a run to go on with. Name "
            "another one."
        )
    if any(part_of(folder, one.number).exists() for one in manifest.partitions):
        _check_same(folder, manifest.run, run)
        return manifest
    return manifest if manifest.run == run else None


def _read(file: Path) -> Manifest | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if (content["what"], content["format"]) != (_WHAT, _FORMAT):
            return None
        partitions = [Partition(i, *one) for i, one in enumerate(content["partitions"])]
        return Manifest(content["run"], content["found"], partitions)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _check_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    differences = []
    for name in [*old, *(name for name in new if name not in old)]:
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        if name in _DIGESTS:
            differences.append(f"another content of the {_DIGESTS[name]}")
        else:
            differences.append(f"{name}={before!r} (now {now!r})")
    if differences:
        raise InputError(
            f"{folder} has forecasts of another run: {', '.join(differences)}. Name "
            "another folder, remove this one, or give what was given for that run."
        )
