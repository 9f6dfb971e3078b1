"""Forecasts of all series of a large table, partition by partition."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from sktime_llm._validation import LEVELS, check_parameters, integer, one_of
from sktime_llm._version import __version__
from sktime_llm._warn import warn
from sktime_llm.datasets._frequency import period_alias
from sktime_llm.datasets._series import FILLS
from sktime_llm.datasets._source import Columns, listed
from sktime_llm.engines._engines import check_engine, run
from sktime_llm.engines._folder import (
    Manifest,
    missing_parts,
    read_manifest,
    remove_remains,
)
from sktime_llm.engines._plan import Partition, plan
from sktime_llm.engines._rows import ParquetRows
from sktime_llm.engines._work import (
    Done,
    Job,
    Layout,
    digest_of,
    forecast_partition,
    loaded,
)
from sktime_llm.errors import InputError
from sktime_llm.forecasting._transfer import check_intervals, check_transferable

ENGINES = ("local", "dask", "ray")
_CONSTRAINTS = {
    "horizon": integer(1),
    "levels": LEVELS,
    "missing": one_of("error", "values", "keep", *FILLS),
    "partition_size": integer(1),
    "engine": one_of(*ENGINES),
    "workers": integer(1) | None,
}


def forecast_partitions(
    path: str | Path,
    forecaster: str | Path,
    output: str | Path,
    *,
    horizon: int,
    time_column: str,
    id_column: Columns,
    target: Columns = None,
    frequency: str | None = None,
    date_format: str | None = None,
    missing: str = "values",
    levels: Sequence[float] = (),
    partition_size: int = 1000,
    engine: str = "local",
    workers: int | None = None,
    scheduler: str | None = None,
    device: str | None = None,
    progress: Callable[[int, int], object] | None = None,
    report: Callable[[str], None] | None = None,
) -> Path:
    """Forecast every series of a Parquet file that need not fit into memory.

    A saved forecaster forecasts the series partition by partition, and no process has
    more than one partition in memory. It is not trained on them: each series is scaled
    by its own rows, and its forecast is the same whatever else is in the file. Each
    partition is written to a file of its own, beside and renamed when it is whole.
    Called again, after a kill or an error, it does only what is missing.

    Parameters
    ----------
    path : str or Path
        A Parquet file, or a folder of files ``*.parquet`` that are one table, in the
        order of their names. It is long: one row per series and time. The rows of a
        series are consecutive, as in a table sorted by `id_column`.
    forecaster : str or Path
        A folder that `save_pretrained` wrote, of a forecaster that was fitted or
        pretrained on any series, without covariates.
    output : str or Path
        A new or empty folder, or that of a run to go on with: the same input,
        forecaster and options. `engine`, `workers`, `scheduler` and `device` may
        differ.
    horizon : int
        Time steps to forecast after the end of each series.
    time_column : str
        Column with the times, as in `sktime_llm.datasets.read_table`.
    id_column : str or sequence of str
        Columns that name the series of a row.
    target : str or sequence of str, optional
        Columns to forecast. Default: all other named columns of a numeric type. If
        their names are those that the forecaster was fitted on, any order does; else
        their order is that of its variates.
    frequency : str, optional
        Time between rows as a pandas alias. Default: that of the first partition.
    date_format : str, optional
        Notation of times that are text, as strftime takes it.
    missing : {"error", "values", "keep", "interpolate", "ffill"}, default="values"
        What becomes of missing values and rows, as in `read_table`.
    levels : sequence of float, optional
        Coverages of prediction intervals in percent, such as ``[80, 95]``. They are
        calibrated on what the forecaster held out when it was fitted.
    partition_size : int, default=1000
        Series in a partition, all of whose rows fit into memory a few times.
    engine : {"local", "dask", "ray"}, default="local"
        What runs the partitions: this machine by joblib, or a cluster. On a cluster of
        several machines, all of them see the paths.
    workers : int, optional
        Processes that forecast, each on one thread and with a copy of the forecaster.
        Default: this process alone if local, else one per CPU. If ray was initialized
        before, no more than these run at once, by default as many as it has CPUs.
    scheduler : str, optional
        Address of a running cluster, such as ``"tcp://10.0.0.1:8786"`` of dask or
        ``"auto"`` of ray. Default: one on this machine, for as long as this runs.
    device : str, optional
        Takes the place of the parameter `device` that was saved.
    progress : callable, optional
        Called with the number of series that are done and the number of all, at first
        and after each partition.
    report : callable, optional
        Called with lines about what was found in the file and in the first partition,
        when a run begins.

    Returns
    -------
    Path
        The folder `output`, which pandas reads as one table: a row per value, with the
        columns ``series``, ``time``, ``variate`` and ``forecast``, and for each level
        ``lower_80`` and ``upper_80``.

    Raises
    ------
    InputError
        If a series comes back after others, the folder is of another run, or the data
        or a parameter is invalid. What was written before is kept.
    SavedForecasterError
        If the forecaster cannot be loaded.
    MissingPackageError
        If pyarrow or the engine is not installed.
    WorkerDiedError
        If a worker was killed, or had too little memory, too often.

    Notes
    -----
    A script that uses several processes needs ``if __name__ == "__main__":`` around
    the call, as all that start Python anew.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sktime_llm import CALFForecaster
    >>> from sktime_llm.datasets import read_table
    >>> from sktime_llm.engines import forecast_partitions
    >>> days = pd.date_range("2024-01-01", periods=30)
    >>> shop = pd.DataFrame({"day": days, "sales": [1.0, 2.0, 4.0] * 10})
    >>> shops = pd.concat([shop.assign(shop=name) for name in "abc"])
    >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
    >>> names = {"time_column": "day", "id_column": "shop"}
    >>> with TemporaryDirectory() as folder:
    ...     shops.to_parquet(f"{folder}/shops.parquet", index=False)
    ...     y = read_table(f"{folder}/shops.parquet", **names)
    ...     saved = forecaster.fit(y, fh=[1, 2]).save_pretrained(f"{folder}/model")
    ...     done = forecast_partitions(
    ...         f"{folder}/shops.parquet", saved, f"{folder}/forecasts",
    ...         horizon=2, partition_size=2, **names,
    ...     )
    ...     forecasts = pd.read_parquet(done)
    >>> forecasts[["series", "time"]].to_numpy().tolist()[::2]
    [['a', '2024-01-31'], ['b', '2024-01-31'], ['c', '2024-01-31']]
    """
    check_parameters(locals(), _CONSTRAINTS)
    check_engine(engine, workers, scheduler)
    rows = ParquetRows.of(Path(path))
    checkpoint, folder = str(Path(forecaster).resolve()), Path(output).resolve()
    layout = _find_columns(rows, time_column, id_column, target, date_format, missing)
    digest = digest_of(checkpoint)
    run_is: dict[str, Any] = {
        "sktime-llm": __version__,
        "input": rows.digests(),
        "forecaster": digest,
        "horizon": int(horizon),
        "levels": sorted({float(level) for level in levels}),
        "time_column": layout.time_column,
        "id_column": list(layout.id_columns),
        "target": list(layout.targets),
        "frequency": frequency,
        "date_format": date_format,
        "missing": missing,
        "partition_size": int(partition_size),
    }
    manifest = read_manifest(folder, run_is)
    if manifest is None:
        manifest = _begin(rows, layout, run_is, report)
        _check_forecaster(loaded(checkpoint, digest, device), manifest)
        folder.mkdir(parents=True, exist_ok=True)
        manifest.write(folder)
    job = Job(
        rows=rows,
        layout=replace(layout, alias=manifest.found["frequency"]),
        checkpoint=checkpoint,
        digest=digest,
        device=device,
        horizon=run_is["horizon"],
        levels=tuple(run_is["levels"]),
        folder=str(folder),
    )
    on_engine = partial(run, engine, workers=workers, scheduler=scheduler)
    _forecast_missing(job, manifest.partitions, on_engine, progress)
    remove_remains(folder)
    return Path(output)


def _find_columns(
    rows: ParquetRows,
    time_column: str,
    id_column: Columns,
    target: Columns,
    date_format: str | None,
    missing: str,
) -> Layout:
    (times,) = rows.find(time_column, "time column")
    ids = rows.find(id_column, "id column")
    if target is None:
        targets = rows.find_numbers([times, *ids])
    else:
        targets = rows.find(target, "target")
    every = [times, *ids, *targets]
    if not ids or not targets or len(set(every)) < len(every):
        raise InputError(
            f"Got the time column {times!r}, the id columns {ids} and the targets "
            f"{targets}; expected at least one id column and one target, and no column "
            "twice."
        )
    return Layout(times, tuple(ids), tuple(targets), None, date_format, missing)


def _begin(
    rows: ParquetRows,
    layout: Layout,
    run_is: dict[str, Any],
    report: Callable[[str], None] | None,
) -> Manifest:
    """Plan a run; the frequency of the first partition is that of all."""
    partitions = plan(rows, layout.id_columns, run_is["partition_size"])
    frequency = run_is["frequency"]
    alias = None if frequency is None else period_alias(frequency)
    first = rows.read(partitions[0].start, partitions[0].stop, layout.columns)
    if report is not None:
        n_series, n = sum(one.n_series for one in partitions), len(partitions)
        report(f"{rows.name}: {rows.n_rows} rows, series: {n_series}, partitions: {n}")
        if left_out := [name for name in rows.names if name not in layout.columns]:
            report(f"  left out: {listed(left_out)}")
        report("The first partition:")
    y = replace(layout, alias=alias).panel(first, report)
    times = y.index.levels[-1]
    if isinstance(times, pd.PeriodIndex):
        alias = str(times.freqstr)
    elif isinstance(times, pd.DatetimeIndex):
        alias = "B"  # the only time stamps that a table becomes
    return Manifest(run_is, {"frequency": alias}, partitions)


def _check_forecaster(forecaster: Any, manifest: Manifest) -> None:
    """Raise if the forecaster cannot forecast what a run asks for."""
    check_transferable(forecaster, manifest.run["target"])
    if manifest.run["levels"]:
        check_intervals(forecaster)


def _forecast_missing(
    job: Job,
    partitions: Sequence[Partition],
    on_engine: Callable[..., Iterator[Done]],
    progress: Callable[[int, int], object] | None,
) -> None:
    missing = missing_parts(Path(job.folder), partitions)
    n_series = sum(one.n_series for one in partitions)
    n_done = n_series - sum(one.n_series for one in missing)
    warned: dict[type[Warning], list[str]] = {}
    if progress is not None:
        progress(n_done, n_series)
    try:
        for done in on_engine(partial(forecast_partition, job), missing):
            n_done += done.partition.n_series
            for category, message in dict(done.warned).items():
                warned.setdefault(category, []).append(message)
            if progress is not None:
                progress(n_done, n_series)
    finally:
        for category, messages in warned.items():
            more = len(messages) - 1
            also = f" There are such warnings of {more} more partition(s)." * bool(more)
            warn(messages[0] + also, category)
