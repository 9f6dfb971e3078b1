"""Which rows make a partition, and what is read of a file."""

import pandas as pd
import pytest

from sktime_llm.engines import _plan, _rows
from sktime_llm.engines._plan import plan
from sktime_llm.engines._rows import ParquetRows
from sktime_llm.errors import InputError

from .common import N_ROWS, N_SERIES, make_table, write


@pytest.mark.parametrize("batch", [7, 64, 2**16])
def test_partitions_are_whole_series(panel, monkeypatch, batch):
    monkeypatch.setattr(_rows, "_BATCH_ROWS", batch)
    rows = ParquetRows.of(panel)
    partitions = plan(rows, ["shop"], 4)
    assert [one.n_series for one in partitions] == [4, 4, 2]
    assert partitions[0].start == 0
    assert partitions[-1].stop == N_SERIES * N_ROWS
    for one in partitions:
        read = rows.read(one.start, one.stop, ["shop", "units"]).frame
        expected = make_table()[["shop", "units"]].iloc[one.start : one.stop]
        pd.testing.assert_frame_equal(read, expected.reset_index(drop=True))


def test_a_folder_is_one_table(tmp_path):
    table = make_table()
    for name, start, stop in [("a", 0, 100), ("b", 100, 101), ("c", 101, 300)]:
        write(table.iloc[start:stop], tmp_path / f"{name}.parquet")
    (tmp_path / "_hidden.parquet").write_text("not one of them")
    rows = ParquetRows.of(tmp_path)
    assert rows.n_rows == len(table)
    partitions = plan(rows, ["shop"], 3)
    assert [one.start for one in partitions] == [0, 90, 180, 270]
    read = rows.read(90, 180).frame
    pd.testing.assert_frame_equal(read, table.iloc[90:180].reset_index(drop=True))
    names = {0: "1 of a", 99: "100 of a", 100: "1 of b", 101: "1 of c", 299: "199 of c"}
    assert {i: rows.row(i) for i in names} == {
        i: f"row {name}.parquet" for i, name in names.items()
    }
    assert rows.read(99, 102).row(1) == "row 1 of b.parquet"


@pytest.mark.parametrize(
    ("start", "stop", "groups", "n_batches"),
    [
        (150, 180, [2], 4),
        (140, 210, [2], 7),
        (139, 141, [1, 2], 8),
        (209, 211, [2, 3], 8),
        (0, 10, [0], 1),
        (290, 300, [4], 2),
    ],
)
def test_only_what_is_needed_is_read(
    panel, monkeypatch, start, stop, groups, n_batches
):
    monkeypatch.setattr(_rows, "_BATCH_ROWS", 10)
    rows = ParquetRows.of(panel)  # in row groups of 70
    asked, taken = [], []
    opened = _rows._open

    def watched(file):
        parquet = opened(file)
        read = parquet.iter_batches

        def iter_batches(*args, **how):
            asked.append(how["row_groups"])
            for batch in read(*args, **how):
                taken.append(batch)
                yield batch

        parquet.iter_batches = iter_batches
        return parquet

    monkeypatch.setattr(_rows, "_open", watched)
    assert len(rows.read(start, stop).frame) == stop - start
    assert asked == [groups]
    assert len(taken) == n_batches


def test_an_index_that_pandas_wrote_is_columns(tmp_path):
    table = make_table()
    table.set_index(["shop", "month"]).to_parquet(tmp_path / "panel.parquet")
    rows = ParquetRows.of(tmp_path / "panel.parquet")
    assert sum(one.n_series for one in plan(rows, ["shop"], 3)) == N_SERIES
    read = rows.read(30, 60).frame
    expected = table.iloc[30:60].reset_index(drop=True)
    pd.testing.assert_frame_equal(read[list(table)], expected)


def test_every_file_has_its_digest(tmp_path):
    table = make_table(2)
    for name in "abc":
        write(table, tmp_path / f"{name}.parquet")
    before = ParquetRows.of(tmp_path).digests()
    assert len(before) == 3
    assert len(set(before)) == 1
    for i, name in enumerate("abc"):
        write(table.assign(units=float(i)), tmp_path / f"{name}.parquet")
        after = ParquetRows.of(tmp_path).digests()
        assert [one != other for one, other in zip(before, after, strict=True)] == [
            j == i for j in range(3)
        ]
        before = after


@pytest.mark.parametrize("batch", [16, 2**16])
@pytest.mark.parametrize("first_check", [0, 2**16])
def test_a_series_that_comes_back_is_named(tmp_path, monkeypatch, batch, first_check):
    monkeypatch.setattr(_rows, "_BATCH_ROWS", batch)
    monkeypatch.setattr(_plan, "_FIRST_CHECK", first_check)
    table = make_table()
    order = [*range(25), *range(30, 300), *range(25, 30)]
    rows = ParquetRows.of(write(table.iloc[order], tmp_path / "panel.parquet"))
    message = r"'shop 0' begins at row 1 and comes back at row 296, .* Sort .* 'shop'"
    with pytest.raises(InputError, match=message):
        plan(rows, ["shop"], 4)


def test_series_with_one_hash_are_two(panel, monkeypatch):
    made = pd.util.hash_pandas_object

    def alike(frame, **how):
        return (
            made(frame, **how)
            .where(frame["shop"] != "shop 7", 1)
            .where(frame["shop"] != "shop 2", 1)
        )

    monkeypatch.setattr(pd.util, "hash_pandas_object", alike)
    assert sum(one.n_series for one in plan(ParquetRows.of(panel), ["shop"], 4)) == 10


def test_several_columns_name_a_series(tmp_path):
    table = make_table(4).rename(columns={"shop": "item"})
    table.insert(0, "shop", [1] * 60 + [2] * 60)
    table["item"] = (["a"] * 30 + ["b"] * 30) * 2
    rows = ParquetRows.of(write(table, tmp_path / "panel.parquet"))
    assert len(plan(rows, ["shop", "item"], 1)) == 4
    with pytest.raises(
        InputError, match="'a' begins at row 1 and comes back at row 61"
    ):
        plan(rows, ["item"], 1)


def test_an_id_that_is_missing_is_named(tmp_path):
    table = make_table()
    table.loc[41, "shop"] = None
    rows = ParquetRows.of(write(table, tmp_path / "panel.parquet"))
    with pytest.raises(InputError, match=r"panel.parquet, row 42: an id .* is missing"):
        plan(rows, ["shop"], 4)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no files"):
        ParquetRows.of(tmp_path)
    with pytest.raises(InputError, match="There is no file"):
        ParquetRows.of(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_text("text")
    with pytest.raises(InputError, match="not a Parquet file"):
        ParquetRows.of(tmp_path / "x.parquet")
    write(make_table(0), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="has no rows"):
        ParquetRows.of(tmp_path / "x.parquet")
    write(make_table(2), tmp_path / "x.parquet")
    write(make_table(2).drop(columns="units"), tmp_path / "y.parquet")
    with pytest.raises(InputError, match=r"y\.parquet has other columns or types"):
        ParquetRows.of(tmp_path)
