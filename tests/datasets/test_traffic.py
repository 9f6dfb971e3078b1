import numpy as np
import pandas as pd
import pytest

from sktime_llm.datasets import load_los_loop, load_pems
from sktime_llm.errors import InputError

PEMS_STARTS = {
    "PeMS03": "2018-09-01",
    "PeMS04": "2018-01-01",
    "PeMS07": "2017-05-01",
    "PeMS08": "2016-07-01",
}


@pytest.fixture
def npz(tmp_path):

    def write(**arrays):
        path = tmp_path / "pems.npz"
        np.savez_compressed(path, **arrays)
        return path

    return write


@pytest.fixture
def csv(tmp_path):

    def write(*lines):
        path = tmp_path / "los_speed.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def counts(n_steps=4, n_sensors=2, n_features=3):
    return np.arange(n_steps * n_sensors * n_features).reshape(
        n_steps, n_sensors, n_features
    )


# ------------------------------------------------------------------------------- PeMS


@pytest.mark.parametrize("name", PEMS_STARTS)
def test_pems_is_a_table_of_flows_from_its_published_start(npz, name):
    y = load_pems(name, npz(data=counts()))
    times = pd.date_range(PEMS_STARTS[name], periods=4, freq="5min")
    flows = [[0.0, 3.0], [6.0, 9.0], [12.0, 15.0], [18.0, 21.0]]
    expected = pd.DataFrame(flows, index=times, columns=["0", "1"])
    pd.testing.assert_frame_equal(y, expected)
    assert y.index.freqstr == "5min"


@pytest.mark.parametrize(
    ("feature", "first"), [("flow", 0.0), ("occupancy", 1.0), ("speed", 2.0)]
)
def test_pems_feature(npz, feature, first):
    assert load_pems("PeMS04", npz(data=counts()), feature=feature).iat[0, 0] == first


def test_pems_start_of_ones_own(npz):
    path = npz(data=counts())
    y = load_pems("PeMS04", path, start="2020-02-29 23:55")
    assert y.index[1] == pd.Timestamp("2020-03-01")
    assert load_pems("PeMS04", path, start=None).index.equals(pd.RangeIndex(4))


def test_pems_start_that_is_no_time(npz):
    with pytest.raises(InputError, match="start='soon'"):
        load_pems("PeMS04", npz(data=counts()), start="soon")


def test_pems_sensor_ids(npz, tmp_path):
    ids = tmp_path / "PEMS03.txt"
    ids.write_text("313344\n313349\n")
    y = load_pems("PeMS03", npz(data=counts()), sensor_ids=ids)
    assert list(y.columns) == ["313344", "313349"]


@pytest.mark.parametrize("text", ["313344", "313344\n313344", "1\n2\n3", "1\n1\n2"])
def test_pems_sensor_ids_that_do_not_fit(npz, tmp_path, text):
    ids = tmp_path / "PEMS03.txt"
    ids.write_text(text)
    with pytest.raises(InputError, match="expected 2 different ids"):
        load_pems("PeMS03", npz(data=counts()), sensor_ids=ids)


def test_unknown_pems_and_unknown_feature_name_the_known_ones(npz):
    path = npz(data=counts())
    with pytest.raises(InputError, match=r"'PeMS05', expected one of .*'PeMS04'"):
        load_pems("PeMS05", path)
    with pytest.raises(InputError, match=r"'volume', expected one of .*'occupancy'"):
        load_pems("PeMS04", path, feature="volume")


def test_feature_that_the_file_does_not_have(npz):
    path = npz(data=counts(n_features=1))
    with pytest.raises(InputError, match=r"no speed: got 1 feature\(s\).*are flow\."):
        load_pems("PeMS07", path, feature="speed")


@pytest.mark.parametrize(
    "data",
    [np.ones((4, 2)), np.ones((0, 2, 1)), np.full((4, 2, 1), "a"), np.float64(3)],
    ids=["two axes", "empty", "text", "number"],
)
def test_array_of_another_shape_or_type(npz, data):
    with pytest.raises(InputError, match=r"expected numbers of shape \(time, sensor"):
        load_pems("PeMS04", npz(data=data))


def test_archive_without_data_lists_what_it_holds(npz):
    with pytest.raises(InputError, match="no array 'data'; it holds 'x', 'y'"):
        load_pems("PeMS04", npz(x=np.ones(2), y=np.ones(2)))


def test_pickled_objects_are_refused(npz):
    data = np.full((1, 1, 1), None)
    with pytest.raises(InputError, match="not an archive of numeric arrays"):
        load_pems("PeMS04", npz(data=data))


def test_incomplete_archive(npz):
    path = npz(data=counts())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="fetched completely"):
        load_pems("PeMS04", path)


def test_missing_files(npz, tmp_path):
    absent = tmp_path / "absent"
    with pytest.raises(InputError, match=r"no file .*absent"):
        load_pems("PeMS04", absent)
    with pytest.raises(InputError, match=r"no file .*absent"):
        load_pems("PeMS03", npz(data=counts()), sensor_ids=absent)


# --------------------------------------------------------------------------- Los-loop


def test_los_loop_is_a_table_of_speeds(csv):
    y = load_los_loop(csv("773869,767541", "64.375,67.625", "62.5,", "61,60"))
    times = pd.date_range("2012-03-01", periods=3, freq="5min")
    speeds = {"773869": [64.375, 62.5, 61.0], "767541": [67.625, np.nan, 60.0]}
    pd.testing.assert_frame_equal(y, pd.DataFrame(speeds, index=times))
    assert y.index.freqstr == "5min"


def test_los_loop_without_a_start_has_numbered_rows(csv):
    y = load_los_loop(csv("773869", "64.375", "62.5"), start=None)
    assert y.index.equals(pd.RangeIndex(2))


@pytest.mark.parametrize("cell", ["2012-03-01", "fast", "inf"])
def test_los_loop_cell_that_is_no_speed(csv, cell):
    path = csv("773869,767541", "64,67", f"62,{cell}")
    with pytest.raises(InputError, match=f"line 3, column '767541': got '{cell}'"):
        load_los_loop(path)


def test_los_loop_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"no file .*absent\.csv"):
        load_los_loop(tmp_path / "absent.csv")


def test_sktime_forecasts_the_tables(npz, csv):
    from sktime.forecasting.naive import NaiveForecaster

    flows = load_pems("PeMS08", npz(data=counts()))
    speeds = load_los_loop(csv("773869,767541", "64,67", "62,68", "61,66"))
    for y in (flows, speeds):
        forecast = NaiveForecaster().fit(y).predict(fh=[1, 2])
        assert forecast.index[0] == y.index[-1] + pd.Timedelta("5min")
        np.testing.assert_array_equal(forecast.iloc[1], y.iloc[-1])
