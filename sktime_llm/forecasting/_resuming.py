"""What has to be the same for a training to go on from where another one was."""

import hashlib
import numbers
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sktime_llm._validation import plain
from sktime_llm._version import __version__
from sktime_llm.backbone._module import Backbone
from sktime_llm.errors import InputError
from sktime_llm.forecasting._known import Registered
from sktime_llm.forecasting._training import SeriesSplit
from sktime_llm.forecasting.saving import device_of
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.processes import connect
from sktime_llm.training.resuming import Resume

_FREE = {"callbacks", "device", "resume", "update_epochs", "verbose"}
"""Parameters that do not change what is trained; for the device see `resume_of`."""
_PACKAGES = ("numpy", "peft", "torch", "transformers")


def check_seeded(forecaster: Any) -> None:
    """Raise if a forecaster is to resume, but begins each fit with another seed."""
    seed = forecaster.random_state
    if forecaster.resume is not None and not isinstance(seed, numbers.Integral):
        raise InputError(
            f"random_state={seed!r} with resume={str(forecaster.resume)!r}, expected "
            "an integer: only with a seed does a fit go on as it began."
        )


def resume_of(
    forecaster: Any,
    network: ForecastNetwork,
    split: SeriesSplit,
    registered: Registered,
    stage: str,
    *,
    is_new: bool,
) -> Resume | None:
    """Return where the state of a training is kept and what it is of, if it is.

    `is_new` says that the network comes from the seed alone.
    """
    if forecaster.resume is None:
        return None
    parameters = {
        name: _in_json(value)
        for name, value in forecaster.get_params(deep=False).items()
        if name not in _FREE
    }
    versions = {name: version(name) for name in _PACKAGES}
    identity = {
        "forecaster": type(forecaster).__name__,
        **parameters,
        "digest of the series": _digest(_parts_of(split)),
        "digest of the descriptions": _digest_of_descriptions(registered),
        "digest of the pretrained weights": None if is_new else _digest_of(network),
        **_backbone(network),
        "type of device": device_of(network).type,
        "number of processes": connect().num_processes,
        "version of sktime-llm": __version__,
        **{f"version of {name}": number for name, number in versions.items()},
    }
    return Resume(Path(forecaster.resume) / f"{stage}.safetensors", identity)


def _in_json(value: Any) -> Any:
    """Return what JSON has, and of objects the name of their class."""
    value = plain(value)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_in_json(one) for one in value]
    return type(value).__qualname__


def _digest(parts: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(hashlib.sha256(part).digest())
    return found.hexdigest()[:16]


def _parts_of(split: SeriesSplit) -> Iterable[bytes]:
    """Yield names and values of series, and where their windows begin."""
    for key, values in split.series.items():
        yield repr((key, values.shape)).encode()
        yield np.ascontiguousarray(values).tobytes()
    if split.covariates is not None:
        for key, values in split.covariates.scaled().items():
            yield repr((key, split.covariates.names)).encode()
            yield np.ascontiguousarray(values).tobytes()
    for starts in (*split.split.training, *split.split.validation):
        yield np.ascontiguousarray(starts).tobytes()
    yield repr(split.split.shape).encode()


def _digest_of_descriptions(registered: Registered) -> str | None:
    if registered.texts is None:
        return None
    return _digest(str(text).encode() for text in registered.texts)


def _digest_of(network: ForecastNetwork) -> str:
    """Digest what trains."""
    trained = (p.detach() for p in network.parameters() if p.requires_grad)
    return _digest(p.cpu().numpy().tobytes() for p in trained)


def _backbone(network: ForecastNetwork) -> Mapping[str, str]:
    return {
        f"fingerprint of the {what} of the backbone": found
        for module in network.modules()
        if isinstance(module, Backbone)
        for what, found in module.fingerprints().items()
    }
