"""Devices, precision and random seeds, without silent substitutes."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from sktime_llm.errors import DeviceNotAvailableError, InputError

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_device(device: str) -> torch.device:
    """Turn the parameter `device` into a device that exists.

    Parameters
    ----------
    device : str
        ``"auto"`` for the first of a CUDA GPU, Apple's MPS and the CPU that there is
        (under ``accelerate launch``, the GPU of the process); or the name of a device,
        such as ``"cpu"`` or ``"cuda:1"``.

    Raises
    ------
    InputError
        If it is not the name of a device.
    DeviceNotAvailableError
        If this machine does not have it.

    Examples
    --------
    >>> from sktime_llm._devices import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return _best_device()
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"device={device!r}, expected 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'."
        ) from error
    available = _count(resolved.type)
    if (resolved.index or 0) >= available:
        raise DeviceNotAvailableError(
            f"device={device!r} was asked for, but PyTorch {torch.__version__} finds "
            f"{available} device(s) of type {resolved.type!r} here. Use device='auto' "
            "or 'cpu', or install a build of PyTorch for your GPU."
        )
    return resolved


def _best_device() -> torch.device:
    best = next(kind for kind in ("cuda", "mps", "cpu") if _count(kind))
    rank = os.environ.get("LOCAL_RANK")
    return (
        torch.device(best, int(rank)) if best == "cuda" and rank else torch.device(best)
    )


def _count(device_type: str) -> int:
    if device_type == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device_type == "mps":
        return int(torch.backends.mps.is_available())
    return int(device_type == "cpu")


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Give the context in which a network computes.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"`` is bfloat16 on CUDA GPUs that have it in hardware, else float32.
        Weights stay float32 in any case.
    device : torch.device
        Where it computes.

    Raises
    ------
    InputError
        If the precision is unknown.
    DeviceNotAvailableError
        If the device cannot compute in bfloat16.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision={precision!r}, expected one of {PRECISIONS}.")
    capable = _has_bfloat16(device)
    if precision == "bfloat16" and not capable:
        raise DeviceNotAvailableError(
            f"precision='bfloat16' was asked for, but {device} does not have it. Use "
            "precision='float32' or 'auto'."
        )
    wanted = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and capable)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu"


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's random numbers inside, and leave the outside as it was.

    PyTorch's generators are the process's: fits in parallel threads disturb each other;
    in processes they do not.
    """
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        # not torch.manual_seed, which would seed every GPU
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield
