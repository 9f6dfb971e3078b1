"""Public traffic data, read from the files that their authors publish."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from sktime_llm._validation import one_of
from sktime_llm.datasets._source import require_file
from sktime_llm.errors import InputError, MissingPackageError

_STEP = "5min"
_FEATURES = ("flow", "occupancy", "speed")

# First day of each data set, from table 1 of Song et al., AAAI 2020 (STSGCN).
_PEMS_STARTS = {
    "PeMS03": "2018-09-01",
    "PeMS04": "2018-01-01",
    "PeMS07": "2017-05-01",
    "PeMS08": "2016-07-01",
}
_DCRNN_KEYS = {"METR-LA": "df", "PEMS-BAY": "speed"}


def load_pems(
    name: str,
    path: str | Path,
    *,
    feature: str = "flow",
    start: str | pd.Timestamp | None = "published",
    sensor_ids: str | Path | None = None,
) -> pd.DataFrame:
    """Read PeMS03, PeMS04, PeMS07 or PeMS08 from its ``.npz`` file.

    Loop detectors of four districts of California, one row per 5 minutes. The file
    holds an array ``data`` of shape (time, sensor, feature) and no time stamps.

    Parameters
    ----------
    name : {"PeMS03", "PeMS04", "PeMS07", "PeMS08"}
        Which of the data sets the file holds; decides the published start.
    path : str or Path
        The ``.npz`` file; nothing is downloaded.
    feature : {"flow", "occupancy", "speed"}, default="flow"
        Vehicles in 5 minutes, share of time that a detector is covered, or miles per
        hour. PeMS03 and PeMS07 have flow only.
    start : str, pandas.Timestamp or None, default="published"
        Time of the first row. ``"published"`` is midnight of 2018-09-01 (PeMS03),
        2018-01-01 (PeMS04), 2017-05-01 (PeMS07) or 2016-07-01 (PeMS08), from [1]_. None
        gives rows numbered from 0.
    sensor_ids : str or Path, optional
        Text file with one sensor id per line in the order of the array, as published
        with PeMS03. Default: sensors are numbered from 0.

    Returns
    -------
    pandas.DataFrame of shape (time, sensor)
        float64, one column per sensor, named by text. The index is a `DatetimeIndex`
        with a frequency of 5 minutes, or a `RangeIndex` if `start` is None.

    Raises
    ------
    InputError
        If there is no such file, data set or feature, or the array is not as published.

    References
    ----------
    .. [1] C. Song, Y. Lin, S. Guo, H. Wan, "Spatial-Temporal Synchronous Graph
       Convolutional Networks", AAAI 2020.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sktime_llm.datasets import load_pems
    >>> with TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/pems08.npz", data=np.arange(12.0).reshape(2, 2, 3))
    ...     load_pems("PeMS08", f"{folder}/pems08.npz")
                           0    1
    2016-07-01 00:00:00  0.0  3.0
    2016-07-01 00:05:00  6.0  9.0
    """
    one_of(*_PEMS_STARTS).check("name", name)
    one_of(*_FEATURES).check("feature", feature)
    path = require_file(path)
    values = _read_npz(path)
    n_steps, n_sensors, n_features = values.shape
    number = _FEATURES.index(feature)
    if number >= n_features:
        raise InputError(
            f"{path.name} has no {feature}: got {n_features} feature(s) per sensor, "
            f"which are {', '.join(_FEATURES[:n_features])}. Ask for one of these."
        )
    columns = _sensor_ids(sensor_ids, n_sensors)
    index = _times(n_steps, _PEMS_STARTS[name] if start == "published" else start)
    return pd.DataFrame(values[:, :, number].astype("float64"), index, columns)


def load_los_loop(
    path: str | Path, *, start: str | pd.Timestamp | None = "2012-03-01"
) -> pd.DataFrame:
    """Read Los-loop from the ``los_speed.csv`` that the authors of T-GCN [1]_ publish.

    The first week of METR-LA: speeds in miles per hour of 207 loop detectors, one row
    per 5 minutes, 2016 rows. The authors interpolated missing readings linearly. The
    first line of the file holds the ids of the sensors.

    Parameters
    ----------
    path : str or Path
        The ``.csv`` file; nothing is downloaded.
    start : str, pandas.Timestamp or None, default="2012-03-01"
        Time of the first row, which the file does not say; None: rows numbered from 0.

    Returns
    -------
    pandas.DataFrame of shape (time, sensor)
        float64, one column per sensor id, NaN where a cell is empty. The index is a
        `DatetimeIndex` of 5-minute steps, or a `RangeIndex` if `start` is None.

    Raises
    ------
    InputError
        If there is no such file, or a cell of it is not a number.

    References
    ----------
    .. [1] L. Zhao et al., "T-GCN: A Temporal Graph Convolutional Network for Traffic
       Prediction", IEEE Transactions on Intelligent Transportation Systems, 2020,
       arXiv:1811.05320.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sktime_llm.datasets import load_los_loop
    >>> speeds = pd.DataFrame({"773869": [64.4, 62.7], "767541": [67.6, 68.6]})
    >>> with TemporaryDirectory() as folder:
    ...     speeds.to_csv(f"{folder}/los_speed.csv", index=False)
    ...     load_los_loop(f"{folder}/los_speed.csv")
                         773869  767541
    2012-03-01 00:00:00    64.4    67.6
    2012-03-01 00:05:00    62.7    68.6
    """
    path = require_file(path)
    cells = pd.read_csv(path, dtype="str", keep_default_na=False)
    speeds = cells.apply(pd.to_numeric, errors="coerce").astype("float64")
    bad = np.argwhere(((cells != "") & ~np.isfinite(speeds)).to_numpy())
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"{path.name}, line {row + 2}, column {cells.columns[column]!r}: got "
            f"{cells.iat[row, column]!r}, expected a speed. The file has one column "
            f"per sensor and none of times."
        )
    return speeds.set_axis(_times(len(speeds), start))


def load_dcrnn(
    name: str,
    path: str | Path,
    *,
    key: str | None = None,
    zero_is_missing: bool = True,
    regular: bool = True,
) -> pd.DataFrame:
    """Read METR-LA or PEMS-BAY from the ``.h5`` file that DCRNN's authors [1]_ publish.

    Speeds in miles per hour, one row per 5 minutes of local time: METR-LA of 207 loop
    detectors on the highways of Los Angeles from March to June 2012, PEMS-BAY of 325 in
    the Bay Area from January to June 2017. Needs PyTables: ``pip install
    sktime-llm[traffic]``. The format can hold pickled objects, so read only files that
    you trust.

    Parameters
    ----------
    name : {"METR-LA", "PEMS-BAY"}
        Which of the data sets the file holds; decides the default `key`.
    path : str or Path
        The ``.h5`` file; nothing is downloaded.
    key : str, optional
        Name of the table in the file. Default: the published one.
    zero_is_missing : bool, default=True
        Turn zeros, which mark missing readings, into NaN. Published errors omit them.
    regular : bool, default=True
        Insert rows of NaN for missing times, so that the index has a frequency; in
        PEMS-BAY also for the hour that the clocks skip on 12 March.

    Returns
    -------
    pandas.DataFrame of shape (time, sensor)
        float64, one column per sensor, named by its id as text; a `DatetimeIndex`.

    Raises
    ------
    InputError
        If there is no such file, data set or key, or its table is not of speeds.
    MissingPackageError
        If PyTables is not installed.

    References
    ----------
    .. [1] Y. Li, R. Yu, C. Shahabi, Y. Liu, "Diffusion Convolutional Recurrent Neural
       Network: Data-Driven Traffic Forecasting", ICLR 2018, arXiv:1707.01926.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sktime_llm.datasets import load_dcrnn
    >>> times = pd.date_range("2012-03-01", periods=2, freq="5min")
    >>> speeds = pd.DataFrame({"773869": [64.375, 0.0]}, index=times)
    >>> with TemporaryDirectory() as folder:
    ...     speeds.to_hdf(f"{folder}/metr-la.h5", key="df")
    ...     load_dcrnn("METR-LA", f"{folder}/metr-la.h5")
                         773869
    2012-03-01 00:00:00  64.375
    2012-03-01 00:05:00     NaN
    """
    one_of(*_DCRNN_KEYS).check("name", name)
    path = require_file(path)
    table = _read_hdf(path, key or _DCRNN_KEYS[name])
    _check_speeds(table, path.name)
    speeds = table.astype("float64").rename(columns=str)
    if zero_is_missing:
        speeds = speeds.replace(0.0, np.nan)
    return speeds.asfreq(_STEP) if regular else speeds


def _times(n_steps: int, start: str | pd.Timestamp | None) -> pd.Index:
    if start is None:
        return pd.RangeIndex(n_steps)
    try:
        return pd.date_range(start, periods=n_steps, freq=_STEP)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Got start={start!r}, expected a time such as '2018-01-01', or None for "
            f"rows numbered from 0."
        ) from error


def _read_npz(path: Path) -> np.ndarray:
    try:
        content = np.load(path)  # refuses pickled objects
        names = getattr(content, "files", [])
        values = content["data"] if "data" in names else None
    except (EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise _damaged(path, "an archive of numeric arrays") from error
    if values is None:
        held = ", ".join(map(repr, names)) or "no named arrays"
        raise InputError(f"{path.name} has no array 'data'; it holds {held}.")
    if values.ndim != 3 or 0 in values.shape or values.dtype.kind not in "iuf":
        raise InputError(
            f"The array 'data' of {path.name} has shape {values.shape} and type "
            f"{values.dtype}; expected numbers of shape (time, sensor, feature)."
        )
    return values


def _damaged(path: Path, expected: str) -> InputError:
    return InputError(
        f"{path.name} is not {expected}; expected the {path.suffix} file as published. "
        f"Check that it was fetched completely."
    )


def _sensor_ids(path: str | Path | None, n_sensors: int) -> list[str]:
    if path is None:
        return [str(sensor) for sensor in range(n_sensors)]
    path = require_file(path)
    ids = path.read_text().split()
    if len(ids) != n_sensors or len(set(ids)) != n_sensors:
        raise InputError(
            f"{path.name} holds {len(ids)} sensor ids, {len(set(ids))} of them "
            f"different; expected {n_sensors} different ids, one for each sensor."
        )
    return ids


def _read_hdf(path: Path, key: str) -> pd.DataFrame:
    try:
        from tables import HDF5ExtError
    except ImportError as error:
        raise MissingPackageError(
            f"Reading {path.name} needs PyTables. Install it with "
            f"`pip install sktime-llm[traffic]`."
        ) from error
    try:
        with pd.HDFStore(path, mode="r") as store:
            keys = [name.lstrip("/") for name in store.keys()]  # noqa: SIM118
            if key in keys:
                return store.get(key)
    except HDF5ExtError as error:
        raise _damaged(path, "an HDF5 file") from error
    held = ", ".join(map(repr, keys)) or "not those of pandas"
    raise InputError(
        f"{path.name} has no table {key!r}; its tables are {held}. Give the name of "
        f"one as `key`."
    )


def _check_speeds(table: pd.DataFrame, name: str) -> None:
    is_table = isinstance(table, pd.DataFrame) and not table.empty
    if not is_table or not all(dtype.kind in "iuf" for dtype in table.dtypes):
        raise InputError(
            f"{name} does not hold a table of speeds, one numeric column per sensor."
        )
    times = table.index
    if not isinstance(times, pd.DatetimeIndex):
        kind = type(times).__name__
        raise InputError(f"{name} has an index of type {kind}; expected times.")
    is_off_grid = (times - times[0]) % pd.Timedelta(_STEP) != pd.Timedelta(0)
    wrong = is_off_grid | np.r_[False, times[1:] <= times[:-1]]
    if wrong.any():
        raise InputError(
            f"{name} has the time stamp {times[int(wrong.argmax())]} in an unexpected "
            f"place; expected sorted, distinct times, multiples of 5 minutes apart."
        )
