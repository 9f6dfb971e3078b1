"""What the options of a run do, and that those of another one are refused."""

import numpy as np
import pandas as pd
import pytest

import sktime_llm
from sktime_llm import forecast_partitions
from sktime_llm.engines import _run, _work
from sktime_llm.errors import InputError

from .common import HORIZON, N_ROWS, NAMES, make_table, read, write

LEVELS = [50, 80]


@pytest.fixture(autouse=True)
def _nothing_loaded():
    _work._load.cache_clear()


@pytest.fixture(scope="module")
def done(panel, model, tmp_path_factory):
    """The folder of a run."""
    out = tmp_path_factory.mktemp("done") / "out"
    return forecast_partitions(panel, model, out, levels=LEVELS, **NAMES)


@pytest.mark.parametrize(
    ("change", "was"),
    [
        ({"horizon": 2}, "horizon=3 (now 2)"),
        ({"levels": [50]}, "levels=[50.0, 80.0] (now [50.0])"),
        ({"frequency": "M"}, "frequency=None (now 'M')"),
        ({"date_format": "%Y"}, "date_format=None (now '%Y')"),
        ({"missing": "keep"}, "missing='values' (now 'keep')"),
        ({"partition_size": 7}, "partition_size=1000 (now 7)"),
    ],
)
def test_another_option_is_another_run(panel, model, done, change, was):
    options = NAMES | {"levels": LEVELS} | change
    with pytest.raises(InputError) as caught:
        forecast_partitions(panel, model, done, **options)
    assert f"has forecasts of another run: {was}. Name" in str(caught.value)


def test_another_version_or_column_is_another_run(
    panel, model, done, tmp_path, monkeypatch
):
    names = {"shop": "store", "month": "time", "units": "sales"}
    renamed = write(make_table().rename(columns=names), tmp_path / "renamed.parquet")
    options = {"horizon": HORIZON, "levels": LEVELS}
    with pytest.raises(InputError) as caught:
        forecast_partitions(
            renamed, model, done, time_column="time", id_column="store", **options
        )
    for was in (
        "time_column='month' (now 'time')",
        "id_column=['shop'] (now ['store'])",
        "target=['units'] (now ['sales'])",
    ):
        assert was in str(caught.value)
    monkeypatch.setattr(_run, "__version__", "0.0")
    with pytest.raises(InputError, match=r"run: sktime-llm='.*' \(now '0\.0'\)\. Name"):
        forecast_partitions(panel, model, done, levels=LEVELS, **NAMES)


@pytest.mark.parametrize("levels", [[80, 50], (50.0, 80.0), [80, 50, 80]])
def test_levels_in_any_order_are_the_same_run(panel, model, done, levels):
    before = {file: file.stat().st_mtime_ns for file in done.iterdir()}
    forecast_partitions(panel, model, done, levels=levels, target="units", **NAMES)
    assert {file: file.stat().st_mtime_ns for file in done.iterdir()} == before
    bounds = ["lower_50", "upper_50", "lower_80", "upper_80"]
    assert list(read(done))[-4:] == bounds


@pytest.mark.parametrize("frequency", ["M", "MS", "ME"])
def test_any_name_of_the_frequency(panel, model, done, tmp_path, frequency):
    how = {"levels": LEVELS, "frequency": frequency, **NAMES}
    out = forecast_partitions(panel, model, tmp_path / "out", **how)
    pd.testing.assert_frame_equal(read(out), read(done))


@pytest.mark.parametrize("size", [1, 4])
def test_weeks_end_on_the_weekday_of_the_data(model, tmp_path, size):
    weeks = pd.date_range("2020-01-01", periods=N_ROWS + 2, freq="W-WED")
    table = make_table(4)
    table["month"] = np.tile(weeks[:N_ROWS], 4)
    data = write(table, tmp_path / "weeks.parquet")
    how = {**NAMES, "horizon": 2, "frequency": "W", "partition_size": size}
    out = read(forecast_partitions(data, model, tmp_path / "out", **how))
    assert out["time"].tolist() == list(weeks[N_ROWS:].strftime("%Y-%m-%d")) * 4


def test_times_in_a_format_of_their_own(model, done, tmp_path):
    table = make_table()
    table["month"] = table["month"].dt.strftime("%d/%m/%y")
    data = write(table, tmp_path / "text.parquet")
    how = {"levels": LEVELS, "date_format": "%d/%m/%y", "partition_size": 4, **NAMES}
    out = forecast_partitions(data, model, tmp_path / "out", **how)
    pd.testing.assert_frame_equal(read(out), read(done), rtol=1e-5)


def test_missing_rows_are_filled_in_every_partition(model, tmp_path):
    table = make_table(4)
    gone = np.arange(5, len(table), N_ROWS)
    table.loc[gone, "units"] = table["units"].to_numpy()[gone - 1]
    whole = write(table, tmp_path / "whole.parquet")
    gaps = write(table.drop(index=gone), tmp_path / "gaps.parquet")
    expected = forecast_partitions(whole, model, tmp_path / "whole", **NAMES)
    for missing in ("error", "values"):
        with pytest.raises(InputError, match="2020-06"):
            forecast_partitions(
                gaps, model, tmp_path / missing, missing=missing, **NAMES
            )
    out = forecast_partitions(
        gaps, model, tmp_path / "out", missing="ffill", partition_size=2, **NAMES
    )
    pd.testing.assert_frame_equal(read(out), read(expected), rtol=1e-5)


@pytest.mark.parametrize("device", [None, "cpu"])
def test_the_device_is_that_of_the_run(panel, model, tmp_path, monkeypatch, device):
    loaded = []
    load = sktime_llm.forecasting.pretrained.load_pretrained
    monkeypatch.setattr(
        sktime_llm.forecasting.pretrained,
        "load_pretrained",
        lambda path, device=None: loaded.append(device) or load(path, device=device),
    )
    forecast_partitions(panel, model, tmp_path / "out", device=device, **NAMES)
    assert loaded == [device]


def test_what_was_found_is_reported(model, tmp_path):
    table = make_table().assign(note="-", code="x")
    data = write(table, tmp_path / "panel.parquet")
    told = []
    how = {"partition_size": 4, "report": told.append, **NAMES}
    forecast_partitions(data, model, tmp_path / "out", **how)
    assert told[:3] == [
        "panel.parquet: 300 rows, series: 10, partitions: 3",
        "  left out: note, code",
        "The first partition:",
    ]
    assert told[3].startswith("panel.parquet: 120 rows of 4 series, 2020-01 to 2022-06")
    told.clear()
    forecast_partitions(data, model, tmp_path / "out", **how)
    assert told == []  # of a run that goes on
