"""The traffic data of DCRNN: METR-LA and PEMS-BAY, in HDF5 files."""

from pathlib import Path

import numpy as np
import pandas as pd

from sktime_llm.datasets._traffic import STEP, require_file
from sktime_llm.errors import InputError


def load_metr_la(
    path: str | Path,
    *,
    key: str = "df",
    zero_is_missing: bool = True,
    regular: bool = True,
) -> pd.DataFrame:
    """Read METR-LA from the ``.h5`` file that the authors of DCRNN [1]_ publish.

    Speeds in miles per hour of 207 loop detectors on the highways of Los Angeles, from
    March to June 2012, one row per 5 minutes. Needs PyTables, which
    ``pip install sktime-llm[traffic]`` installs. The format can hold pickled objects,
    so read only files that you trust.

    Parameters
    ----------
    path : str or Path
        The ``.h5`` file. It is only read, never downloaded.
    key : str, default="df"
        Name of the table in the file.
    zero_is_missing : bool, default=True
        Turn zeros into NaN. They mark readings that are missing, and the published
        errors leave them out.
    regular : bool, default=True
        Put rows of NaN where the file leaves out time stamps, so that the index has a
        frequency. False keeps the rows of the file.

    Returns
    -------
    pandas.DataFrame of shape (time, sensor)
        float64, one column per sensor, named by its id as text, with a
        `DatetimeIndex`.

    Raises
    ------
    InputError
        If there is no such file or key, or the table is not one of speeds over time.
    ImportError
        If PyTables is not installed.

    References
    ----------
    .. [1] Y. Li, R. Yu, C. Shahabi, Y. Liu, "Diffusion Convolutional Recurrent Neural
       Network: Data-Driven Traffic Forecasting", ICLR 2018, arXiv:1707.01926.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sktime_llm.datasets import load_metr_la
    >>> times = pd.date_range("2012-03-01", periods=2, freq="5min")
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "metr-la.h5"
    ...     pd.DataFrame({"773869": [64.375, 0.0]}, index=times).to_hdf(path, key="df")
    ...     load_metr_la(path)
                         773869
    2012-03-01 00:00:00  64.375
    2012-03-01 00:05:00     NaN
    """
    return _load_speeds(path, key, zero_is_missing=zero_is_missing, regular=regular)


def load_pems_bay(
    path: str | Path,
    *,
    key: str = "speed",
    zero_is_missing: bool = True,
    regular: bool = True,
) -> pd.DataFrame:
    """Read PEMS-BAY from the ``.h5`` file that the authors of DCRNN [1]_ publish.

    Speeds in miles per hour of 325 loop detectors in the Bay Area, from January to
    June 2017, one row per 5 minutes of local time. The clocks go forward on 12 March,
    so with `regular` that day has an hour of NaN that never was. Needs PyTables, which
    ``pip install sktime-llm[traffic]`` installs. The format can hold pickled objects,
    so read only files that you trust.

    Parameters
    ----------
    path : str or Path
        The ``.h5`` file. It is only read, never downloaded.
    key : str, default="speed"
        Name of the table in the file.
    zero_is_missing : bool, default=True
        Turn zeros into NaN; the published errors leave them out.
    regular : bool, default=True
        Put rows of NaN where the file leaves out time stamps, so that the index has a
        frequency. False keeps the rows of the file.

    Returns
    -------
    pandas.DataFrame of shape (time, sensor)
        float64, one column per sensor, named by its id as text, with a
        `DatetimeIndex`.

    Raises
    ------
    InputError
        If there is no such file or key, or the table is not one of speeds over time.
    ImportError
        If PyTables is not installed.

    References
    ----------
    .. [1] Y. Li, R. Yu, C. Shahabi, Y. Liu, "Diffusion Convolutional Recurrent Neural
       Network: Data-Driven Traffic Forecasting", ICLR 2018, arXiv:1707.01926.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sktime_llm.datasets import load_pems_bay
    >>> times = pd.to_datetime(["2017-03-12 01:55", "2017-03-12 03:00"])
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "pems-bay.h5"
    ...     pd.DataFrame({400001: [71.4, 71.6]}, index=times).to_hdf(path, key="speed")
    ...     len(load_pems_bay(path)), len(load_pems_bay(path, regular=False))
    (14, 2)
    """
    return _load_speeds(path, key, zero_is_missing=zero_is_missing, regular=regular)


def _load_speeds(
    path: str | Path, key: str, *, zero_is_missing: bool, regular: bool
) -> pd.DataFrame:
    path = require_file(path)
    table = _read_hdf(path, key)
    _check_speeds(table, path.name, key)
    speeds = table.astype("float64").rename(columns=str)
    if zero_is_missing:
        speeds = speeds.mask(speeds == 0.0)
    return speeds.asfreq(STEP) if regular else speeds


def _read_hdf(path: Path, key: str) -> pd.DataFrame:
    try:
        import tables
    except ImportError as error:
        raise ImportError(
            f"Reading {path.name} needs PyTables. Install it with "
            f"`pip install sktime-llm[traffic]`."
        ) from error
    try:
        with pd.HDFStore(path, mode="r") as store:
            keys = [name.lstrip("/") for name in store.keys()]  # noqa: SIM118
            if key in keys:
                return store.get(key)
    except tables.HDF5ExtError as error:
        raise InputError(
            f"{path.name} is not an HDF5 file; expected the .h5 file as published. "
            f"Check that it was fetched completely."
        ) from error
    raise InputError(
        f"{path.name} has no table {key!r}; its tables are "
        f"{', '.join(map(repr, keys)) or 'not those of pandas'}. Check the file, or "
        f"pass the name of another table as `key`."
    )


def _check_speeds(table: pd.DataFrame, name: str, key: str) -> None:
    where = f"The table {key!r} of {name}"
    if not isinstance(table, pd.DataFrame) or table.empty:
        raise InputError(f"{where} is not a table of speeds, one column per sensor.")
    if not all(dtype.kind in "iuf" for dtype in table.dtypes):
        types = ", ".join(sorted({str(dtype) for dtype in table.dtypes}))
        raise InputError(f"{where} has columns of type {types}; expected numbers only.")
    times = table.index
    if not isinstance(times, pd.DatetimeIndex):
        raise InputError(
            f"{where} has an index of type {type(times).__name__}; expected one of "
            f"time stamps."
        )
    off_grid = (times - times[0]) % pd.Timedelta(STEP) != pd.Timedelta(0)
    out_of_order = np.r_[False, times[1:] <= times[:-1]]
    if (off_grid | out_of_order).any():
        stamp = times[int((off_grid | out_of_order).argmax())]
        raise InputError(
            f"{where} has the time stamp {stamp} in an unexpected place; expected "
            f"sorted, distinct stamps, whole multiples of 5 minutes after the first."
        )
