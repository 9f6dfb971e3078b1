"""What is saved is whole, whatever happens, and says of which version it is."""

import json
import os
import pickle
import signal
import time
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from sktime.base import load as load_by_sktime

from sktime_llm import load, load_pretrained
from sktime_llm.errors import InputError, SavedForecasterError

from .common import FORECASTERS, each_forecaster, make_series

FH = [1, 2, 3]


@pytest.fixture(scope="module")
def fitted():
    return FORECASTERS["calf"]().fit(make_series())


def rewritten(file, **members):
    """Replace members of a zip file; None leaves one out."""
    with ZipFile(file) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(file, "w") as archive:
        for name, content in {**old, **members}.items():
            if content is not None:
                archive.writestr(name, content)


@each_forecaster
def test_a_parameter_that_is_newer_than_the_file_has_its_default(make):
    forecaster = make().fit(make_series(), fh=FH)
    state = forecaster.__getstate__()
    for parameter in ("task_loss", "missing", "subtract_last"):
        state.pop(parameter, None)
    earlier = type(forecaster).__new__(type(forecaster))
    earlier.__setstate__(state)
    assert earlier.get_params() == forecaster.get_params()
    pd.testing.assert_frame_equal(earlier.predict(), forecaster.predict())
    assert earlier.clone().missing == "error"


@each_forecaster
@pytest.mark.parametrize("name", ["plain", "with.dot", "v1.2.zip", "in spaces é"])
@pytest.mark.parametrize("as_path", [False, True])
def test_every_path_works_in_save_and_load_alike(make, name, as_path, tmp_path):
    path = tmp_path / name if as_path else str(tmp_path / name)
    forecaster = make(max_epochs=1).fit(make_series())
    forecaster.save(path)
    without = name.removesuffix(".zip")
    assert [file.name for file in tmp_path.iterdir()] == [f"{without}.zip"]
    stem = str(tmp_path / without)
    for loaded in (load(path), load(stem), load(stem + ".zip"), load_by_sktime(stem)):
        pd.testing.assert_frame_equal(loaded.predict(fh=FH), forecaster.predict(fh=FH))


@pytest.mark.parametrize("serialization_format", ["pickle", "cloudpickle"])
def test_formats(fitted, serialization_format, tmp_path):
    fitted.save(tmp_path / "saved", serialization_format=serialization_format)
    assert load(tmp_path / "saved").is_fitted
    in_memory = fitted.save(serialization_format=serialization_format)
    assert load_by_sktime(in_memory).is_fitted


def test_a_path_of_another_class(fitted, tmp_path):
    (tmp_path / "saved").mkdir()
    (entry,) = os.scandir(tmp_path)  # an os.PathLike whose str is no path
    fitted.save(entry)
    assert load(tmp_path / "saved.zip").is_fitted


def test_what_cannot_be_a_path_or_a_format(fitted, tmp_path):
    with pytest.raises(InputError, match="path=3, expected a str or a Path"):
        fitted.save(3)
    with pytest.raises(InputError, match="serialization_format='json', expected one"):
        fitted.save(tmp_path / "saved", serialization_format="json")
    with pytest.raises(FileNotFoundError, match="there is no saved forecaster"):
        load(tmp_path / "saved")


def test_what_the_other_function_wrote(fitted, tmp_path):
    fitted.save(tmp_path / "saved")
    with pytest.raises(SavedForecasterError, match=r"sktime_llm\.load\(\)"):
        load_pretrained(tmp_path / "saved.zip")
    fitted.save_pretrained(tmp_path / "folder")
    with pytest.raises(SavedForecasterError, match=r"sktime_llm\.load_pretrained\(\)"):
        load(tmp_path / "folder")


def test_a_leftover_folder_or_file_does_not_block(fitted, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / ".saved.zip.abc").write_bytes(b"left by a kill")
    for _ in range(2):
        fitted.save(tmp_path / "saved")
    assert load(tmp_path / "saved").is_fitted


def test_the_old_file_stays_when_a_save_fails(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path / "saved")
    old = (tmp_path / "saved.zip").read_bytes()
    monkeypatch.setattr(type(fitted), "__getstate__", lambda self: {"no": lambda: 0})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        fitted.save(tmp_path / "saved")
    assert (tmp_path / "saved.zip").read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["saved.zip"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_the_old_file_is_whole(fitted, tmp_path):
    path = tmp_path / "saved"
    fitted.save(path)
    started = time.perf_counter()
    fitted.save(path)
    seconds = time.perf_counter() - started
    expected = fitted.predict(fh=FH)
    rng = np.random.default_rng(0)
    for _ in range(20):
        child = os.fork()
        if child == 0:
            while True:
                fitted.save(path)
        time.sleep(rng.uniform(0, 3 * seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pd.testing.assert_frame_equal(load(path).predict(fh=FH), expected)
    fitted.save(path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"_versions": None}, "does not say by which version"),
        (
            {"_versions": json.dumps({"format": 99, "sktime-llm": "9.9"})},
            r"by sktime-llm 9\.9 in format 99; sktime-llm .* reads format 1",
        ),
        ({"_obj": b"\x80\x05cut"}, "is not a whole saved forecaster"),
        ({"_obj": None}, "is not a whole saved forecaster"),
        ({"_obj": b"csktime_llm\nGone\n."}, "needs code that is not here"),
    ],
)
def test_what_cannot_be_read_says_so(fitted, members, message, tmp_path):
    fitted.save(tmp_path / "saved")
    rewritten(tmp_path / "saved.zip", **members)
    for read in (load, load_by_sktime):
        with pytest.raises(SavedForecasterError, match=message):
            read(str(tmp_path / "saved"))


def test_a_truncated_file(fitted, tmp_path):
    fitted.save(tmp_path / "saved")
    file = tmp_path / "saved.zip"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SavedForecasterError, match="is not a whole saved forecaster"):
        load(file)
