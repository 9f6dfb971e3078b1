"""On which device networks are, here and where a saved forecaster is loaded."""

import copy
import warnings
from typing import Any

import torch

from sktime_llm._devices import resolve_device
from sktime_llm.errors import DeviceChangedWarning, DeviceNotAvailableError
from sktime_llm.networks._interface import ForecastNetwork

_NETWORKS = ("network_", "pretrained_network_")


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
        warnings.warn(
            f"a {owner} with device={state['device']!r} was loaded where there is "
            f"none, and runs on the CPU: {error}",
            DeviceChangedWarning,
            stacklevel=2,
        )
        device = torch.device("cpu")
    for network in networks:
        network.to(device)
