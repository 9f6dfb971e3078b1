"""How forecasters with networks are copied to other machines."""

import copy
import warnings
from typing import Any

import torch

from sktime_llm._devices import resolve_device
from sktime_llm.errors import DeviceChangedWarning, DeviceNotAvailableError
from sktime_llm.networks._interface import ForecastNetwork

_NETWORKS = ("network_", "pretrained_network_")


def device_of(network: ForecastNetwork) -> torch.device:
    """Give the device that a network is on."""
    return next(network.parameters()).device


class SavingMixin:
    """Of forecasters that may have networks on a device."""

    device: str

    def __getstate__(self) -> dict[str, Any]:
        """Keep networks on the CPU, so that any machine can load them."""
        state = self.__dict__.copy()
        memo: dict[int, Any] = {}
        for name in _NETWORKS:
            network = state.get(name)
            if network is not None and device_of(network).type != "cpu":
                state[name] = copy.deepcopy(network, memo).cpu()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put networks on the device that the parameter `device` names."""
        self.__dict__.update(state)
        networks = [self.__dict__[name] for name in _NETWORKS if name in self.__dict__]
        if not networks:
            return
        try:
            device = resolve_device(self.device)
        except DeviceNotAvailableError as error:
            warnings.warn(
                f"a {type(self).__name__} with device={self.device!r} was loaded where "
                f"there is none, and runs on the CPU: {error}",
                DeviceChangedWarning,
                stacklevel=2,
            )
            device = torch.device("cpu")
        for network in networks:
            network.to(device)
