"""Engines that run a function on items, and yield what it returns as it comes.

A worker computes one item after the other, on one thread. If it dies, dask and ray run
its items again on another one; joblib does not.
"""

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

from sktime_llm.errors import InputError, MissingPackageError, WorkerDiedError

Item = TypeVar("Item")
Result = TypeVar("Result")
_PENDING = 4
"""Items of ray that are waiting or running, by worker."""


def run(
    engine: str,
    task: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None,
    scheduler: str | None,
) -> Iterator[Result]:
    """Run a function on all items, in any order, on an engine by its name.

    Without `workers` there is one locally, and one per CPU on the other engines;
    `scheduler` is the address of a cluster that has its own, and so has a ray that was
    initialized before.
    """
    if engine == "local":
        return _run_local(task, items, workers or 1)
    run_there = {"dask": _run_dask, "ray": _run_ray}[engine]
    return run_there(task, items, workers, scheduler)


def require(engine: str) -> Any:
    """Import the package of an engine, or say how to install it."""
    package = {"local": "joblib", "dask": "distributed", "ray": "ray"}[engine]
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(
            f"The engine {engine!r} needs the package {package}. Install it with "
            f"`pip install sktime-llm[{engine}]`, or take the engine 'local'."
        ) from error


def check_engine(engine: str, workers: int | None, scheduler: str | None) -> None:
    """Raise an error if an engine is not there, or takes no scheduler."""
    require(engine)
    if scheduler is not None and engine == "local":
        raise InputError(
            f"scheduler={scheduler!r} with engine='local', expected none: it runs on "
            "this machine. Choose the engine 'dask' or 'ray'."
        )
    if scheduler is not None and workers is not None:
        raise InputError(
            f"workers={workers} with scheduler={scheduler!r}, expected one of both: a "
            "cluster has workers of its own."
        )


def _run_local(
    task: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    if workers == 1:
        yield from map(task, items)
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import BrokenProcessPool

    with parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
        parallel = Parallel(return_as="generator_unordered", batch_size=1)
        try:
            yield from parallel(delayed(task)(item) for item in items)
        except BrokenProcessPool as error:
            raise WorkerDiedError(_died("A worker process")) from error


def _run_dask(
    task: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None,
    scheduler: str | None,
) -> Iterator[Result]:
    distributed = require("dask")
    with ExitStack() as stack:
        address = scheduler
        if address is None:
            cluster = distributed.LocalCluster(
                n_workers=workers or os.cpu_count() or 1,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
            )
            address = stack.enter_context(cluster)
        client = distributed.Client(address, set_as_default=False)
        stack.enter_context(client)
        futures = client.map(task, items, pure=False)
        finished = distributed.as_completed(
            futures, loop=client.loop, with_results=True
        )
        try:
            for future, result in finished:
                future.release()
                yield result
        except distributed.KilledWorker as error:
            who = "One dask worker after the other"
            raise WorkerDiedError(_died(who)) from error


def _run_ray(
    task: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None,
    scheduler: str | None,
) -> Iterator[Result]:
    ray = require("ray")
    of = ray.exceptions
    deaths = (of.WorkerCrashedError, of.NodeDiedError, of.OutOfMemoryError)
    with ExitStack() as stack:
        is_own = not ray.is_initialized()
        if is_own:
            ray.init(scheduler, num_cpus=workers, include_dashboard=False)
            stack.callback(ray.shutdown)
        n_pending = _PENDING * max(1, int(ray.cluster_resources().get("CPU", 1)))
        if workers and not is_own:
            n_pending = workers  # in a ray of others, only so many run at once
        call = ray.remote(lambda item: task(item))
        waiting = iter(items)
        pending: list[Any] = []
        while True:
            for item in waiting:
                pending.append(call.remote(item))
                if len(pending) >= n_pending:
                    break
            if not pending:
                return
            (done, *_), pending = ray.wait(pending)
            try:
                result = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except deaths as error:
                who = "One ray worker after the other"
                raise WorkerDiedError(_died(who)) from error
            yield result


def _died(who: str) -> str:
    return (
        f"{who} died: it was killed, or had too little memory. All partitions that are "
        "written are kept: start again with the same arguments. If memory was short, "
        "take fewer workers, or another folder and a smaller partition_size."
    )
