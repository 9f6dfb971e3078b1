"""From a forecaster to the parts of its checkpoint, and back."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sktime.datatypes._dtypekind import DtypeKind
from sktime.forecasting.base import ForecastingHorizon
from torch import Tensor

from sktime_llm._devices import bounded_memory, own_random_numbers
from sktime_llm._version import __version__
from sktime_llm.backbone.loading import BackboneSizes, load_frozen
from sktime_llm.backbone.make import BackboneChoice
from sktime_llm.backbone.own_tensors import (
    check_fingerprints,
    fill,
    fingerprints_of,
    frozen_names,
    own_tensors,
)
from sktime_llm.errors import ClippedParameterWarning, SavedForecasterError
from sktime_llm.forecasting._as_json import Arrays, from_json, to_json
from sktime_llm.forecasting._checkpoint import TensorInfo
from sktime_llm.forecasting._conformal import Calibration
from sktime_llm.forecasting._covariates_state import (
    covariates_from_json,
    covariates_to_json,
)
from sktime_llm.forecasting._known import KnownSeries, LastObserved
from sktime_llm.forecasting._scaling import Scaling
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.windows import WindowShape

NETWORKS = ("network_", "pretrained_network_")
NOT_SAVED = ("callbacks", "resume")
"""Parameters that are of a training on this machine."""
_ENCODER = "descriptions.encoder."
_ENCODER_BACKBONE = f"{_ENCODER}backbone"
COVARIATES = {"pretrained_covariates_"}
_SLACK = 64 * 2**20
_BY_SERIES = ("scalings", "last_observed", "numbers", "row_numbers")
_PACKAGES = ("sktime", "torch", "transformers", "peft", "pandas", "numpy")
_QUANTIZING = "bitsandbytes"

STATE: dict[str, Any] = {
    "_cutoff": pd.Index | None,
    "_fh": ForecastingHorizon | None,
    "_n_rows": int,
    "_X_columns": list | None,
    "_is_vectorized": bool,
    "_y_metadata": dict,
    "_y_mtype_last_seen": str,
    "_converter_store_y": dict,
    "context_length_": int,
    "prediction_length_": int,
    "history_": pd.DataFrame,
    "pretrain_history_": pd.DataFrame,
    "language_model_losses_": list,
}
"""Attributes that are written as they are, and what they must be when read."""


# parameters


def parameters_to_json(forecaster: Any, arrays: Arrays) -> dict[str, Any]:
    """Return the parameters; an error names one that has no form in JSON."""
    return {
        name: to_json(
            str(value) if name == "checkpoint" and value is not None else value,
            arrays,
            f"the parameter {name}",
        )
        for name, value in forecaster.get_params(deep=False).items()
        if name not in NOT_SAVED
    }


def parameters_from_json(
    cls: type[Any], content: Mapping[str, Any], arrays: Arrays, written_by: str
) -> dict[str, Any]:
    """Return the parameters of a class; one that is newer than the file is absent."""
    known = set(cls.get_param_names()) - set(NOT_SAVED)
    if unknown := sorted(content.keys() - known):
        raise SavedForecasterError(
            f"{cls.__name__} of sktime-llm {__version__} has no parameter "
            f"{', '.join(unknown)}, which sktime-llm {written_by} wrote. Install that "
            "version, or fit again."
        )
    return {name: from_json(value, arrays) for name, value in content.items()}


# networks


def network_to_json(network: Any) -> dict[str, Any]:
    """Return what of a network is no tensor and no parameter of its forecaster."""
    descriptions = getattr(network, "descriptions", None)
    fingerprints = fingerprints_of(network)
    sizes = [getattr(one, "sizes", None) for one in network.modules()]
    if descriptions is not None:
        packed = descriptions.packed()
        fingerprints[_ENCODER_BACKBONE] = dict(packed.fingerprints)
        sizes.append(packed.choice.sizes)
    return {
        "context_length": network.context_length,
        "prediction_length": network.prediction_length,
        "subtract_last": network.subtract_last,
        "flops": network.flops,
        "frozen": [n for n in frozen_names(network) if not n.startswith(_ENCODER)],
        "fingerprints": fingerprints,
        "sizes": next((list(one) for one in sizes if one is not None), None),
    }


def tensors_of(network: Any) -> dict[str, Tensor]:
    """Return the own tensors; those of a packed encoder need no language model."""
    own = own_tensors(network)
    descriptions = getattr(network, "descriptions", None)
    if descriptions is None:
        return own
    others = {n: t for n, t in own.items() if not n.startswith(_ENCODER)}
    packed = descriptions.packed().tensors
    return others | {_ENCODER + name: tensor for name, tensor in packed.items()}


def build_network(
    forecaster: Any, saved: Mapping[str, Any], infos: Mapping[str, TensorInfo]
) -> ForecastNetwork:
    """Build the structure of a network, and compare it with the tensors of the file.

    No tensor is made that is larger than those of the file together, beside the frozen
    ones of the backbone.
    """
    lengths = saved["context_length"], saved["prediction_length"]
    shape = WindowShape(*map(_positive, lengths))
    blueprint = forecaster.clone()
    if saved["sizes"] is not None:
        blueprint._backbone_sizes = BackboneSizes(*map(_positive, saved["sizes"]))
    choice = blueprint._backbone_choice()
    with warnings.catch_warnings():
        # what was clipped in fit is clipped again
        warnings.simplefilter("ignore", ClippedParameterWarning)
        if choice.mode in ("pretrained", "random") and not _is_packed(infos):
            load_frozen(_as_loaded(choice))
        room = 3 * sum(info.n_bytes for info in infos.values()) + _SLACK
        with bounded_memory(room), own_random_numbers(0):
            network = blueprint._rebuild_network(shape, infos)
            if (past_only := infos.get("covariates.past_only")) is not None:
                network.add_covariates([False] * _positive(*past_only.shape))
    network.subtract_last = bool(saved.get("subtract_last", False))
    _compare(tensors_of(network), infos)
    network.flops = None if saved["flops"] is None else float(saved["flops"])
    return network


def _as_loaded(choice: BackboneChoice) -> BackboneChoice:
    return replace(choice, random_seed=0) if choice.mode == "pretrained" else choice


def _is_packed(infos: Mapping[str, TensorInfo]) -> bool:
    return any(name.startswith(_ENCODER) for name in infos)


def _positive(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise SavedForecasterError(f"a length is {value!r}, expected at least 1.")
    return value


def _compare(own: Mapping[str, Tensor], infos: Mapping[str, TensorInfo]) -> None:
    expected = {
        name: TensorInfo.of(tensor)
        for name, tensor in own.items()
        if not name.startswith(_ENCODER)
    }
    found = {n: info for n, info in infos.items() if not n.startswith(_ENCODER)}
    wrong = [
        f"{name} is {_named(found.get(name))}, expected {_named(expected.get(name))}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
    if wrong:
        raise SavedForecasterError(
            f"{len(wrong)} tensors do not fit the network of these parameters: "
            f"{'; '.join(wrong[:3])}. Fetch or save the checkpoint again."
        )


def _named(info: TensorInfo | None) -> str:
    return "absent" if info is None else f"{info.dtype} {list(info.shape)}"


def fill_network(
    network: Any, saved: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Put the tensors of a file into a network that was built for them."""
    fingerprints = saved["fingerprints"]
    others = {n: t for n, t in tensors.items() if not n.startswith(_ENCODER)}
    check_fingerprints(network, fingerprints)
    fill(network, others, list(saved["frozen"]))
    if len(others) < len(tensors):
        encoder = {
            name.removeprefix(_ENCODER): tensor
            for name, tensor in tensors.items()
            if name.startswith(_ENCODER)
        }
        network.descriptions.fill_packed(encoder, fingerprints[_ENCODER_BACKBONE])
    network.eval()


# what is known of the series


def state_to_json(
    forecaster: Any, arrays: Arrays, *, keep_past: bool
) -> dict[str, Any]:
    """Return all that a forecaster knows, beside parameters and networks."""
    attributes = vars(forecaster)
    state = {}
    for name in STATE:
        if name in attributes:
            value = attributes[name]
            if name == "_y_metadata":
                value = _plain_kinds(value)
            state[name] = to_json(value, arrays, name)
    for name in COVARIATES & attributes.keys():
        state[name] = covariates_to_json(attributes[name], arrays, name)
    if "_known" in attributes:
        known: KnownSeries = forecaster._known
        known = known if keep_past else known.without_past()
        state["_known"] = known_to_json(known, arrays)
        arrays["calibration"] = forecaster._calibration.errors
    return state


def state_from_json(content: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the attributes that `state_to_json` wrote."""
    state = {}
    apart = {"_known", *COVARIATES}
    if unknown := sorted(content.keys() - STATE.keys() - apart):
        raise SavedForecasterError(f"the state has the unknown entries {unknown}.")
    for name, value in content.items():
        if name in apart:
            continue
        state[name] = from_json(value, arrays)
        if not isinstance(state[name], STATE[name]):
            raise SavedForecasterError(
                f"{name} is a {type(state[name]).__name__}, expected {STATE[name]}."
            )
    if "_y_metadata" in state:
        state["_y_metadata"] = _with_kinds(state["_y_metadata"])
    for name in COVARIATES & content.keys():
        state[name] = covariates_from_json(content[name], arrays)
    if "_known" in content:
        state["_known"] = known_from_json(content["_known"], arrays)
        state["_calibration"] = Calibration(arrays.pop("calibration"))
        _check_calibration(state)
    return state


def _plain_kinds(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kinds = metadata.get("feature_kind")
    if kinds is None:
        return dict(metadata)
    return {**metadata, "feature_kind": [int(kind) for kind in kinds]}


def _with_kinds(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kinds = metadata.get("feature_kind")
    if kinds is None:
        return dict(metadata)
    return {**metadata, "feature_kind": [DtypeKind(kind) for kind in kinds]}


def _check_calibration(state: Mapping[str, Any]) -> None:
    errors, n_columns = state["_calibration"].errors, state["_known"].rows.shape[1]
    steps = state["prediction_length_"]
    if errors.ndim != 3 or (len(errors) and errors.shape[1:] != (steps, n_columns)):
        raise SavedForecasterError(
            f"the errors to calibrate on have the shape {errors.shape}, expected "
            f"(windows, {steps}, {n_columns})."
        )


def known_to_json(known: KnownSeries, arrays: Arrays) -> dict[str, Any]:
    """Write what is known of series, with one array for all of them."""
    keys = list(known.numbers)
    content = {
        field.name: to_json(getattr(known, field.name), arrays, f"known.{field.name}")
        for field in fields(KnownSeries)
        if field.name not in (*_BY_SERIES, "covariates")
    }
    content["covariates"] = covariates_to_json(
        known.covariates, arrays, "known.covariates"
    )
    scalings = [known.scalings[key] for key in keys]
    for name in Scaling._fields:
        arrays[f"known.{name}"] = np.stack([getattr(one, name) for one in scalings])
    observed = [known.last_observed[key] for key in keys]
    times = np.stack([one.times for one in observed])
    there = np.array([time is not None for time in times.flat]).reshape(times.shape)
    arrays["known.observed"] = np.stack([one.values for one in observed])
    arrays["known.observed_at"] = there
    arrays["known.numbers"] = np.array([known.numbers[key] for key in keys])
    of_rows = [known.row_numbers[key] for key in keys]
    arrays["known.row_numbers"] = np.concatenate(of_rows)
    arrays["known.n_row_numbers"] = np.array([len(each) for each in of_rows])
    of_keys = None if keys == [None] else _index_of(keys)
    return content | {
        "series": to_json(of_keys, arrays, "known.series"),
        "times": to_json(_index_of(times[there]), arrays, "known.times"),
    }


def _index_of(values: Sequence[Any]) -> pd.Index:
    return pd.Index(list(values))


def known_from_json(content: Mapping[str, Any], arrays: Arrays) -> KnownSeries:
    """Return what is known of series; every part must be of the same series."""
    plain = {
        name: from_json(value, arrays)
        for name, value in content.items()
        if name not in ("series", "times", "covariates")
    }
    covariates = covariates_from_json(content.get("covariates"), arrays)
    index = from_json(content["series"], arrays)
    keys = [None] if index is None else list(index)
    shape = (len(keys), plain["rows"].shape[1])
    names = (*Scaling._fields, "observed")
    parts = {name: arrays.pop(f"known.{name}") for name in names}
    there, numbers = arrays.pop("known.observed_at"), arrays.pop("known.numbers")
    wrong = [name for name, part in parts.items() if part.shape != shape]
    if (
        wrong
        or there.shape != shape
        or numbers.shape != shape[:1]
        or set(_keys_of(plain["rows"])) != set(keys)
    ):
        raise SavedForecasterError(
            f"the parts of what is known of {shape[0]} series do not fit together."
        )
    n_row_numbers = arrays.pop("known.n_row_numbers")
    of_rows = np.split(arrays.pop("known.row_numbers"), np.cumsum(n_row_numbers)[:-1])
    if len(of_rows) != len(keys) or not (n_row_numbers > 0).all():
        raise SavedForecasterError("series have no numbers.")
    times = np.full(shape, None)
    times[there] = list(from_json(content["times"], arrays))
    return KnownSeries(
        **plain,
        scalings={
            key: Scaling(*(parts[name][i] for name in Scaling._fields))
            for i, key in enumerate(keys)
        },
        last_observed={
            key: LastObserved(parts["observed"][i], times[i])
            for i, key in enumerate(keys)
        },
        numbers={key: int(number) for key, number in zip(keys, numbers, strict=True)},
        row_numbers=dict(zip(keys, of_rows, strict=True)),
        covariates=covariates,
    )


def _keys_of(rows: pd.DataFrame) -> list[Any]:
    if not isinstance(rows.index, pd.MultiIndex):
        return [None]
    return list(rows.index.droplevel(-1).unique())


def versions(forecaster: Any) -> dict[str, str]:
    """Return the versions of the packages in use."""
    quantizes = forecaster.quantization is not None and find_spec(_QUANTIZING)
    packages = [*_PACKAGES, _QUANTIZING] if quantizes else _PACKAGES
    return {name: version(name) for name in packages}
