"""What a worker does: read the rows of a partition, forecast it, and write it."""

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sktime_llm._files import replacing
from sktime_llm.datasets._long import as_written, forecast_table
from sktime_llm.datasets._source import Source
from sktime_llm.datasets._table import arrange
from sktime_llm.engines._folder import part_of
from sktime_llm.engines._plan import Partition
from sktime_llm.engines._rows import ParquetRows, sha256
from sktime_llm.errors import InputError, SktimeLLMWarning

_LOADING = threading.Lock()


class Done(NamedTuple):
    """A partition that was written, and the warnings of its forecasts."""

    partition: Partition
    warned: Sequence[tuple[type[Warning], str]]


@dataclass(frozen=True)
class Layout:
    """Which columns of a table are what, as `read_table` takes them."""

    time_column: str
    id_columns: tuple[str, ...]
    targets: tuple[str, ...]
    alias: str | None
    date_format: str | None
    missing: str

    @property
    def columns(self) -> list[str]:
        """Columns to read."""
        return [*self.id_columns, self.time_column, *self.targets]

    def panel(
        self, source: Source, report: Callable[[str], None] | None = None
    ) -> pd.DataFrame:
        """Return the series of some rows, and report them as `read_table` does."""
        y, _ = arrange(
            source,
            time_column=self.time_column,
            target=self.targets,
            id_column=self.id_columns,
            alias=self.alias,
            date_format=self.date_format,
            missing=self.missing,
            report=report,
        )
        return y


@dataclass(frozen=True)
class Job:
    """What all partitions have in common, in any process and on any machine."""

    rows: ParquetRows
    layout: Layout
    checkpoint: str
    digest: str
    device: str | None
    horizon: int
    levels: tuple[float, ...]
    folder: str


def forecast_partition(job: Job, partition: Partition) -> Done:
    """Forecast the series of a partition, and write them as a whole or not at all."""
    from sktime_llm.forecasting._transfer import transferred

    forecaster = loaded(job.checkpoint, job.digest, job.device)
    source = job.rows.read(partition.start, partition.stop, job.layout.columns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = transferred(forecaster, job.layout.panel(source))
        fh = range(1, job.horizon + 1)
        table = as_written(forecast_table(fitted, fh, job.levels))
    with replacing(part_of(Path(job.folder), partition.number)) as beside:
        table.to_parquet(beside, index=False)
    warned = [
        (one.category, str(one.message))
        for one in caught
        if issubclass(one.category, SktimeLLMWarning)
    ]
    return Done(partition, warned)


def loaded(checkpoint: str, digest: str, device: str | None) -> Any:
    """Return the forecaster of a checkpoint, which a process loads once."""
    with _LOADING:
        return _load(checkpoint, digest, device)


@lru_cache(maxsize=1)
def _load(checkpoint: str, digest: str, device: str | None) -> Any:
    from sktime_llm.forecasting.pretrained import load_pretrained

    if (found := digest_of(checkpoint)) != digest:
        raise InputError(
            f"The forecaster in {checkpoint!r} is not the one that the run began with: "
            f"the SHA-256 of its configuration is {found}, expected {digest}. Put it "
            "back, or begin a new run."
        )
    return load_pretrained(checkpoint, device=device)


def digest_of(checkpoint: str) -> str:
    """Return the SHA-256 of a configuration, which includes those of all tensors."""
    from sktime_llm.forecasting._checkpoint import CONFIG

    if not (Path(checkpoint) / CONFIG).is_file():
        raise InputError(
            f"There is no forecaster in {checkpoint!r}. Name a folder that "
            "save_pretrained, or `sktime-llm forecast --save`, wrote."
        )
    return sha256(Path(checkpoint) / CONFIG)
