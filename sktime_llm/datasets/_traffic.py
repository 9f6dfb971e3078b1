"""Public traffic data in files of numbers without time stamps."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from sktime_llm._validation import one_of
from sktime_llm.errors import InputError

STEP = "5min"
_FEATURES = ("flow", "occupancy", "speed")

# First day of each data set, from table 1 of Song et al., AAAI 2020 (STSGCN).
_PEMS_STARTS = {
    "PeMS03": "2018-09-01",
    "PeMS04": "2018-01-01",
    "PeMS07": "2017-05-01",
    "PeMS08": "2016-07-01",
}


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
        The ``.npz`` file. It is only read, never downloaded.
    feature : {"flow", "occupancy", "speed"}, default="flow"
        Vehicles in 5 minutes, share of time that a detector is covered, or miles per
        hour. PeMS03 and PeMS07 have flow only.
    start : str, pandas.Timestamp or None, default="published"
        Time of the first row. ``"published"`` is midnight of 2018-09-01 (PeMS03),
        2018-01-01 (PeMS04), 2017-05-01 (PeMS07) or 2016-07-01 (PeMS08), as [1]_ states
        them. None gives rows numbered from 0.
    sensor_ids : str or Path, optional
        Text file with one sensor id per line, in the order of the array, such as the
        one published with PeMS03. Default: sensors are numbered from 0.

    Returns
    -------
    pandas.DataFrame of shape (time, sensor)
        float64, one column per sensor, named by text. The index is a `DatetimeIndex`
        with a frequency of 5 minutes, or a `RangeIndex` if `start` is None.

    Raises
    ------
    InputError
        If there is no such file, data set or feature, or the file holds another array.

    References
    ----------
    .. [1] C. Song, Y. Lin, S. Guo, H. Wan, "Spatial-Temporal Synchronous Graph
       Convolutional Networks", AAAI 2020.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sktime_llm.datasets import load_pems
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "pems08.npz"
    ...     np.savez(path, data=np.arange(12.0).reshape(2, 2, 3))
    ...     load_pems("PeMS08", path)
                           0    1
    2016-07-01 00:00:00  0.0  3.0
    2016-07-01 00:05:00  6.0  9.0
    """
    one_of(*_PEMS_STARTS).check("name", name)
    one_of(*_FEATURES).check("feature", feature)
    path = require_file(path)
    values = _read_npz(path)
    n_features = values.shape[2]
    if _FEATURES.index(feature) >= n_features:
        raise InputError(
            f"{path.name} has no {feature}: got {n_features} feature(s) per sensor, "
            f"which are {', '.join(_FEATURES[:n_features])}. Ask for one of these."
        )
    n_steps, n_sensors, _ = values.shape
    if sensor_ids is None:
        columns = [str(sensor) for sensor in range(n_sensors)]
    else:
        columns = _read_sensor_ids(require_file(sensor_ids), n_sensors)
    index = _regular_index(
        n_steps, _PEMS_STARTS[name] if start == "published" else start
    )
    chosen = values[:, :, _FEATURES.index(feature)].astype("float64")
    return pd.DataFrame(chosen, index=index, columns=columns)


def load_los_loop(
    path: str | Path, *, start: str | pd.Timestamp | None = "2012-03-01"
) -> pd.DataFrame:
    r"""Read Los-loop from the ``los_speed.csv`` that the authors of T-GCN [1]_ publish.

    The first week of METR-LA: speeds in miles per hour of 207 loop detectors, 2016
    rows, one per 5 minutes. The authors have filled in missing readings by linear
    interpolation. The first line of the file holds the ids of the sensors.

    Parameters
    ----------
    path : str or Path
        The ``.csv`` file. It is only read, never downloaded.
    start : str, pandas.Timestamp or None, default="2012-03-01"
        Time of the first row, which the file does not say. None gives rows numbered
        from 0.

    Returns
    -------
    pandas.DataFrame of shape (time, sensor)
        float64, one column per sensor, named by its id as text; empty cells are NaN.
        The index is a `DatetimeIndex` with a frequency of 5 minutes, or a `RangeIndex`
        if `start` is None.

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
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sktime_llm.datasets import load_los_loop
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "los_speed.csv"
    ...     _ = path.write_text("773869,767541\n64.4,67.6\n62.7,68.6\n")
    ...     load_los_loop(path)
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
    speeds.index = _regular_index(len(speeds), start)
    return speeds


def require_file(path: str | Path) -> Path:
    """Return the path of a file, which must exist."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"There is no file {str(path)!r}; nothing is downloaded. Check the path; "
            f"relative paths start at {str(Path.cwd())!r}."
        )
    return path


def _regular_index(n_steps: int, start: str | pd.Timestamp | None) -> pd.Index:
    if start is None:
        return pd.RangeIndex(n_steps)
    try:
        return pd.date_range(start, periods=n_steps, freq=STEP)
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
        raise InputError(
            f"{path.name} is not an archive of numeric arrays; expected the .npz file "
            f"as published. Check that it was fetched completely."
        ) from error
    if values is None:
        raise InputError(
            f"{path.name} has no array 'data'; it holds "
            f"{', '.join(map(repr, names)) or 'no named arrays'}."
        )
    if values.ndim != 3 or 0 in values.shape or values.dtype.kind not in "iuf":
        raise InputError(
            f"The array 'data' of {path.name} has shape {values.shape} and type "
            f"{values.dtype}; expected numbers of shape (time, sensor, feature)."
        )
    return values


def _read_sensor_ids(path: Path, n_sensors: int) -> list[str]:
    ids = path.read_text().split()
    if len(ids) != n_sensors or len(set(ids)) != n_sensors:
        raise InputError(
            f"{path.name} holds {len(ids)} sensor ids, {len(set(ids))} of them "
            f"different; expected {n_sensors} different ids, one for each sensor."
        )
    return ids
