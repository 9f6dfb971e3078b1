"""Several processes that train one network together, joined by accelerate."""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list

_T = TypeVar("_T")


def connect() -> Accelerator:
    """Join the processes that were launched together, if there are several."""
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
    value, raised = broadcast_object_list(made)
    if raised is not None:
        raise raised
    return cast(_T, value)
