"""Forecasters to checkpoints and back, and networks that fit starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sktime_llm._devices import resolve_device
from sktime_llm._validation import BOOLEAN, PATH, check_parameters
from sktime_llm.errors import InputError, SavedForecasterError
from sktime_llm.forecasting._as_json import Arrays
from sktime_llm.forecasting._card import write_card
from sktime_llm.forecasting._checkpoint import (
    Checkpoint,
    TensorInfo,
    explaining,
    read_checkpoint,
    write_checkpoint,
)
from sktime_llm.forecasting._covariates import Covariates
from sktime_llm.forecasting._pretrained_state import (
    NETWORKS,
    build_network,
    fill_network,
    network_to_json,
    parameters_from_json,
    parameters_to_json,
    state_from_json,
    state_to_json,
    tensors_of,
    versions,
)
from sktime_llm.forecasting.saving import move_networks
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.config import TRAINING_CONSTRAINTS

CLASSES = {
    "BALMTSFForecaster": "sktime_llm.forecasting.balm_tsf",
    "CALFForecaster": "sktime_llm.forecasting.calf",
    "LLMTSNetForecaster": "sktime_llm.forecasting.llm_ts_net",
}
"""The only classes that a checkpoint may name, and where they are."""
_FREE = {
    *TRAINING_CONSTRAINTS,
    "alignment_loss_weight",
    "calibration_fraction",
    "callbacks",
    "checkpoint",
    "consistency_loss",
    "describer",
    "descriptions",
    "device",
    "dropout",
    "feature_loss",
    "fine_tune_epochs",
    "init_temperature",
    "intervals",
    "keep_textual_branch",
    "language_model_steps",
    "lora_dropout",
    "missing",
    "n_descriptions",
    "random_state",
    "resume",
    "seasonal_period",
    "selection_loss_weight",
    "task_loss",
    "text_cache_gigabytes",
    "update_epochs",
    "validation_fraction",
}
"""Parameters that do not change the structure of a network, or how it forecasts."""


def check_class(checkpoint: Checkpoint) -> str:
    """Return which of the known classes a checkpoint is of."""
    name = checkpoint.config.get("class")
    if not isinstance(name, str) or name not in CLASSES:
        raise SavedForecasterError(
            f"{checkpoint.folder} has a {name!r:.80}, expected one of {list(CLASSES)}."
        )
    return name


def save_forecaster(
    forecaster: Any,
    path: str | Path,
    *,
    keep_past: bool,
    repo_id: str | None = None,
) -> Path:
    """Write the checkpoint of a forecaster; `repo_id` is for its card."""
    BOOLEAN.check("keep_past", keep_past)
    PATH.check("path", path)
    name = type(forecaster).__name__
    if name not in CLASSES:
        raise SavedForecasterError(
            f"{name} cannot be saved without pickling, expected one of "
            f"{list(CLASSES)}. Use save(), which pickles."
        )
    networks = {n: vars(forecaster)[n] for n in NETWORKS if n in vars(forecaster)}
    if not networks:
        forecaster.check_is_fitted("save_pretrained")
    arrays: Arrays = {}
    config = {
        "class": name,
        "packages": versions(forecaster),
        "parameters": parameters_to_json(forecaster, arrays),
        "backbone": {
            "name": str(forecaster.backbone),
            "revision": forecaster.revision,
            "mode": str(forecaster.backbone_mode),
            "quantization": forecaster.quantization,
        },
        "networks": {n: network_to_json(one) for n, one in networks.items()},
        "state": state_to_json(forecaster, arrays, keep_past=keep_past),
    }
    tensors = {
        f"{prefix}.{name}": tensor
        for prefix, network in networks.items()
        for name, tensor in tensors_of(network).items()
    }
    card = write_card(forecaster, repo_id, keep_past=keep_past)
    return write_checkpoint(path, config, tensors, arrays, card)


def load_forecaster(cls: type[Any], checkpoint: Checkpoint, device: str | None) -> Any:
    forecaster, arrays = _with_parameters(cls, checkpoint, device)
    if device is not None:
        resolve_device(device)
    with explaining(checkpoint.folder):
        networks = {
            name: _read_network(forecaster, checkpoint, name)
            for name in checkpoint.config["networks"]
        }
        state = state_from_json(checkpoint.config["state"], arrays)
        _check_whole(networks, state, arrays)
    move_networks({**networks, "device": forecaster.device}, cls.__name__)
    vars(forecaster).update(state, **networks)
    forecaster._state = "fitted" if "network_" in networks else "pretrained"
    if "pretrained_network_" in networks:
        names = cls.get_class_tag("pretrain:fitted_params")
        forecaster._pretrained_attrs = sorted(set(names) & vars(forecaster).keys())
    return forecaster


def _with_parameters(
    cls: type[Any], checkpoint: Checkpoint, device: str | None = None
) -> tuple[Any, Arrays]:
    """Return a forecaster that is not fitted, and the arrays that are left."""
    config, name = checkpoint.config, cls.__name__
    found = check_class(checkpoint)
    if found != name:
        raise SavedForecasterError(
            f"{checkpoint.folder} has a {found}, expected a {name}. Use "
            f"{found}.from_pretrained, or sktime_llm.load_pretrained."
        )
    arrays = checkpoint.series_arrays()
    with explaining(checkpoint.folder):
        parameters = parameters_from_json(
            cls, config["parameters"], arrays, str(config["sktime-llm"])
        )
        if device is not None:
            parameters["device"] = device
        forecaster = cls(**parameters)
        check_parameters(forecaster.get_params(deep=False), cls._parameter_constraints)
    return forecaster, arrays


def _read_network(
    forecaster: Any, checkpoint: Checkpoint, name: str
) -> ForecastNetwork:
    if name not in NETWORKS:
        raise SavedForecasterError(f"there is a network {name!r}, which is unknown.")
    prefix, saved = f"{name}.", checkpoint.config["networks"][name]
    infos: dict[str, TensorInfo] = _without(prefix, checkpoint.tensors)
    network = build_network(forecaster, saved, infos)
    fill_network(network, saved, _without(prefix, checkpoint.network_tensors()))
    return network


def _without(prefix: str, named: Mapping[str, Any]) -> dict[str, Any]:
    return {n[len(prefix) :]: v for n, v in named.items() if n.startswith(prefix)}


def _check_whole(
    networks: Mapping[str, Any], state: Mapping[str, Any], arrays: Arrays
) -> None:
    """Raise if parts are missing, left over, or of other series."""
    if not networks or ("network_" in networks) != ("_known" in state):
        raise SavedForecasterError("the network or what is known of series is missing.")
    if arrays:
        raise SavedForecasterError(f"arrays are left over: {sorted(arrays)[:3]}.")
    if "network_" not in networks:
        return
    descriptions = getattr(networks["network_"], "descriptions", None)
    known = state["_known"]
    lengths = state["context_length_"], state["prediction_length_"]
    network = networks["network_"]
    if lengths != (network.context_length, network.prediction_length):
        raise SavedForecasterError("windows have other lengths than the network.")
    if descriptions is None:
        return
    shape = descriptions.embeddings.shape
    if max(known.numbers.values()) >= shape[0] or known.rows.shape[1] != shape[1]:
        raise SavedForecasterError("the descriptions are not those of the series.")


# fit from a checkpoint


def network_of_checkpoint(
    forecaster: Any,
) -> tuple[ForecastNetwork, Covariates | None]:
    """Return the network of the parameter `checkpoint`, on the forecaster's device.

    And the covariates that it takes, if any.

    Raise an InputError if a parameter that shapes the network is another one there.
    """
    checkpoint = read_checkpoint(forecaster.checkpoint)
    saved, arrays = _with_parameters(type(forecaster), checkpoint)
    networks = checkpoint.config["networks"]
    name = next(name for name in reversed(NETWORKS) if name in networks)
    mine, theirs = forecaster.get_params(deep=False), saved.get_params(deep=False)
    theirs |= _chosen(networks[name])
    shared = mine["backbone_mode"] == "pretrained"
    structure = mine.keys() - (_FREE if shared else _FREE - {"random_state"})
    conflicts = {
        name: theirs[name]
        for name in sorted(structure)
        if mine[name] is not None and _as_list(mine[name]) != _as_list(theirs[name])
    }
    if conflicts:
        raise InputError(
            f"{', '.join(f'{name}={mine[name]!r}' for name in conflicts)} with "
            f"checkpoint={str(forecaster.checkpoint)!r}, whose network has "
            f"{', '.join(f'{name}={value!r}' for name, value in conflicts.items())}. "
            "Set the parameters to those, or leave out the checkpoint."
        )
    # whether there is a head for quantiles, which may be left aside
    of_network = {n: getattr(saved, n) for n in {*structure, "intervals"}}
    blueprint = forecaster.clone().set_params(**of_network)
    with explaining(checkpoint.folder):
        network = _read_network(blueprint, checkpoint, name)
        state = state_from_json(checkpoint.config["state"], arrays)
    known = state["_known"].covariates if name == "network_" else None
    covariates = state.get("pretrained_covariates_", known)
    return network.to(resolve_device(forecaster.device)), covariates


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _chosen(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what fit may have chosen by the data."""
    lengths = {name: saved[name] for name in ("context_length", "prediction_length")}
    return lengths | {"subtract_last": saved.get("subtract_last", False)}
