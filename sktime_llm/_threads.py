"""How many threads PyTorch computes with on a CPU, and how they wait for each other.

Many small operations on several threads are slower than on one, and hopeless where
other processes compute: each of them waits for a thread that is not running.
"""

import importlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_SPINS = "1000"
"""Rounds of waiting before a thread sleeps. libgomp's 300,000 are longer than a time
slice; with none, a thread alone on its core takes too long to wake up."""

MIN_FLOPS = 1e7
"""Mean FLOPs of a matrix product from which on several threads are faster than one."""

_LOCK = threading.Lock()

LOADING = threading.RLock()
"""Held while transformers, its models and accelerate are imported, and models loaded.

They import their parts when these are first asked for, which fails in threads that ask
at once.
"""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def one_at_a_time(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let only one thread at a time into the functions that load something."""

    @wraps(function)
    def alone(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with LOADING:
            return function(*args, **kwargs)

    return alone


def load_torch() -> None:
    """Import PyTorch so that its threads wait only briefly before they sleep.

    libgomp reads how to wait when it is loaded, so nothing changes if PyTorch was
    imported before. What the environment says of it is respected, and the environment
    is as before afterwards.
    """
    if "torch" in sys.modules or any(name in os.environ for name in _WAITING):
        return
    os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        importlib.import_module("torch")
    finally:
        del os.environ["GOMP_SPINCOUNT"]


@contextmanager
def threads_for(flops: float) -> Iterator[None]:
    """Compute inside with only as many threads as help; restore the number after.

    That is one thread if matrix products are small, and in a worker: any thread but
    the main one, as of joblib's threading backend and of dask, and the processes of
    ``multiprocessing.Pool``. Otherwise it is what PyTorch has, which it takes from
    ``torch.set_num_threads`` and from OMP_NUM_THREADS, as in workers of loky.

    Parameters
    ----------
    flops : float
        Mean FLOPs of the matrix products inside.
    """
    import torch

    before = torch.get_num_threads()
    if before == 1 or (flops >= MIN_FLOPS and not _in_worker()):
        yield
        return
    _set_own_threads(1)
    try:
        yield
    finally:
        _set_own_threads(before)


def _in_worker() -> bool:
    in_main_thread = threading.current_thread() is threading.main_thread()
    return not in_main_thread or multiprocessing.current_process().daemon


def _set_own_threads(n: int) -> None:
    """Set the number for this thread alone.

    PyTorch's setter holds for the calling thread, and for those that do not compute
    yet; for the latter, a new thread puts it back.
    """
    import torch

    with _LOCK:
        default = _in_new_thread(torch.get_num_threads)
        torch.set_num_threads(n)
        _in_new_thread(lambda: torch.set_num_threads(default))


def _in_new_thread(function: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def mean_flops(compute: Callable[[], object]) -> float:
    """Return the mean FLOPs of the matrix products in a computation, 0 without any."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    counts: list[int] = []

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            count = flop_registry.get(func._overloadpacket)
            if count is not None:
                counts.append(count(*args, **(kwargs or {}), out_val=out))
            return out

    with torch.no_grad(), Counter():
        compute()
    return sum(counts) / len(counts) if counts else 0.0
