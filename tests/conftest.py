import ipaddress
import os
import socket
from types import SimpleNamespace

import pytest

# Most tests use tiny networks, in which threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_network = SimpleNamespace(allowed=False)


class NetworkBlockedError(OSError):
    """What an attempt to leave the machine ends in, as if it were offline."""


def _check(host):
    if isinstance(host, bytes):
        host = host.decode()
    if _network.allowed or not host or host == "localhost":
        return
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise NetworkBlockedError(
            f"a test tried to reach {host!r}; mark it with @pytest.mark.network if "
            "it really needs the internet"
        )


def _guard_connect(connect):
    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _check(address[0])
        return connect(self, address)

    return guarded


def _guard_getaddrinfo(getaddrinfo):
    def guarded(host, *args, **kwargs):
        _check(host)
        return getaddrinfo(host, *args, **kwargs)

    return guarded


_SLOW_CONTRACTS = ("test_predict_time_index", "test_update_predict_predicted_index")


def pytest_configure():
    """Cut the run off from the network, doctests included; a fixture misses those."""
    socket.socket.connect = _guard_connect(socket.socket.connect)
    socket.socket.connect_ex = _guard_connect(socket.socket.connect_ex)
    socket.getaddrinfo = _guard_getaddrinfo(socket.getaddrinfo)


@pytest.fixture(autouse=True)
def _network_for_marked_tests(request, monkeypatch):
    allowed = request.node.get_closest_marker("network") is not None
    monkeypatch.setattr(_network, "allowed", allowed)


@pytest.hookimpl(tryfirst=True)  # before the marked ones are chosen
def pytest_collection_modifyitems(items):
    """Mark the slowest of sktime's contract, and skip what needs a CUDA device."""
    for item in items:
        if item.name.startswith("test_sktime_contract") and any(
            one in item.name for one in _SLOW_CONTRACTS
        ):
            item.add_marker(pytest.mark.slow)
    gpu_tests = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_tests:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
