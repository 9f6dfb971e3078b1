"""Devices, precision and random seeds, without silent substitutes."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sktime_llm.errors import DeviceNotAvailableError, InputError

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_device(device: str) -> torch.device:
    """Return the device that the parameter `device` names, if it exists.

    ``"auto"`` is a CUDA GPU (under ``accelerate launch``, that of the process), else
    Apple's MPS, else the CPU.

    Raises
    ------
    InputError
        If it is not the name of a device.
    DeviceNotAvailableError
        If this machine does not have it.
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
    """Return the context in which a network computes; weights stay float32.

    ``"auto"`` is bfloat16 on CUDA GPUs that have it in hardware, else float32.

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

    PyTorch's generators are shared by the whole process, so parallel threads disturb
    each other; processes do not. See `own_random_numbers` for threads.
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


class own_random_numbers(TorchDispatchMode):
    """Draw the random numbers of this thread on the CPU from a generator of its own.

    They are those that PyTorch's shared generator gives after the same seed. The shared
    generator is neither read nor changed, so other threads may use it meanwhile. Each
    operation costs some microseconds more: for making weights, not for training.

    Parameters
    ----------
    seed : int
        Seed of the generator.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        draws = torch.Tag.nondeterministic_seeded in func.tags
        if draws and kwargs.get("generator") is None:
            if all(argument.name != "generator" for argument in func._schema.arguments):
                name = f"{func._overloadname}_generator".removeprefix("default_")
                func = getattr(func.overloadpacket, name)
            kwargs = {**kwargs, "generator": self._generator}
        return func(*args, **kwargs)
