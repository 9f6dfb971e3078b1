"""Devices, precision and random seeds, without silent substitutes."""

import math
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sktime_llm._validation import one_of
from sktime_llm.errors import (
    DeviceNotAvailableError,
    InputError,
    OutOfMemoryError,
)

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_device(device: str) -> torch.device:
    """Return the device that the parameter `device` names, if it exists.

    ``"auto"`` is a CUDA GPU (under ``accelerate launch``, that of the process), else
    Apple's MPS, else the CPU. Raise an InputError if it is not the name of a device,
    and a DeviceNotAvailableError if this machine does not have it.
    """
    if device == "auto":
        best = next(kind for kind in ("cuda", "mps", "cpu") if _count(kind))
        rank = os.environ.get("LOCAL_RANK") if best == "cuda" else None
        return torch.device(best, int(rank)) if rank else torch.device(best)
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


def _count(device_type: str) -> int:
    if device_type == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device_type == "mps":
        return int(torch.backends.mps.is_available())
    return int(device_type == "cpu")


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a network computes; weights stay float32.

    ``"auto"`` is bfloat16 on CUDA GPUs that have it in hardware, else float32. Raise an
    InputError if the precision is unknown, and a DeviceNotAvailableError if the device
    cannot compute in bfloat16.
    """
    one_of(*PRECISIONS).check("precision", precision)
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
def explaining_memory(batch_size: int, context_length: int) -> Iterator[None]:
    """Turn PyTorch's out-of-memory error into ours, which says what to lower."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(
            words in str(error) for words in ("out of memory", "can't allocate memory")
        ):
            raise
        raise OutOfMemoryError(
            f"there is not enough memory for a batch of {batch_size} at "
            f"context_length={context_length} ({str(error).splitlines()[0]}). Lower "
            "batch_size or context_length, or take a smaller backbone or fewer "
            "n_backbone_layers."
        ) from error


_LENT = threading.RLock()


class RandomStream:
    """Random numbers of one computation, the same whatever other threads draw.

    Dropout draws from generators that PyTorch shares among all threads. While `drawing`
    is open, they go on with this stream and other streams wait; afterwards they are as
    they were. A fit opens it for the forward pass of every step, which costs some
    microseconds. A mode such as `own_random_numbers` needs no waiting, but makes a step
    of CALF 14 % slower, of LLM-TS Net 20 %. What draws from the shared generators
    without a stream, in another thread at the same moment, still disturbs. `states`, of
    each generator, may be read and set between two openings.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generators = _shared_generators(device)
        self.states = [
            torch.Generator(shared.device).manual_seed(seed).get_state()
            for shared in self._generators
        ]

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Let PyTorch draw from this stream inside."""
        with _LENT:
            before = [shared.get_state() for shared in self._generators]
            self._set(self.states)
            try:
                yield
            finally:
                self.states = [shared.get_state() for shared in self._generators]
                self._set(before)

    def _set(self, states: list[torch.Tensor]) -> None:
        for shared, state in zip(self._generators, states, strict=True):
            shared.set_state(state)


def _shared_generators(device: torch.device) -> list[torch.Generator]:
    shared = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()
        index = torch.cuda.current_device() if device.index is None else device.index
        shared.append(torch.cuda.default_generators[index])
    elif device.type == "mps":
        shared.append(torch.mps._get_default_mps_generator())
    return shared


class own_random_numbers(TorchDispatchMode):
    """Draw the random numbers of this thread on the CPU from a generator of its own.

    They are those that PyTorch's shared generator gives after the same seed. It is
    neither read nor changed, so other threads may use it meanwhile. Each operation
    costs some microseconds more: for making weights, not for training.
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


class bounded_memory(TorchDispatchMode):
    """Refuse, in this thread, tensors that are larger than what is left of a bound.

    It counts those that are made from their shape alone, as weights are, before they
    are made. What is refused is a MemoryError.
    """

    def __init__(self, n_bytes: int) -> None:
        super().__init__()
        self._left = n_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        shape = args[0] if args else None
        if isinstance(shape, list | tuple) and all(type(n) is int for n in shape):
            self._left -= 4 * math.prod(shape)
            if self._left < 0:
                raise MemoryError(f"no room for a tensor of shape {list(shape)}")
        return func(*args, **(kwargs or {}))
