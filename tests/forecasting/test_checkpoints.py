"""Checkpoints: the same forecaster again, without running anything that is read."""

import datetime
import errno
import hashlib
import json
import os
import pickle
import re
import signal
import struct
import time
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import dateutil.tz
import numpy as np
import pandas as pd
import pytest
import pytz
import torch
from sktime.utils._testing.hierarchical import _make_hierarchical
from transformers import AutoModel

from sktime_llm import CALFForecaster, load_pretrained
from sktime_llm.backbone.loading import clear_backbone_cache
from sktime_llm.backbone.tiny import TINY_CONFIGS, make_tiny_tokenizer
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DeviceChangedWarning,
    DeviceNotAvailableError,
    InputError,
    SavedForecasterError,
)
from sktime_llm.forecasting import _checkpoint
from sktime_llm.forecasting._checkpoint import CONFIG, FILES, NETWORK, SERIES
from sktime_llm.forecasting._pretrained import CLASSES
from sktime_llm.forecasting._pretrained_state import COVARIATES, NETWORKS, STATE

from .common import FORECASTERS, each_forecaster, make_panel, make_series

FH = [1, 2, 3, 7]
FIXTURES = Path(__file__).parent / "checkpoints"
MADE_ANEW = {"_tags_dynamic", "_config_dynamic", "_y", "_X", "_state", "_interruption"}
DAYS = pd.date_range("2020-01-01", periods=60, freq="D", tz="Europe/Berlin")


def with_index(index):
    return make_series(len(index), index=index)


DATA = {
    "frame": make_series,
    "series": lambda: make_series()["y0"],
    "unnamed": lambda: make_series()["y0"].rename(None),
    "array": lambda: make_series()["y0"].to_numpy(),
    "panel": lambda: make_panel(n_columns=2),
    "numbered panel": lambda: make_panel().rename(lambda key: int(key[1]), level=0),
    "hierarchy": lambda: _make_hierarchical(min_timepoints=40, max_timepoints=40),
    "range": lambda: with_index(pd.RangeIndex(5, 65)),
    "integers": lambda: with_index(pd.Index(np.arange(60) + 3)),
    "days": lambda: with_index(DAYS),
    "days without freq": lambda: with_index(pd.DatetimeIndex(list(DAYS))),
    "seconds": lambda: with_index(
        pd.date_range("2020", periods=60, freq="5min").as_unit("s")
    ),
    "quarters": lambda: with_index(pd.period_range("2000Q1", periods=60, freq="Q-NOV")),
    "columns": lambda: make_series(n_columns=2).set_axis([("a", 1), 7], axis=1),
    "float32": lambda: make_series().astype("float32"),
    "whole numbers": lambda: make_series().round().astype("int64"),
}

ZONES = {
    "zoneinfo": ZoneInfo("Europe/Berlin"),
    "zoneinfo of one distance": ZoneInfo("Etc/GMT-5"),
    "zoneinfo, UTC": ZoneInfo("UTC"),
    "pytz": pytz.timezone("US/Eastern"),
    "pytz, UTC": pytz.UTC,
    "pytz, fixed": pytz.FixedOffset(330),
    "dateutil, UTC": dateutil.tz.tzutc(),
    "dateutil, fixed": dateutil.tz.tzoffset("EST", -18000),
    "datetime, UTC": datetime.timezone.utc,
    "datetime, fixed": datetime.timezone(datetime.timedelta(hours=5.75)),
}


def same(one, other):
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other, check_exact=True)
    else:
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def contents(folder):
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def altered(folder, **changes):
    """Change entries of a configuration, and seal it again as its author could."""
    config = json.loads((folder / CONFIG).read_text())
    del config["sha256"]
    for name, change in changes.items():
        change(config[name]) if callable(change) else config.update({name: change})
    for name in (NETWORK, SERIES):
        sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        config["files"][name] = sha256
    sealed = {"sha256": _checkpoint._digest(config), **config}
    (folder / CONFIG).write_text(json.dumps(sealed))
    return folder


def with_header(file, change):
    """Change the header of a file of tensors; the data stay."""
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    new = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(new)) + new + data[8 + length :])


@pytest.fixture(scope="module")
def fitted():
    return {name: make().fit(make_series()) for name, make in FORECASTERS.items()}


@pytest.fixture
def folder(fitted, tmp_path):
    return fitted["calf"].save_pretrained(tmp_path / "saved")


def refused(folder, message, error=SavedForecasterError):
    with pytest.raises(error, match=message):
        load_pretrained(folder)


@pytest.fixture
def backbone(tmp_path):
    """A folder of weights, of which another one has the same name later."""

    def write(seed=0):
        torch.manual_seed(seed)
        model = AutoModel.from_config(TINY_CONFIGS["tiny-random"])
        model.save_pretrained(tmp_path / "backbone")
        clear_backbone_cache()

    write()
    make_tiny_tokenizer().save_pretrained(tmp_path / "backbone")
    yield str(tmp_path / "backbone"), write
    clear_backbone_cache()


# the same forecaster again


@each_forecaster
@pytest.mark.parametrize("data", DATA)
def test_forecasts_are_the_same_to_the_digit(make, data, tmp_path):
    forecaster = make(max_epochs=1).fit(DATA[data](), fh=[1, 2])
    loaded = type(forecaster).from_pretrained(
        forecaster.save_pretrained(tmp_path / "one")
    )
    loaded.save_pretrained(tmp_path / "two")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    same(loaded.predict(), forecaster.predict())
    for fh in (FH, [-20, -1, 0, 2]):
        same(loaded.predict(fh), forecaster.predict(fh))
    assert loaded.get_params() == forecaster.get_params()


@each_forecaster
@pytest.mark.parametrize("zone", ZONES)
def test_times_of_any_library_of_time_zones(make, zone, tmp_path):
    hours = pd.date_range("2020-03-27", periods=66, freq="h", tz=ZONES[zone])
    y = make_series(66, index=hours)
    forecaster = make(max_epochs=1).fit(y[:60], fh=[1, 2])
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "one"))
    loaded.save_pretrained(tmp_path / "two")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    for one in (forecaster, loaded):
        one.update(y[60:63], update_params=False)
    for fh in (None, FH, hours[63:65], hours[[30, 64]]):
        expected, forecast = forecaster.predict(fh), loaded.predict(fh)
        np.testing.assert_array_equal(forecast, expected)
        # the same moments, and by the clock on the wall
        assert list(map(str, forecast.index)) == list(map(str, expected.index))
        assert (forecast.index == expected.index).all()


@pytest.mark.parametrize("zone", ["zoneinfo", "pytz, fixed"])
def test_time_zones_of_panels_and_of_times_before_a_gap(zone, tmp_path):
    hours = pd.date_range("2020-03-27", periods=60, freq="h", tz=ZONES[zone])
    y = pd.concat({"a": make_series(60, 2, hours), "b": make_series(50, 2, hours[:50])})
    y.iloc[20:60, 0] = np.nan
    forecaster = FORECASTERS["llm-ts-net"](max_epochs=1).fit(y)
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "saved"))
    expected, forecast = forecaster.predict(FH), loaded.predict(FH)
    np.testing.assert_array_equal(forecast, expected)
    for mine, theirs in zip(forecast.index, expected.index, strict=True):
        assert mine == theirs
        assert mine[1].isoformat() == theirs[1].isoformat()
    times, expected = (
        [time.isoformat() for time in one._known.last_observed["a"].times]
        for one in (loaded, forecaster)
    )
    assert times == expected


def unnamed_zone():
    with (files("tzdata") / "zoneinfo" / "Europe" / "Berlin").open("rb") as file:
        return ZoneInfo.from_file(file)


@pytest.mark.parametrize(
    "zone",
    [unnamed_zone(), datetime.timezone(datetime.timedelta(hours=1, seconds=15))],
    ids=["no name", "seconds"],
)
def test_a_time_zone_that_cannot_be_written(zone, tmp_path):
    hours = pd.date_range("2020-03-27", periods=60, freq="h", tz="UTC")
    forecaster = FORECASTERS["calf"](max_epochs=1)
    forecaster.fit(make_series(index=hours.tz_convert(zone)))
    message = r"is in the time zone .*expected one that has a name.*tz_convert"
    with pytest.raises(SavedForecasterError, match=message):
        forecaster.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    "freq",
    [
        pd.offsets.CustomBusinessDay(holidays=["2020-01-06"]),
        pd.offsets.DateOffset(days=3),
    ],
)
def test_a_frequency_that_cannot_be_written(freq, tmp_path):
    times = pd.date_range("2020-01-01", periods=60, freq=freq)
    forecaster = FORECASTERS["calf"](max_epochs=1).fit(make_series(index=times))
    with pytest.raises(SavedForecasterError, match="does not tell all of it"):
        forecaster.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_time_zone_that_is_not_known_here(tmp_path):
    forecaster = FORECASTERS["calf"](max_epochs=1).fit(DATA["days"]())
    folder = forecaster.save_pretrained(tmp_path / "saved")
    state = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(state.replace("Europe/Berlin", "Europe/Nowhere"))
    refused(altered(folder), "time zone 'Europe/Nowhere', which is not known on this")


@each_forecaster
def test_intervals_updates_copies_and_pickles(make, tmp_path):
    y = make_series(90)
    forecaster = make(max_epochs=1, calibration_fraction=0.2).fit(y[:70], fh=[1, 2])
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "saved"))
    same(loaded.predict_interval(FH), forecaster.predict_interval(FH))
    copied = pickle.loads(pickle.dumps(loaded))
    for one in (forecaster, loaded, copied):
        one.update(y[70:80], update_params=False).update(y[80:])
    for one in (loaded, copied):
        same(one.predict(FH), forecaster.predict(FH))
        same(one.predict_interval(FH), forecaster.predict_interval(FH))
    same(loaded.clone().fit(y).predict(FH), forecaster.clone().fit(y).predict(FH))


@each_forecaster
@pytest.mark.parametrize("y", [make_series(), make_panel()], ids=["series", "panel"])
def test_without_the_past(make, y, tmp_path):
    forecaster = make(max_epochs=1).fit(y)
    folder = forecaster.save_pretrained(tmp_path / "saved", keep_past=False)
    loaded = load_pretrained(folder)
    same(loaded.predict(FH), forecaster.predict(FH))
    with pytest.raises(InputError, match=r"saved without its rows.*keep_past=True"):
        loaded.predict([-1, 1])
    assert "the last 11 rows" in (folder / "README.md").read_text()
    later = y.iloc[-1:] + 1.0
    for one in (forecaster, loaded):
        one.update(later, update_params=False)
    same(loaded.predict(FH), forecaster.predict(FH))
    again = load_pretrained(loaded.save_pretrained(tmp_path / "again"))
    same(again.predict(FH), forecaster.predict(FH))


@each_forecaster
def test_a_new_series_in_an_update(make, tmp_path):
    panel = make_panel()
    forecaster = make(max_epochs=1).fit(panel.loc[["s0", "s1"]])
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "saved"))
    for one in (forecaster, loaded):
        one.update(panel, update_params=False)
    same(loaded.predict(FH), forecaster.predict(FH))
    again = load_pretrained(loaded.save_pretrained(tmp_path / "saved"))
    same(again.predict(FH), forecaster.predict(FH))


@each_forecaster
def test_only_pretrained(make, tmp_path):
    forecaster = make(fine_tune_epochs=1).pretrain(make_panel(), fh=FH)
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "saved"))
    assert loaded.state == "pretrained"
    assert not loaded.is_fitted
    assert loaded.get_pretrained_params().keys() == (
        forecaster.get_pretrained_params().keys()
    )
    y = make_series(50, seed=9)
    same(loaded.fit(y).predict(FH), forecaster.fit(y).predict(FH))
    again = load_pretrained(loaded.save_pretrained(tmp_path / "saved"))
    same(again.predict(FH), forecaster.predict(FH))
    same(again.fit(y[:45]).predict(FH), forecaster.fit(y[:45]).predict(FH))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("calf", {"keep_textual_branch": True}),
        ("calf", {"backbone_mode": "attention"}),
        ("calf", {"backbone_mode": "random"}),
        ("calf", {"backbone": "tiny-random-decoder", "d_ff": None}),
        ("balm-tsf", {"backbone_mode": "none"}),
        ("balm-tsf", {"prompt_order": "prompts-first", "patch_length": None}),
        ("calf", {"intervals": "quantiles"}),
        ("balm-tsf", {"intervals": "quantiles"}),
        ("llm-ts-net", {"intervals": "quantiles", "n_descriptions": 3}),
        ("llm-ts-net", {"text_fusion": False}),
        ("llm-ts-net", {"prompt_pool": False, "uncertainty": True}),
        ("llm-ts-net", {"backbone_mode": "transformer"}),
    ],
)
def test_every_structure(method, parameters, tmp_path):
    y = make_series(80)
    forecaster = FORECASTERS[method](max_epochs=1, **parameters).fit(y[:60])
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "saved"))
    for one in (forecaster, loaded):
        one.update(y[60:])
    for fh in (FH, [-20, -1, 0, 2]):
        same(loaded.predict(fh), forecaster.predict(fh))
    if parameters.get("intervals"):
        same(loaded.predict_interval(FH), forecaster.predict_interval(FH))
    trains = {n: p.requires_grad for n, p in forecaster.network_.named_parameters()}
    for name, parameter in loaded.network_.named_parameters():
        assert parameter.requires_grad == trains[name], name


@each_forecaster
def test_everything_that_fit_sets_is_saved_or_made_anew(make):
    forecaster = make().pretrain(make_panel(), fh=FH).fit(make_series())
    attributes = vars(forecaster).keys() - forecaster.get_params().keys()
    saved = {
        "_known",
        "_calibration",
        "_pretrained_attrs",
        *STATE,
        *NETWORKS,
        *COVARIATES,
    }
    assert attributes <= saved | MADE_ANEW


def test_missing_values(tmp_path):
    y = make_series()
    y.iloc[[3, 20, 55]] = np.nan
    forecaster = FORECASTERS["llm-ts-net"](max_epochs=1).fit(y)
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "saved"))
    same(loaded.predict(FH), forecaster.predict(FH))


# devices, classes, parameters


def test_the_device_is_that_of_the_file_or_another(folder):
    def on_gpu(parameters):
        parameters["device"] = "cuda:99"

    assert load_pretrained(folder, device="auto").device == "auto"
    altered(folder, parameters=on_gpu)
    with pytest.warns(DeviceChangedWarning, match="cuda:99"):
        loaded = load_pretrained(folder)
    assert next(loaded.network_.parameters()).device.type == "cpu"
    assert load_pretrained(folder, device="cpu").device == "cpu"
    with pytest.raises(DeviceNotAvailableError, match="cuda:98"):
        load_pretrained(folder, device="cuda:98")


def test_a_checkpoint_of_another_class(fitted, tmp_path):
    fitted["balm-tsf"].save_pretrained(tmp_path / "saved")
    with pytest.raises(
        SavedForecasterError, match="BALMTSFForecaster, expected a CALF"
    ):
        CALFForecaster.from_pretrained(tmp_path / "saved")


def test_a_class_that_is_not_ours(folder, tmp_path):
    class Other(CALFForecaster):
        pass

    with pytest.raises(SavedForecasterError, match="Other cannot be saved without"):
        Other(backbone="tiny-random", max_epochs=1).fit(make_series()).save_pretrained(
            tmp_path / "other"
        )
    altered(folder, **{"class": "subprocess.Popen"})
    refused(folder, "has a 'subprocess.Popen', expected one of")
    assert len(CLASSES) == len(FORECASTERS)


def test_a_parameter_that_json_cannot_hold(tmp_path):
    state = np.random.RandomState(0)
    forecaster = FORECASTERS["calf"](random_state=state, max_epochs=1)
    forecaster.fit(make_series())
    with pytest.raises(
        SavedForecasterError, match="the parameter random_state is Rand"
    ):
        forecaster.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_what_is_not_fitted_and_what_is_no_path(fitted, tmp_path):
    with pytest.raises(Exception, match="has not been fitted"):
        FORECASTERS["calf"]().save_pretrained(tmp_path / "saved")
    with pytest.raises(InputError, match="path=3, expected a str or a Path"):
        fitted["calf"].save_pretrained(3)
    with pytest.raises(InputError, match="got 3, expected the path of a folder"):
        load_pretrained(3)


def test_windows_of_files_before_there_was_a_choice_are_relative_to_their_mean(
    fitted, tmp_path
):
    def drop(networks):
        assert networks["network_"].pop("subtract_last") is True

    folder = fitted["balm-tsf"].save_pretrained(tmp_path / "saved")
    assert load_pretrained(folder).network_.subtract_last is True
    altered(folder, networks=drop)
    assert load_pretrained(folder).network_.subtract_last is False
    make = FORECASTERS["balm-tsf"]
    assert not make(checkpoint=str(folder)).fit(make_series()).network_.subtract_last
    forecaster = make(checkpoint=str(folder), subtract_last=True)
    with pytest.raises(InputError, match="has subtract_last=False"):
        forecaster.fit(make_series())


def test_files_of_older_and_newer_versions(folder):
    def drop(parameters):
        del parameters["missing"]

    altered(folder, parameters=drop)
    assert load_pretrained(folder).missing == CALFForecaster().missing
    altered(folder, parameters=lambda values: values.update(magic=1))
    refused(folder, "has no parameter magic, which sktime-llm .* wrote")
    altered(folder, format=99)
    refused(folder, "in format 99; sktime-llm .* reads format 1")


def test_files_that_are_not_ours_stay(fitted, folder):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not of a checkpoint \(notes.txt\)"):
        fitted["calf"].save_pretrained(folder)
    for name in ("file", "other"):
        path = folder.parent / name
        path.mkdir() if name == "other" else path.write_text("mine")
    (folder.parent / "other" / CONFIG).write_text("{}")
    for name in ("file", "other"):
        with pytest.raises(InputError, match=r"is a file|not of a checkpoint"):
            fitted["calf"].save_pretrained(folder.parent / name)
    assert (folder / "notes.txt").read_text() == "mine"


def test_an_old_folder_is_replaced_and_nothing_is_left(fitted, folder):
    fitted["balm-tsf"].save_pretrained(folder)
    assert sorted(contents(folder)) == sorted(FILES)
    assert list(folder.parent.iterdir()) == [folder]
    same(load_pretrained(folder).predict(FH), fitted["balm-tsf"].predict(FH))


# the parameter checkpoint


@each_forecaster
@pytest.mark.parametrize("epochs", [0, 1])
def test_fit_from_a_checkpoint_is_fit_after_pretrain(make, epochs, tmp_path):
    pretrained = make(fine_tune_epochs=epochs).pretrain(make_panel(), fh=FH)
    folder = pretrained.save_pretrained(tmp_path / "saved")
    y = make_series(50, seed=9)
    expected = pretrained.fit(y).predict(FH)
    lengths = {"context_length": None, "prediction_length": None}
    forecaster = make(checkpoint=folder, fine_tune_epochs=epochs, **lengths)
    same(forecaster.clone().fit(y).predict(FH), expected)
    forecaster.set_params(max_epochs=1)
    same(forecaster.fit(y).predict(FH), expected)
    loaded = load_pretrained(forecaster.save_pretrained(tmp_path / "fitted"))
    same(loaded.predict(FH), expected)
    same(make(checkpoint=tmp_path / "fitted").fit(y).predict(FH).iloc[:0], expected[:0])


@each_forecaster
def test_pretrain_goes_on_from_a_checkpoint(make, tmp_path):
    folder = make().pretrain(make_panel(), fh=FH).save_pretrained(tmp_path / "saved")
    went_on = make(checkpoint=folder).pretrain(make_panel())
    assert len(went_on.fit(make_series()).predict(FH)) == len(FH)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"context_length": 9}, "context_length=9 .*has context_length=8"),
        ({"lora_rank": 4, "d_ff": 8}, "d_ff=8, lora_rank=4 .*d_ff=16, lora_rank=8"),
        ({"backbone": "tiny-random-decoder"}, "backbone='tiny-random-decoder'"),
        ({"feature_loss_weight": 0.0}, "feature_loss_weight"),
        ({"subtract_last": True}, "subtract_last=True .*has subtract_last=False"),
    ],
)
def test_a_conflict_with_a_checkpoint_names_the_parameter(folder, parameters, message):
    forecaster = FORECASTERS["calf"](checkpoint=str(folder), **parameters)
    with pytest.raises(InputError, match=message):
        forecaster.fit(make_series())


def test_quantiles_are_of_the_checkpoint(fitted, tmp_path):
    make, y = FORECASTERS["calf"], make_series()
    with_head = make(intervals="quantiles").fit(y).save_pretrained(tmp_path / "with")
    make(checkpoint=with_head).fit(y)
    make(checkpoint=with_head, intervals="quantiles").fit(y).predict_interval(FH)
    without = fitted["calf"].save_pretrained(tmp_path / "without")
    with pytest.raises(InputError, match="the pretrained network was made without"):
        make(checkpoint=without, intervals="quantiles").fit(y)


def test_a_checkpoint_of_another_method_or_none(folder, tmp_path):
    with pytest.raises(SavedForecasterError, match="CALFForecaster, expected a BALM"):
        FORECASTERS["balm-tsf"](checkpoint=folder).fit(make_series())
    with pytest.raises(SavedForecasterError, match="is no folder here"):
        FORECASTERS["calf"](checkpoint=tmp_path / "none").fit(make_series())


# without the weights of the backbone


def test_weights_that_a_forecast_does_not_need(backbone, tmp_path):
    name, _ = backbone
    panel, make = make_panel(), FORECASTERS["llm-ts-net"]
    forecaster = make(backbone=name).fit(panel.loc[["s0", "s1"]])
    expected = forecaster.predict(FH)
    forecaster.save_pretrained(tmp_path / "saved")
    os.rename(name, f"{name}-away")
    clear_backbone_cache()
    loaded = load_pretrained(tmp_path / "saved")
    same(loaded.predict(FH), expected)
    loaded.save_pretrained(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "saved")
    same(pickle.loads(pickle.dumps(loaded)).predict(FH), expected)
    with pytest.raises(BackboneNotFoundError):
        loaded.update(panel, update_params=False)


def test_no_model_at_all_needs_no_files(backbone, tmp_path):
    name, _ = backbone
    forecaster = FORECASTERS["calf"](backbone=name, backbone_mode="none")
    forecaster.fit(make_series()).save_pretrained(tmp_path / "saved")
    os.rename(name, f"{name}-away")
    clear_backbone_cache()
    same(load_pretrained(tmp_path / "saved").predict(FH), forecaster.predict(FH))


def test_weights_that_a_forecast_needs(backbone, tmp_path):
    name, _ = backbone
    FORECASTERS["calf"](backbone=name).fit(make_series()).save_pretrained(
        tmp_path / "saved"
    )
    os.rename(name, f"{name}-away")
    clear_backbone_cache()
    refused(tmp_path / "saved", "is not on this machine|no such model", OSError)


# faults, as in docs/faults.md


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_the_old_folder_is_whole(fitted, tmp_path):
    path, forecaster = tmp_path / "saved", fitted["calf"]
    forecaster.save_pretrained(path)
    started = time.perf_counter()
    forecaster.save_pretrained(path)
    seconds = time.perf_counter() - started
    expected = forecaster.predict(FH)
    rng = np.random.default_rng(0)
    for _ in range(20):
        child = os.fork()
        if child == 0:
            while True:
                forecaster.save_pretrained(path)
        time.sleep(rng.uniform(0, 3 * seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        same(load_pretrained(path).predict(FH), expected)
    forecaster.save_pretrained(path)


def test_killed_between_the_renames_the_old_folder_is_found(fitted, folder):
    os.rename(folder, folder.with_name(".saved.old"))
    same(load_pretrained(folder).predict(FH), fitted["calf"].predict(FH))
    fitted["calf"].save_pretrained(folder)
    assert list(folder.parent.iterdir()) == [folder]


def test_killed_in_removing_the_old_folder_nothing_is_blocked(fitted, folder):
    rest = folder.with_name(".saved.old")
    rest.mkdir()
    os.link(folder / NETWORK, rest / NETWORK)
    same(load_pretrained(folder).predict(FH), fitted["calf"].predict(FH))
    fitted["calf"].save_pretrained(folder)
    assert list(folder.parent.iterdir()) == [folder]
    rest.mkdir()
    (rest / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not of a checkpoint \(notes.txt\)"):
        fitted["calf"].save_pretrained(folder)


@pytest.mark.parametrize("file", [CONFIG, NETWORK, SERIES])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file(folder, file, share):
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: int(share * len(data))])
    refused(folder, "is not a whole|whole safetensors|bytes of tensors|was altered")


@pytest.mark.parametrize("file", [CONFIG, NETWORK, SERIES])
def test_an_altered_byte(fitted, folder, file):
    data = bytearray((folder / file).read_bytes())
    places = [*range(16), *np.linspace(16, len(data) - 1, 60).astype(int)]
    for at in places:
        changed = bytearray(data)
        changed[at] ^= 1
        (folder / file).write_bytes(changed)
        try:
            loaded = load_pretrained(folder)
        except SavedForecasterError:
            continue
        assert file == CONFIG  # a blank of JSON has become another one
        same(loaded.predict(FH), fitted["calf"].predict(FH))


def test_a_missing_file(folder):
    (folder / SERIES).unlink()
    refused(folder, "does not exist; expected config.json")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("file", [CONFIG, NETWORK, SERIES])
def test_a_pickle_is_not_loaded(folder, file, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder / file).write_bytes(pickle.dumps(Evil()))
    refused(folder, "is not a whole|Pickled weights are never loaded")
    if file != CONFIG:
        altered(folder)
        refused(folder, "Pickled weights are never loaded")
    assert not Path("evil").exists()


@pytest.mark.parametrize("file", [CONFIG, NETWORK, SERIES, "README.md"])
def test_a_link_out_of_the_folder(folder, file):
    outside = folder.parent / "outside"
    os.rename(folder / file, outside)
    (folder / file).symlink_to(outside)
    refused(folder, "is a link out of its folder")


def test_a_path_out_of_the_folder(folder):
    altered(folder, files=lambda files: files.update({"../../etc/passwd": "0"}))
    refused(folder, "no other file is ever read")


LIES = {
    "shape": lambda entry: entry.update(shape=[2**40, 2**20]),
    "negative": lambda entry: entry.update(shape=[-1, -1]),
    "dtype": lambda entry: entry.update(dtype="F64"),
    "unknown dtype": lambda entry: entry.update(dtype="F128"),
    "offsets": lambda entry: entry.update(data_offsets=[0, 2**50]),
    "overlap": lambda entry: entry.update(data_offsets=[4, 4 + 192]),
}


@pytest.mark.parametrize("lie", LIES)
def test_sizes_that_lie(folder, lie):
    with_header(
        folder / NETWORK, lambda header: LIES[lie](header["network_.head.weight"])
    )
    refused(altered(folder), "expected|overlap|of shape|is not a whole")


def test_tensors_that_are_missing_too_many_or_of_another_shape(folder):
    with_header(
        folder / NETWORK,
        lambda header: header.update(other=header.pop("network_.head.bias")),
    )
    refused(altered(folder), r"head.bias is absent, expected F32 \[3\]")
    with_header(
        folder / NETWORK,
        lambda header: header["network_.head.weight"].update(shape=[16, 3]),
    )
    refused(altered(folder), r"head.weight is F32 \[16, 3\], expected F32 \[3, 16\]")


@pytest.mark.parametrize(
    ("name", "value"),
    [("d_ff", 10**12), ("d_ff", 10**30), ("d_ff", -1), ("dropout", 3)],
)
def test_parameters_that_ask_for_all_memory_or_cannot_be(folder, name, value):
    altered(folder, parameters=lambda values: values.update({name: value}))
    refused(folder, "MemoryError|not a whole|parameters that cannot be")


def test_lengths_that_ask_for_all_memory(folder):
    def lengthen(networks):
        networks["network_"]["context_length"] = 10**11

    refused(altered(folder, networks=lengthen), "MemoryError: no room for a tensor")


@pytest.mark.parametrize(
    "change",
    [
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"trust_remote_code": True},
        {"parameters": lambda values: values.update(backbone={"kind": "evil.Model"})},
    ],
)
def test_a_configuration_that_asks_for_code(folder, change):
    altered(folder, **change)
    refused(folder, "never run|of the kind 'evil.Model'")


@pytest.mark.parametrize("entry", ["parameters", "state", "networks", "files", "class"])
@pytest.mark.parametrize("value", [None, 3, [], {}, {"network_": {}}])
def test_a_configuration_of_another_form(folder, entry, value):
    config = json.loads((folder / CONFIG).read_text())
    del config["sha256"]
    config[entry] = value
    sealed = {"sha256": _checkpoint._digest(config), **config}
    (folder / CONFIG).write_text(json.dumps(sealed))
    refused(folder, str(folder))


@pytest.mark.parametrize("at", range(len(FILES)))
def test_a_full_disk_leaves_the_old_folder(fitted, folder, monkeypatch, at):
    old, write, written = contents(folder), Path.write_bytes, []

    def fail(self, data):
        written.append(self)
        if len(written) > at:
            write(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        fitted["balm-tsf"].save_pretrained(folder)
    assert contents(folder) == old
    assert list(folder.parent.iterdir()) == [folder]


def test_the_hub_is_down(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(SavedForecasterError, match=r"not be fetched.*HF_HUB_OFF"):
        load_pretrained("nobody/such-a-forecaster", revision="main")


def test_a_backbone_that_changed_under_its_name(backbone, tmp_path):
    name, write = backbone
    FORECASTERS["calf"](backbone=name).fit(make_series()).save_pretrained(
        tmp_path / "saved"
    )
    write(seed=1)
    refused(
        tmp_path / "saved", "weights of backbone=.* changed", BackboneCorruptedError
    )


# the Hub, and the files of the first format


class FakeHub:
    calls: list = []

    def __init__(self, token=None):
        self.calls.append(("token", token))

    def create_repo(self, repo_id, **options):
        self.calls.append(("create", repo_id, options))

    def create_branch(self, repo_id, **options):
        self.calls.append(("branch", repo_id, options))

    def upload_folder(self, *, repo_id, folder_path, **options):
        self.calls.append(("upload", repo_id, contents(folder_path), options))
        return "https://hub/commit/1"


def test_push_to_hub(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", FakeHub)
    monkeypatch.setattr(FakeHub, "calls", [])
    url = fitted["calf"].push_to_hub("me/airline", private=True, token="t")
    assert url == "https://hub/commit/1"
    (_, token), create, (_, repo_id, uploaded, options) = FakeHub.calls
    assert (token, repo_id) == ("t", "me/airline")
    assert create == ("create", "me/airline", {"private": True, "exist_ok": True})
    assert options == {"revision": None, "commit_message": "Add a CALFForecaster"}
    assert b'from_pretrained("me/airline")' in uploaded.pop("README.md")
    folder = fitted["calf"].save_pretrained(tmp_path / "saved", keep_past=False)
    assert uploaded == {k: v for k, v in contents(folder).items() if k in uploaded}


def test_push_to_a_branch(fitted, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", FakeHub)
    monkeypatch.setattr(FakeHub, "calls", [])
    fitted["calf"].push_to_hub("me/airline", revision="v2")
    branch, (_, _, _, options) = FakeHub.calls[2:]
    assert branch == ("branch", "me/airline", {"branch": "v2", "exist_ok": True})
    assert options["revision"] == "v2"


def test_a_name_on_the_hub(folder, tmp_path, fitted, monkeypatch):
    blobs, snapshot = tmp_path / "hub/m/blobs", tmp_path / "hub/m/snapshots/1"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for i, file in enumerate(folder.iterdir()):
        os.rename(file, blobs / str(i))
        (snapshot / file.name).symlink_to(f"../../blobs/{i}")
    asked = []

    def fetch(name, **options):
        asked.append((name, options["revision"]))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    loaded = CALFForecaster.from_pretrained("me/airline", revision="v1")
    assert asked == [("me/airline", "v1")]
    same(loaded.predict(FH), fitted["calf"].predict(FH))


def test_the_model_card(folder):
    text = (folder / "README.md").read_text()
    head, body = text.split("---\n")[1:]
    assert "library_name: sktime-llm" in head
    for words in ("| series | 1 |", "| frequency | M |", "CALFForecaster.from_pretr"):
        assert words in body


def test_the_model_card_has_no_path_of_this_machine(backbone, tmp_path):
    forecaster = FORECASTERS["calf"](backbone=backbone[0])
    folder = forecaster.fit(make_series()).save_pretrained(tmp_path / "saved")
    text = (folder / "README.md").read_text()
    assert "the language model `backbone`" in text
    assert str(tmp_path) not in text
    assert "base_model" not in text


@pytest.mark.parametrize("off", [{"text_fusion": False}, {"backbone_mode": "random"}])
def test_the_model_card_of_a_network_without_a_language_model(off, tmp_path):
    forecaster = FORECASTERS["llm-ts-net"](**off).fit(make_series())
    text = (forecaster.save_pretrained(tmp_path / "saved") / "README.md").read_text()
    assert "forecaster without a pretrained language model, of sktime-llm" in text
    assert "base_model" not in text


@pytest.mark.parametrize("method", FORECASTERS)
@pytest.mark.parametrize("version", ["v1"])
def test_files_of_earlier_formats_are_read_for_ever(method, version):
    expected = json.loads((FIXTURES / version / f"{method}.json").read_text())
    forecaster = load_pretrained(FIXTURES / version / method)
    y_pred = forecaster.predict(expected["fh"])
    assert [str(time) for time in y_pred.index] == expected["index"]
    np.testing.assert_allclose(y_pred.to_numpy(), expected["forecast"], rtol=1e-5)
    bounds = forecaster.predict_interval(expected["fh"], coverage=0.8)
    np.testing.assert_allclose(bounds.to_numpy(), expected["interval"], rtol=1e-5)


def test_the_table_of_faults_names_tests_that_exist():
    file = Path(__file__).parents[2] / "docs" / "faults.md"
    if not file.exists():
        pytest.skip("a release has no docs")
    section = (
        file.read_text(encoding="utf-8").split("## Checkpoints")[1].split("\n## ")[0]
    )
    named = set(re.findall(r"`(test_\w+)`", section))
    assert len(named) > 20
    assert named <= globals().keys()
