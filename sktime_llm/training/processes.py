"""Several processes that train one network together, joined by accelerate."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

_T = TypeVar("_T")


def connect() -> "Accelerator":
    """Join the processes that were launched together, if there are several."""
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
    from accelerate.utils import broadcast_object_list

    return cast(_T, broadcast_object_list([value])[0])


def from_all_processes(value: _T) -> list[_T]:
    """Return in every process the values of all."""
    from accelerate.utils import gather_object

    return cast(list[_T], gather_object([value]))
