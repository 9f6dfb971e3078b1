"""Files of fitted forecasters, and on which device their networks are."""

import copy
import json
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from sktime.base import BaseEstimator

from sktime_llm._devices import resolve_device
from sktime_llm._files import replacing
from sktime_llm._validation import PATH
from sktime_llm._version import __version__
from sktime_llm._warn import warn
from sktime_llm.errors import (
    DeviceChangedWarning,
    DeviceNotAvailableError,
    SavedForecasterError,
)
from sktime_llm.networks._interface import ForecastNetwork

FORMAT = 1
_VERSIONS = "_versions"
_PACKAGES = ("sktime", "torch", "transformers", "peft")
_NETWORKS = ("network_", "pretrained_network_")


def load(path: str | Path) -> Any:
    """Load a forecaster that its method `save` wrote.

    Loading runs code, as unpickling does: load only files that you trust.

    Parameters
    ----------
    path : str or Path
        As given to `save`, with or without ``.zip``.

    Returns
    -------
    forecaster
        On the device that its parameter `device` names.

    Raises
    ------
    SavedForecasterError
        If the file is not a saved forecaster, or is of a version that cannot be read.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> from sktime.datasets import load_airline
    >>> from sktime_llm import CALFForecaster, load
    >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
    >>> forecaster = forecaster.fit(load_airline(), fh=[1, 2, 3])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = forecaster.save(f"{folder}/airline-v1.0")
    ...     loaded = load(f"{folder}/airline-v1.0.zip")
    >>> loaded.predict().equals(forecaster.predict())
    True
    """
    file = zip_path(path)
    if not file.is_file() and Path(path).is_dir():
        raise SavedForecasterError(
            f"{path} is a folder. If save_pretrained() wrote it, read it by "
            "sktime_llm.load_pretrained(); load() reads the file that save() wrote."
        )
    if not file.is_file():
        raise FileNotFoundError(
            f"there is no saved forecaster {str(file)!r}; expected the path that was "
            "given to save()."
        )
    with _explaining(file), ZipFile(file) as archive:
        _check_format(file, archive)
        return pickle.loads(archive.read("_obj"))


def write_zip(forecaster: BaseEstimator, path: str | Path, dumps: Any) -> ZipFile:
    """Write a forecaster to a zip file in sktime's layout, with the versions in use."""
    file = zip_path(path)
    versions = {"format": FORMAT, "sktime-llm": __version__}
    versions |= {name: version(name) for name in _PACKAGES}
    with replacing(file) as beside, ZipFile(beside, "w") as archive:
        archive.writestr(_VERSIONS, json.dumps(versions))
        archive.writestr("_metadata", dumps(type(forecaster)))
        archive.writestr("_obj", dumps(forecaster))
    return ZipFile(file)


def zip_path(path: str | Path) -> Path:
    """Return the path of the file, which ends in ``.zip``."""
    PATH.check("path", path)
    name = os.fspath(path)
    return Path(name if name.endswith(".zip") else f"{name}.zip")


def _check_format(file: Path, archive: ZipFile) -> None:
    if _VERSIONS not in archive.namelist():
        raise SavedForecasterError(
            f"{file} does not say by which version of sktime-llm it was written: it is "
            "no forecaster of ours. Fit one and save it."
        )
    versions = json.loads(archive.read(_VERSIONS))
    if versions["format"] != FORMAT:
        raise SavedForecasterError(
            f"{file} was written by sktime-llm {versions['sktime-llm']} in format "
            f"{versions['format']}; sktime-llm {__version__} reads format {FORMAT}. "
            "Install the version that wrote it, or fit the forecaster again."
        )


@contextmanager
def _explaining(file: Path) -> Iterator[None]:
    try:
        yield
    except (BadZipFile, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise SavedForecasterError(
            f"{file} is not a whole saved forecaster ({error!r}). Save it again."
        ) from error
    except (AttributeError, ImportError) as error:
        raise SavedForecasterError(
            f"{file} needs code that is not here ({error}). Install the packages, and "
            "the versions of them, that it was saved with."
        ) from error


def device_of(network: ForecastNetwork) -> torch.device:
    """Return the device that a network is on."""
    return next(network.parameters()).device


def with_networks_on_cpu(state: dict[str, Any]) -> dict[str, Any]:
    """Copy a forecaster's state, with networks that any machine can load."""
    state, memo = state.copy(), dict[int, Any]()
    for name in _NETWORKS:
        network = state.get(name)
        if network is not None and device_of(network).type != "cpu":
            state[name] = copy.deepcopy(network, memo).cpu()
    return state


def move_networks(state: dict[str, Any], owner: str) -> None:
    """Move networks to the device that was asked for; warn if it does not exist."""
    networks = [state[name] for name in _NETWORKS if name in state]
    if not networks:
        return
    try:
        device = resolve_device(state["device"])
    except DeviceNotAvailableError as error:
        warn(
            f"a {owner} with device={state['device']!r} was loaded where there is "
            f"none, and runs on the CPU: {error}",
            DeviceChangedWarning,
        )
        device = torch.device("cpu")
    for network in networks:
        network.to(device)
