"""Traffic data from files as their authors publish them."""

import sys

import numpy as np
import pandas as pd
import pytest

from sktime_llm.datasets import load_dcrnn, load_los_loop, load_pems
from sktime_llm.errors import InputError

COUNTS = np.arange(24).reshape(4, 2, 3)  # (time, sensor, feature)
TIMES = pd.date_range("2012-03-01", periods=3, freq="5min")
SPEEDS = pd.DataFrame(
    {"773869": [64.375, 0.0, 62.5], "767541": [0.0, 67.625, 68.0]}, index=TIMES
)


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "pems.npz"
        np.savez_compressed(path, **arrays)
        return path

    return write


@pytest.fixture
def h5(tmp_path):
    pytest.importorskip("tables")

    def write(table, key="df"):
        path = tmp_path / "speeds.h5"
        table.to_hdf(path, key=key)
        return path

    return write


STARTS = {"PeMS03": "2018-09-01", "PeMS04": "2018-01-01"}
STARTS |= {"PeMS07": "2017-05-01", "PeMS08": "2016-07-01"}


@pytest.mark.parametrize(("name", "start"), STARTS.items())
def test_pems_is_a_table_of_flows_from_its_published_start(npz, name, start):
    y = load_pems(name, npz(data=COUNTS))
    times = pd.date_range(start, periods=4, freq="5min")
    flows = [[0.0, 3.0], [6.0, 9.0], [12.0, 15.0], [18.0, 21.0]]
    expected = pd.DataFrame(flows, index=times, columns=["0", "1"])
    pd.testing.assert_frame_equal(y, expected)


def test_pems_feature_start_and_sensor_ids(npz, tmp_path):
    path, ids = npz(data=COUNTS), tmp_path / "PEMS03.txt"
    ids.write_text("313344\n313349\n")
    for i, feature in enumerate(("flow", "occupancy", "speed")):
        y = load_pems("PeMS04", path, feature=feature, sensor_ids=ids)
        assert y["313344"].iloc[0] == i
    y = load_pems("PeMS04", path, start="2020-02-29 23:55")
    assert y.index[1] == pd.Timestamp("2020-03-01")
    assert load_pems("PeMS04", path, start=None).index.equals(pd.RangeIndex(4))


@pytest.mark.parametrize("text", ["313344", "313344\n313344", "1\n2\n3", "1\n1\n2"])
def test_pems_sensor_ids_that_do_not_fit(npz, tmp_path, text):
    ids = tmp_path / "PEMS03.txt"
    ids.write_text(text)
    with pytest.raises(InputError, match="expected 2 different ids"):
        load_pems("PeMS03", npz(data=COUNTS), sensor_ids=ids)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("PeMS05", {}, r"'PeMS05', expected one of .*'PeMS04'"),
        ("PeMS04", {"feature": "volume"}, r"'volume', expected one of .*'occupancy'"),
        ("PeMS07", {"feature": "speed"}, r"no speed: got 1 feature\(s\).*are flow\."),
        ("PeMS04", {"start": "soon"}, "start='soon'"),
        ("PeMS03", {"sensor_ids": "absent"}, r"no file .*absent"),
    ],
)
def test_pems_options_that_cannot_be(npz, name, options, words):
    with pytest.raises(InputError, match=words):
        load_pems(name, npz(data=COUNTS[:, :, :1]), **options)


@pytest.mark.parametrize(
    "data",
    [np.ones((4, 2)), np.ones((0, 2, 1)), np.full((4, 2, 1), "a"), np.float64(3)],
    ids=["two axes", "empty", "text", "number"],
)
def test_array_of_another_shape_or_type(npz, data):
    with pytest.raises(InputError, match=r"expected numbers of shape \(time, sensor"):
        load_pems("PeMS04", npz(data=data))


def test_archives_of_something_else(npz, tmp_path):
    with pytest.raises(InputError, match="no array 'data'; it holds 'x', 'y'"):
        load_pems("PeMS04", npz(x=np.ones(2), y=np.ones(2)))
    with pytest.raises(InputError, match="not an archive of numeric arrays"):
        load_pems("PeMS04", npz(data=np.full((1, 1, 1), None)))  # would be unpickled
    path = npz(data=COUNTS)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="fetched completely"):
        load_pems("PeMS04", path)
    np.save(tmp_path / "one.npy", np.ones(2))
    with pytest.raises(InputError, match="no array 'data'; it holds no named arrays"):
        load_pems("PeMS04", tmp_path / "one.npy")


def test_los_loop_is_a_table_of_speeds(csv):
    path = csv("773869,767541", "64.375,67.625", "62.5,", "61,60")
    y = load_los_loop(path)
    speeds = {"773869": [64.375, 62.5, 61.0], "767541": [67.625, np.nan, 60.0]}
    pd.testing.assert_frame_equal(y, pd.DataFrame(speeds, index=TIMES))
    assert load_los_loop(path, start=None).index.equals(pd.RangeIndex(3))


@pytest.mark.parametrize("cell", ["2012-03-01", "fast", "inf"])
def test_los_loop_cell_that_is_no_speed(csv, cell):
    path = csv("773869,767541", "64,67", f"62,{cell}")
    with pytest.raises(InputError, match=f"line 3, column '767541': got '{cell}'"):
        load_los_loop(path)


@pytest.mark.parametrize(("name", "key"), [("METR-LA", "df"), ("PEMS-BAY", "speed")])
def test_table_of_speeds_under_the_published_key(h5, name, key):
    y = load_dcrnn(name, h5(SPEEDS, key))
    pd.testing.assert_frame_equal(y, SPEEDS.replace(0.0, np.nan))


def test_zeros_can_stay_and_names_and_values_are_converted(h5):
    table = SPEEDS.round().astype(int).set_axis([400001, 400017], axis=1)
    y = load_dcrnn("PEMS-BAY", h5(table), key="df", zero_is_missing=False)
    expected = table.astype("float64").set_axis(["400001", "400017"], axis=1)
    pd.testing.assert_frame_equal(y, expected)


def test_times_left_out_are_rows_of_nan(h5):
    full = SPEEDS.replace(0.0, 1.0)
    path = h5(full.iloc[[0, 2]])
    y = load_dcrnn("METR-LA", path)
    assert y.index.equals(TIMES)
    assert y.index.freqstr == "5min"
    assert y.iloc[1].isna().all()
    y = load_dcrnn("METR-LA", path, regular=False)
    pd.testing.assert_frame_equal(y, full.iloc[[0, 2]], check_freq=False)


BETWEEN = TIMES[:2].append(pd.DatetimeIndex(["2012-03-01 00:12"]))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (SPEEDS["773869"], "does not hold a table of speeds"),
        (SPEEDS.iloc[:0], "does not hold a table of speeds"),
        (SPEEDS.assign(day="Thu"), "one numeric column per sensor"),
        (SPEEDS.reset_index(drop=True), "expected times"),
        (SPEEDS.iloc[[0, 2, 1]], "time stamp 2012-03-01 00:05:00"),
        (SPEEDS.iloc[[0, 1, 1]], "time stamp 2012-03-01 00:05:00"),
        (SPEEDS.set_axis(BETWEEN), "time stamp 2012-03-01 00:12:00"),
    ],
    ids=["series", "empty", "text", "numbered", "unsorted", "repeated", "between"],
)
def test_table_of_something_else(h5, table, words):
    with pytest.raises(InputError, match=words):
        load_dcrnn("METR-LA", h5(table))


def test_hdf5_files_of_something_else(h5, tmp_path):
    path = h5(SPEEDS, "speed")
    with pytest.raises(InputError, match=r"'METR', expected one of .*'PEMS-BAY'"):
        load_dcrnn("METR", path)
    with pytest.raises(InputError, match="no table 'df'; its tables are 'speed'"):
        load_dcrnn("METR-LA", path)
    path = h5(SPEEDS)
    for content in (path.read_bytes()[:1000], b"time,773869\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not an HDF5 file.*fetched completely"):
            load_dcrnn("METR-LA", path)
    path = tmp_path / "array.h5"
    with sys.modules["tables"].open_file(path, "w") as file:
        file.create_array("/", "df", np.ones(3))
    with pytest.raises(InputError, match="not those of pandas"):
        load_dcrnn("METR-LA", path)


def test_without_pytables(tmp_path, monkeypatch):
    path = tmp_path / "metr-la.h5"
    path.touch()
    monkeypatch.setitem(sys.modules, "tables", None)
    with pytest.raises(ImportError, match=r"pip install sktime-llm\[traffic\]"):
        load_dcrnn("METR-LA", path)


@pytest.mark.parametrize("load", [load_los_loop, load_pems, load_dcrnn])
def test_missing_file(tmp_path, load):
    names = {load_pems: ["PeMS04"], load_dcrnn: ["METR-LA"]}
    with pytest.raises(InputError, match=r"no file .*absent"):
        load(*names.get(load, []), tmp_path / "absent")


def test_sktime_forecasts_the_tables(npz, csv):
    from sktime.forecasting.naive import NaiveForecaster

    flows = load_pems("PeMS08", npz(data=COUNTS))
    speeds = load_los_loop(csv("773869,767541", "64,67", "62,68", "61,66"))
    for y in (flows, speeds):
        forecast = NaiveForecaster().fit(y).predict(fh=[1, 2])
        assert forecast.index[0] == y.index[-1] + pd.Timedelta("5min")
        np.testing.assert_array_equal(forecast.iloc[1], y.iloc[-1])
