"""The folder of a run: what goes on there, what begins anew, and what is refused."""

import json

import pytest

from sktime_llm._files import replacing
from sktime_llm.engines._folder import (
    MANIFEST,
    Manifest,
    missing_parts,
    part_of,
    read_manifest,
    remove_remains,
)
from sktime_llm.engines._plan import Partition
from sktime_llm.errors import InputError

RUN = {"input": ["a"], "forecaster": "b", "horizon": 3, "frequency": None}
BEGUN = Manifest(
    RUN, {"frequency": "M"}, [Partition(0, 0, 60, 2), Partition(1, 60, 90, 1)]
)
SOME = pytest.mark.parametrize("parts", [[0], [1], [0, 1]])


@pytest.fixture
def begin(tmp_path):
    """Write the manifest, and some of the parts, of a run."""

    def write(parts=()):
        BEGUN.write(tmp_path)
        for number in parts:
            part_of(tmp_path, number).touch()
        return tmp_path

    return write


@pytest.mark.parametrize("parts", [[], [0], [1], [0, 1]])
def test_a_run_goes_on_with_what_is_missing(begin, parts):
    folder = begin(parts)
    manifest = read_manifest(folder, RUN)
    assert manifest == BEGUN
    missing = missing_parts(folder, manifest.partitions)
    assert [one.number for one in missing] == [i for i in (0, 1) if i not in parts]


CHANGES = [
    (RUN | {"horizon": 2}, r": horizon=3 \(now 2\)\. Name"),
    (RUN | {"frequency": "D"}, r": frequency=None \(now 'D'\)\. Name"),
    (RUN | {"missing": "keep"}, r": missing=None \(now 'keep'\)\. Name"),
    ({k: v for k, v in RUN.items() if k != "horizon"}, r": horizon=3 \(now None\)\."),
    (RUN | {"input": ["a", "c"]}, r": another content of the input files\. Name"),
    (RUN | {"forecaster": "c"}, r": another content of the forecaster\. Name"),
    (RUN | {"input": [], "horizon": 2}, r": .* files, horizon=3 \(now 2\)\."),
]


@SOME
@pytest.mark.parametrize(("run", "message"), CHANGES)
def test_another_run_is_refused_where_there_is_a_forecast(begin, run, message, parts):
    with pytest.raises(InputError, match=f"has forecasts of another run{message}"):
        read_manifest(begin(parts), run)


@pytest.mark.parametrize("run", [run for run, _ in CHANGES])
def test_another_run_begins_anew_where_there_is_no_forecast(begin, run):
    assert read_manifest(begin(), run) is None


def test_there_is_no_run_in_a_new_or_empty_folder(tmp_path):
    assert read_manifest(tmp_path / "new", RUN) is None
    assert read_manifest(tmp_path, RUN) is None


@SOME
@pytest.mark.parametrize(
    "change",
    [
        {"what": "something else"},
        {"format": 2},
        {"partitions": [[0, 60]]},
        {"partitions": 3},
        {"run": None, "found": None, "partitions": None},
    ],
)
def test_a_manifest_of_another_kind_is_refused(begin, change, parts):
    file = begin(parts) / MANIFEST
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(InputError, match="files that are not of such a run"):
        read_manifest(file.parent, RUN)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"{}", b"\xff\xfe", None])
def test_what_is_no_manifest_is_refused(tmp_path, content):
    file = tmp_path / MANIFEST
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match="files that are not of such a run"):
        read_manifest(tmp_path, RUN)


def test_only_what_killed_processes_had_begun_is_removed(begin):
    folder = begin([0])
    (folder / ".DS_Store").touch()
    (folder / "notes.txt").touch()
    kept = set(folder.iterdir())
    begun = []
    for file in (part_of(folder, 1), part_of(folder, 123_456), folder / MANIFEST):
        with replacing(file) as beside:
            begun.append(beside.name)
            beside.touch()
        file.unlink(missing_ok=True)
    for name in begun:  # as after a kill
        (folder / name).touch()
    BEGUN.write(folder)
    remove_remains(folder)
    assert set(folder.iterdir()) == kept


def test_partitions_have_files_of_their_own(tmp_path):
    numbers = [*range(12), 99_999, 100_000, 1_000_000]
    files = [part_of(tmp_path, number) for number in numbers]
    assert len(set(files)) == len(numbers)
    assert [file.suffix for file in files] == [".parquet"] * len(files)
