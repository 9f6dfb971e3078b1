import sys

import numpy as np
import pandas as pd
import pytest

from sktime_llm.datasets import load_dcrnn
from sktime_llm.errors import InputError

TIMES = pd.date_range("2012-03-01", periods=3, freq="5min")
SPEEDS = pd.DataFrame(
    {"773869": [64.375, 0.0, 62.5], "767541": [0.0, 67.625, 68.0]}, index=TIMES
)


@pytest.fixture
def h5(tmp_path):
    pytest.importorskip("tables")

    def write(table, key="df"):
        path = tmp_path / "speeds.h5"
        table.to_hdf(path, key=key)
        return path

    return write


@pytest.mark.parametrize(("name", "key"), [("METR-LA", "df"), ("PEMS-BAY", "speed")])
def test_table_of_speeds_under_the_published_key(h5, name, key):
    y = load_dcrnn(name, h5(SPEEDS, key))
    pd.testing.assert_frame_equal(y, SPEEDS.replace(0.0, np.nan))
    assert y.index.freqstr == "5min"


def test_zeros_can_stay(h5):
    y = load_dcrnn("METR-LA", h5(SPEEDS), zero_is_missing=False)
    pd.testing.assert_frame_equal(y, SPEEDS)


def test_sensor_ids_become_text(h5):
    table = SPEEDS.set_axis([400001, 400017], axis=1)
    assert list(load_dcrnn("PEMS-BAY", h5(table, "speed")).columns) == [
        "400001",
        "400017",
    ]


def test_integers_become_floats(h5):
    path = h5(SPEEDS.round().astype(int))
    y = load_dcrnn("METR-LA", path, zero_is_missing=False)
    assert (y.dtypes == "float64").all()


def test_time_stamps_left_out_are_rows_of_nan(h5):
    full = SPEEDS.replace(0.0, 1.0)
    path = h5(full.iloc[[0, 2]])
    y = load_dcrnn("METR-LA", path)
    assert y.index.equals(TIMES)
    assert y.index.freqstr == "5min"
    assert y.iloc[1].isna().all()
    pd.testing.assert_frame_equal(
        load_dcrnn("METR-LA", path, regular=False), full.iloc[[0, 2]], check_freq=False
    )


@pytest.mark.parametrize(
    ("order", "stamp"),
    [([0, 2, 1], "00:05:00"), ([0, 1, 1], "00:05:00")],
    ids=["unsorted", "repeated"],
)
def test_time_stamps_out_of_order(h5, order, stamp):
    with pytest.raises(InputError, match=f"time stamp 2012-03-01 {stamp}"):
        load_dcrnn("METR-LA", h5(SPEEDS.iloc[order]))


def test_time_stamp_between_the_steps(h5):
    times = TIMES[:2].append(pd.DatetimeIndex(["2012-03-01 00:12"]))
    with pytest.raises(InputError, match="time stamp 2012-03-01 00:12:00"):
        load_dcrnn("METR-LA", h5(SPEEDS.set_axis(times)))


def test_unknown_data_set_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"'METR', expected one of .*'PEMS-BAY'"):
        load_dcrnn("METR", tmp_path / "metr-la.h5")


def test_unknown_key_lists_the_present_ones(h5):
    with pytest.raises(InputError, match="no table 'df'; its tables are 'speed'"):
        load_dcrnn("METR-LA", h5(SPEEDS, "speed"))
    assert len(load_dcrnn("METR-LA", h5(SPEEDS, "other"), key="other")) == 3


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (SPEEDS["773869"], "does not hold a table of speeds"),
        (SPEEDS.iloc[:0], "does not hold a table of speeds"),
        (SPEEDS.assign(day="Thu"), "one numeric column per sensor"),
        (SPEEDS.reset_index(drop=True), "expected times"),
    ],
    ids=["series", "empty", "text", "numbered rows"],
)
def test_table_of_something_else(h5, table, words):
    with pytest.raises(InputError, match=words):
        load_dcrnn("METR-LA", h5(table))


def test_file_of_another_format(h5):
    path = h5(SPEEDS)
    path.write_text("time,773869\n")
    with pytest.raises(InputError, match=r"speeds\.h5 is not an HDF5 file"):
        load_dcrnn("METR-LA", path)


def test_incomplete_file(h5):
    path = h5(SPEEDS)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="fetched completely"):
        load_dcrnn("METR-LA", path)


def test_array_that_pandas_did_not_write(h5, tmp_path):
    path = tmp_path / "array.h5"
    with sys.modules["tables"].open_file(path, "w") as file:
        file.create_array("/", "df", np.ones(3))
    with pytest.raises(InputError, match="not those of pandas"):
        load_dcrnn("METR-LA", path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"no file .*absent\.h5"):
        load_dcrnn("METR-LA", tmp_path / "absent.h5")


def test_without_pytables(tmp_path, monkeypatch):
    path = tmp_path / "metr-la.h5"
    path.touch()
    monkeypatch.setitem(sys.modules, "tables", None)
    with pytest.raises(ImportError, match=r"pip install sktime-llm\[traffic\]"):
        load_dcrnn("METR-LA", path)
