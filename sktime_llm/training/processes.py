"""Several processes that train one network together, joined by accelerate."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from sktime_llm._threads import one_at_a_time

if TYPE_CHECKING:
    from accelerate import Accelerator

_T = TypeVar("_T")

_WORLD_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True)
class _Alone:
    """The only process, with what is asked of an Accelerator then."""

    process_index: int = 0
    num_processes: int = 1
    is_main_process: bool = True

    def reduce(self, tensor: torch.Tensor, reduction: str) -> torch.Tensor:
        return tensor


def _is_alone() -> bool:
    """Whether no launcher started this process, nor connected it to others."""
    launched = any(name in os.environ for name in _WORLD_SIZES)
    connected = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not launched and not connected


@one_at_a_time
def connect() -> "Accelerator":
    """Join the processes that were launched together, if there are several."""
    if _is_alone():  # an Accelerator would decide on those that users make later
        return cast("Accelerator", _Alone())
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    # without being told, accelerate leaves processes without a GPU unconnected, and
    # each of them would train by itself
    launched = os.environ.keys() >= {"WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"}
    return Accelerator(
        device_placement=False,
        cpu=launched and not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


def on_main_process(make: Callable[[], _T]) -> _T:
    """Return in every process what the main process makes, or raise what it raises."""
    made: list[Any] = [None, None]
    # as in training: what is made first decides how the processes are connected
    if connect().is_main_process:
        try:
            made[0] = make()
        except Exception as error:
            made[1] = error
    value, raised = from_main_process(made)
    if raised is not None:
        raise raised
    return cast(_T, value)


def from_main_process(value: _T) -> _T:
    """Return in every process the value of the main process."""
    if _is_alone():
        return value
    from accelerate.utils import broadcast_object_list

    return cast(_T, broadcast_object_list([value])[0])


def from_all_processes(value: _T) -> list[_T]:
    """Return in every process the values of all."""
    if _is_alone():
        return [value]
    from accelerate.utils import gather_object

    return cast(list[_T], gather_object([value]))
