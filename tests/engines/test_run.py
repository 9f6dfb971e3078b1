"""Forecasts by partition, in this process or in one that is killed."""

import subprocess
import sys
import textwrap
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import sktime_llm
from sktime_llm import forecast_partitions, load_pretrained
from sktime_llm.datasets import read_table
from sktime_llm.engines import _work
from sktime_llm.errors import (
    EmptySeriesWarning,
    InputError,
    MissingPackageError,
    NoIntervalsError,
    ShortSeriesWarning,
)

from ..forecasting.common import FORECASTERS, each_forecaster, make_panel
from .common import HORIZON, N_SERIES, NAMES, make_table, read, write


@pytest.fixture(autouse=True)
def _nothing_loaded():
    _work._load.cache_clear()


def as_frame(table):
    times = pd.PeriodIndex(table["time"], freq="M", name="month")
    index = pd.MultiIndex.from_arrays([table["series"], times], names=["shop", "month"])
    return pd.DataFrame({"units": table["forecast"].to_numpy()}, index)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_forecasts_are_those_of_all_series_at_once(panel, model, tmp_path, size):
    out = forecast_partitions(
        panel, model, tmp_path / "out", partition_size=size, levels=[80], **NAMES
    )
    table = read(out)
    assert list(table) == [
        *("series", "time", "variate", "forecast", "lower_80", "upper_80")
    ]
    found = as_frame(table)
    y = read_table(panel, time_column="month", id_column="shop")
    whole = load_pretrained(model)
    whole.update(y.rename(columns={"units": "y0"}), update_params=False)
    expected = whole.predict(range(1, HORIZON + 1)).loc[found.index]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    bounds = whole.predict_interval(range(1, HORIZON + 1), coverage=0.8)
    bounds = bounds.loc[found.index].to_numpy()
    np.testing.assert_allclose(table[["lower_80", "upper_80"]], bounds, rtol=1e-5)


@each_forecaster
def test_forecasts_are_those_of_a_fit_from_the_checkpoint(make, tmp_path):
    data = write(make_table(), tmp_path / "panel.parquet")
    options = {"intervals": None, "validation_fraction": 0.0}
    model = make(**options).pretrain(make_panel(), fh=[1, 2, 3])
    model = model.save_pretrained(tmp_path / "model")
    out = forecast_partitions(data, model, tmp_path / "out", partition_size=4, **NAMES)
    y = read_table(data, time_column="month", id_column="shop")
    zero_shot = make(**options, checkpoint=model).fit(y).predict(range(1, HORIZON + 1))
    np.testing.assert_allclose(as_frame(read(out)), zero_shot, rtol=1e-4)


@each_forecaster
def test_forecasts_do_not_depend_on_partitions(make, tmp_path):
    data = write(make_table(), tmp_path / "panel.parquet")
    forecaster = make(intervals="quantiles", standardize=False)
    forecaster.fit(make_panel(), fh=[1, 2, 3])
    model = forecaster.save_pretrained(tmp_path / "model")
    tables = [
        read(
            forecast_partitions(
                data,
                model,
                tmp_path / str(size),
                partition_size=size,
                levels=[50],
                **NAMES,
            )
        )
        for size in (2, 10)
    ]
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)


@pytest.mark.parametrize("frequency", [None, "B"])
@pytest.mark.parametrize(
    ("start", "n"), [("2024-04-15", 5), ("2024-04-19", 2), ("2024-04-19", 1)]
)
def test_short_partitions_of_business_days_have_no_weekend(
    model, tmp_path, frequency, start, n
):
    days = pd.bdate_range("2024-01-01", periods=80)
    parts = [pd.DataFrame({"day": days, "shop": shop}) for shop in ("a", "b", "c")]
    days = pd.bdate_range(start, periods=n)
    table = pd.concat([*parts, pd.DataFrame({"day": days, "shop": "d"})])
    table["units"] = np.arange(len(table)) % 5
    data = write(table, tmp_path / "panel.parquet")
    names = {"time_column": "day", "id_column": "shop", "frequency": frequency}
    tables = []
    for size in (4, 3):
        out = tmp_path / str(size)
        how = {"partition_size": size, "horizon": 2, **names}
        with pytest.warns(ShortSeriesWarning):
            tables.append(read(forecast_partitions(data, model, out, **how)))
    whole, parted = tables
    pd.testing.assert_frame_equal(parted, whole, rtol=1e-5)
    ahead = pd.bdate_range(start, periods=n + 2)[n:].strftime("%Y-%m-%d")
    assert parted["time"].tolist()[-2:] == ahead.tolist()


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """The folder of a forecaster that was only pretrained: any number of targets."""
    forecaster = FORECASTERS["calf"](intervals=None).pretrain(make_panel(), fh=[1])
    return forecaster.save_pretrained(tmp_path_factory.mktemp("pretrained") / "model")


def test_an_index_without_a_name_is_no_target(panel, model, tmp_path):
    table = make_table()
    table.index %= 30  # as of tables that were put together, one for each shop
    table.to_parquet(tmp_path / "panel.parquet")
    tables = [
        read(forecast_partitions(data, model, tmp_path / str(i), **NAMES))
        for i, data in enumerate([panel, tmp_path / "panel.parquet"])
    ]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.filterwarnings("ignore::sktime_llm.errors.EmptySeriesWarning")
@pytest.mark.parametrize("empty", [slice(0, 59), slice(60, 119), slice(0, 0)])
def test_targets_are_all_columns_of_a_numeric_type(pretrained, tmp_path, empty):
    table = make_table(4).assign(orders=lambda one: one["units"].round(), note="5")
    table["cost"] = table["units"].round(1).map(lambda x: Decimal(str(x)))
    table["is_open"] = True
    table.loc[empty, ["orders", "cost"]] = None
    data = write(table, tmp_path / "panel.parquet")
    parted, whole = [
        read(
            forecast_partitions(
                data, pretrained, tmp_path / str(size), partition_size=size, **NAMES
            )
        )
        for size in (2, 4)
    ]
    assert set(parted["variate"]) == {"units", "orders", "cost"}
    keys = ["variate", "series", "time"]
    parted, whole = parted.set_index(keys), whole.set_index(keys).sort_index()
    pd.testing.assert_frame_equal(parted.sort_index(), whole, rtol=1e-5)


@each_forecaster
def test_targets_in_another_order_are_the_same_variates(make, tmp_path):
    y = make_panel(n_columns=2)
    y["y1"] = 1000 * y["y1"].groupby(level=0).cumsum()
    forecaster = make(calibration_fraction=0.2).fit(y, fh=[1, 2, 3])
    model = forecaster.save_pretrained(tmp_path / "model")
    table = make_table(4).rename(columns={"units": "y0"})
    data = write(table.assign(y1=1000 * table["y0"].cumsum()), tmp_path / "t.parquet")
    one, other = (
        read(
            forecast_partitions(
                data, model, tmp_path / targets[0], target=targets, levels=[50], **NAMES
            )
        )
        for targets in (["y0", "y1"], ["y1", "y0"])
    )
    pd.testing.assert_frame_equal(one, other)


@each_forecaster
@pytest.mark.parametrize("only_pretrained", [True, False])
def test_a_partition_without_any_value_is_forecast(make, only_pretrained, tmp_path):
    if only_pretrained:
        forecaster = make(intervals=None).pretrain(make_panel(), fh=[1, 2, 3])
    else:
        forecaster = make().fit(make_panel(), fh=[1, 2, 3])
    model = forecaster.save_pretrained(tmp_path / "model")
    table = make_table(4)
    table.loc[table["shop"] == "shop 1", "units"] = np.nan
    data = write(table, tmp_path / "panel.parquet")
    tables = []
    for size in (1, 2, 4):
        how = {"partition_size": size, **NAMES}
        with pytest.warns(EmptySeriesWarning, match=r"1 of \d variates .* 'shop 1'"):
            tables.append(
                read(forecast_partitions(data, model, tmp_path / f"{size}", **how))
            )
    for table in tables:
        assert table["forecast"].notna().all()
        pd.testing.assert_frame_equal(table, tables[0], rtol=1e-4, atol=1e-6)


def test_a_file_without_numbers_has_no_targets(panel, model, tmp_path):
    table = make_table().astype({"units": str})
    data = write(table, tmp_path / "panel.parquet")
    with pytest.raises(InputError, match="no column of a numeric type beside 'month'"):
        forecast_partitions(data, model, tmp_path / "out", **NAMES)
    tables = [
        read(forecast_partitions(file, model, tmp_path / name, target="units", **NAMES))
        for name, file in [("text", data), ("numbers", panel)]
    ]
    pd.testing.assert_frame_equal(*tables)


def test_the_forecaster_is_loaded_once(panel, model, tmp_path, monkeypatch):
    loads = []
    load = sktime_llm.forecasting.pretrained.load_pretrained
    monkeypatch.setattr(
        sktime_llm.forecasting.pretrained,
        "load_pretrained",
        lambda *args, **how: loads.append(args) or load(*args, **how),
    )
    forecast_partitions(panel, model, tmp_path / "out", partition_size=2, **NAMES)
    assert len(loads) == 1


def test_progress_and_going_on(panel, model, tmp_path):
    out, told = tmp_path / "out", []
    options = NAMES | {"partition_size": 4, "progress": lambda *n: told.append(n)}
    forecast_partitions(panel, model, out, **options)
    assert told == [(0, 10), (4, 10), (8, 10), (10, 10)]
    files = {file: file.stat().st_mtime_ns for file in out.iterdir()}
    first = read(out)
    (out / "part-00001.parquet").unlink()
    told.clear()
    forecast_partitions(panel, model, out, **options)
    assert told == [(6, 10), (10, 10)]
    changed = [f.name for f in out.iterdir() if f.stat().st_mtime_ns != files[f]]
    assert changed == ["part-00001.parquet"]
    pd.testing.assert_frame_equal(read(out), first)


KILLED = """
import os, signal, sys
import pandas as pd
from sktime_llm import forecast_partitions

panel, model, out, when = sys.argv[1:]
names = {"time_column": "month", "id_column": "shop", "horizon": 3}
write = pd.DataFrame.to_parquet

def killed(self, path, **how):
    if "part-00002" not in str(path):
        return write(self, path, **how)
    if when == "writing":
        write(self, path, **how)
        with open(path, "rb+") as file:
            file.truncate(200)
    os.kill(os.getpid(), signal.SIGKILL)

pd.DataFrame.to_parquet = killed
forecast_partitions(panel, model, out, partition_size=2, **names)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["writing", "before"])
def test_killed_in_the_middle_nothing_is_lost_or_twice(panel, model, tmp_path, when):
    out = tmp_path / "out"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), panel, model, out, when]
    assert subprocess.run([*map(str, command)], check=False).returncode == -9
    assert len(list(out.glob("part-*.parquet"))) == 2
    assert list(out.glob(".part-00002.parquet.*"))
    if when == "writing":
        assert len(read(out)) == 4 * HORIZON  # what is not whole is not seen
    options = NAMES | {"partition_size": 2}
    forecast_partitions(panel, model, out, **options)
    assert not list(out.glob(".*"))
    again = read(out)
    assert (again.groupby("series").size() == HORIZON).all()
    assert again["series"].nunique() == N_SERIES
    other = forecast_partitions(panel, model, tmp_path / "other", **options)
    pd.testing.assert_frame_equal(again, read(other))


def test_a_folder_of_another_run_is_refused(panel, model, tmp_path):
    out = tmp_path / "out"
    options = NAMES | {"partition_size": 4}
    forecast_partitions(panel, model, out, **options)
    before = {file: file.read_bytes() for file in out.iterdir()}
    other = write(make_table().assign(units=1.0), tmp_path / "other.parquet")
    remade = FORECASTERS["calf"](max_epochs=1).fit(make_panel(), fh=[1])
    remade = remade.save_pretrained(tmp_path / "remade")
    for given, message in [
        ((panel, model, options | {"horizon": 2}), r"another run: horizon=3 \(now 2\)"),
        ((panel, model, NAMES), r"partition_size=4 \(now 1000\)"),
        ((other, model, options), "another content of the input files"),
        ((panel, remade, options), "another content of the forecaster"),
    ]:
        with pytest.raises(InputError, match=message):
            forecast_partitions(*given[:2], out, **given[2])
    assert {file: file.read_bytes() for file in out.iterdir()} == before
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(panel.read_bytes())
    forecast_partitions(copy, model, out, **options)  # the same content


def test_a_folder_with_other_files_is_refused(panel, model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not of such a run, as notes\.txt"):
        forecast_partitions(panel, model, tmp_path, **NAMES)
    (tmp_path / "_manifest.json").write_text("{}")
    with pytest.raises(InputError, match="not of such a run"):
        forecast_partitions(panel, model, tmp_path, **NAMES)
    with pytest.raises(InputError, match="is a file, expected a folder"):
        forecast_partitions(panel, model, tmp_path / "notes.txt", **NAMES)


def test_files_of_the_system_are_passed_over(panel, model, tmp_path):
    (tmp_path / ".DS_Store").write_text("of a file manager")
    forecast_partitions(panel, model, tmp_path, **NAMES)
    assert read(tmp_path)["series"].nunique() == N_SERIES


def test_a_run_without_a_forecast_yet_may_begin_anew(model, tmp_path):
    table = make_table(2)
    table.loc[3, "units"] = np.inf
    bad = write(table, tmp_path / "bad.parquet")
    good = write(make_table(2), tmp_path / "good.parquet")
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"bad\.parquet, row 4, column 'units'"):
        forecast_partitions(bad, model, out, **NAMES)
    forecast_partitions(good, model, out, **NAMES)
    assert read(out)["series"].nunique() == 2


def test_rows_of_later_partitions_are_numbered_as_in_the_file(model, tmp_path):
    table = make_table()
    table.loc[257, "units"] = np.inf
    data = write(table, tmp_path / "panel.parquet")
    with pytest.raises(InputError, match="row 258, column 'units'"):
        forecast_partitions(data, model, tmp_path / "out", partition_size=2, **NAMES)
    assert len(read(tmp_path / "out")) == 8 * HORIZON


def test_rows_of_a_folder_are_numbered_as_in_their_file(pretrained, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    table = make_table()

    def refused(message):
        for name, rows in [
            ("a", table[:100]),
            ("b", table[100:200]),
            ("c", table[200:]),
        ]:
            write(rows, data / f"{name}.parquet")
        with pytest.raises(InputError, match=message):
            forecast_partitions(data, pretrained, tmp_path / "out", **NAMES)

    table.loc[250, "units"] = np.inf
    refused(r"data, row 51 of c\.parquet, column 'units'")
    table.loc[250, ["units", "shop"]] = [1.0, "shop 0"]
    refused(r"begins at row 1 of a\.parquet and comes back at row 51 of c\.parquet")
    table.loc[199, "shop"] = None
    refused(r"data, row 100 of b\.parquet: an id of the columns \['shop'\] is missing")


def test_warnings_are_told_once(model, tmp_path):
    table = make_table(n_rows=4)
    data = write(table, tmp_path / "panel.parquet")
    with pytest.warns(ShortSeriesWarning, match=r"such warnings of 4 more") as caught:
        forecast_partitions(data, model, tmp_path / "out", partition_size=2, **NAMES)
    assert len([w for w in caught if w.category is ShortSeriesWarning]) == 1


def test_what_the_forecaster_cannot_do_is_said_before_anything_is_written(
    panel, model, tmp_path
):
    y = make_panel()
    for forecaster, options, error, message in [
        (
            FORECASTERS["calf"](intervals=None).fit(y, fh=[1]),
            {"levels": [80]},
            NoIntervalsError,
            "intervals=None",
        ),
        (
            FORECASTERS["calf"]().pretrain(y, fh=[1]),
            {"levels": [80]},
            NoIntervalsError,
            "only pretrained",
        ),
        (
            FORECASTERS["calf"](intervals=None).fit(make_panel(n_columns=2), fh=[1]),
            {},
            InputError,
            r"fitted on 2 variate\(s\), but the data have 1: units; expected as many",
        ),
        (
            FORECASTERS["calf"](standardize=False).pretrain(y, fh=[1]),
            {},
            InputError,
            "no scale that all series share",
        ),
        (
            FORECASTERS["calf"]().fit(y, X=y.rename(columns={"y0": "x"}), fh=[1]),
            {},
            InputError,
            "fitted with covariates X",
        ),
    ]:
        saved = forecaster.save_pretrained(tmp_path / "other")
        with pytest.raises(error, match=message):
            forecast_partitions(panel, saved, tmp_path / "out", **NAMES, **options)
    with pytest.raises(InputError, match="There is no forecaster in"):
        forecast_partitions(panel, tmp_path / "none", tmp_path / "out", **NAMES)
    assert not (tmp_path / "out").exists()


def test_a_forecaster_that_is_replaced_during_a_run_is_an_error(panel, model, tmp_path):
    digest = _work.digest_of(str(model))
    with pytest.raises(InputError, match="not the one that the run began with"):
        _work.loaded(str(model), digest[::-1], None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon=0, expected an integer of at least 1"),
        ({"engine": "spark"}, "engine='spark', expected one of"),
        ({"levels": [100]}, r"levels=\[100\], expected a sequence of levels"),
        ({"levels": [0.8]}, r"levels=\[0.8\], expected a sequence of levels"),
        ({"target": "month"}, "no column twice"),
        ({"id_column": []}, "at least one id column"),
        ({"id_column": "store"}, "has no column 'store'"),
        ({"scheduler": "tcp://x:1"}, "expected none: it runs on this machine"),
        (
            {"engine": "dask", "scheduler": "tcp://x:1", "workers": 2},
            "workers=2 with scheduler",
        ),
    ],
)
def test_parameters_that_cannot_be(panel, model, tmp_path, options, message):
    if options.get("engine") == "dask":
        pytest.importorskip("distributed")
    with pytest.raises(InputError, match=message):
        forecast_partitions(panel, model, tmp_path / "out", **NAMES | options)


@pytest.mark.parametrize(
    ("package", "engine", "message"),
    [
        ("distributed", "dask", r"pip install sktime-llm\[dask\]"),
        ("ray", "ray", r"pip install sktime-llm\[ray\]"),
        ("pyarrow.parquet", "local", r"pip install sktime-llm\[baselines\]"),
    ],
)
def test_a_missing_package_is_named(
    panel, model, tmp_path, monkeypatch, package, engine, message
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=message):
        forecast_partitions(panel, model, tmp_path / "out", engine=engine, **NAMES)
