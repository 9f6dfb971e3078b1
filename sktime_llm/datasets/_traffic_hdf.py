"""The traffic data of DCRNN: METR-LA and PEMS-BAY, in HDF5 files."""

from pathlib import Path

import numpy as np
import pandas as pd

from sktime_llm._validation import one_of
from sktime_llm.datasets._traffic import STEP, require_file
from sktime_llm.errors import InputError, MissingPackageError

_KEYS = {"METR-LA": "df", "PEMS-BAY": "speed"}


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
    the Bay Area from January to June 2017. Needs PyTables, which
    ``pip install sktime-llm[traffic]`` installs. The format can hold pickled objects,
    so read only files that you trust.

    Parameters
    ----------
    name : {"METR-LA", "PEMS-BAY"}
        Which of the data sets the file holds; decides the default `key`.
    path : str or Path
        The ``.h5`` file. It is only read, never downloaded.
    key : str, optional
        Name of the table in the file. Default: the published one.
    zero_is_missing : bool, default=True
        Turn zeros into NaN. They mark missing readings, and the published errors leave
        them out.
    regular : bool, default=True
        Insert rows of NaN where the file leaves out times, so that the index has a
        frequency; in PEMS-BAY also for the hour that the clocks skip on 12 March. False
        keeps the rows of the file.

    Returns
    -------
    pandas.DataFrame of shape (time, sensor)
        float64, one column per sensor, named by its id as text, with a
        `DatetimeIndex`.

    Raises
    ------
    InputError
        If there is no such file, data set or key, or the table does not hold speeds
        over time.
    MissingPackageError
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
    >>> from sktime_llm.datasets import load_dcrnn
    >>> times = pd.date_range("2012-03-01", periods=2, freq="5min")
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "metr-la.h5"
    ...     pd.DataFrame({"773869": [64.375, 0.0]}, index=times).to_hdf(path, key="df")
    ...     load_dcrnn("METR-LA", path)
                         773869
    2012-03-01 00:00:00  64.375
    2012-03-01 00:05:00     NaN
    """
    one_of(*_KEYS).check("name", name)
    path = require_file(path)
    table = _read_hdf(path, key or _KEYS[name])
    _check_speeds(table, path.name)
    speeds = table.astype("float64").rename(columns=str)
    if zero_is_missing:
        speeds = speeds.mask(speeds == 0.0)
    return speeds.asfreq(STEP) if regular else speeds


def _read_hdf(path: Path, key: str) -> pd.DataFrame:
    try:
        import tables
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
    except tables.HDF5ExtError as error:
        raise InputError(
            f"{path.name} is not an HDF5 file; expected the .h5 file as published. "
            f"Check that it was fetched completely."
        ) from error
    raise InputError(
        f"{path.name} has no table {key!r}; its tables are "
        f"{', '.join(map(repr, keys)) or 'not those of pandas'}. Give the name of one "
        f"as `key`."
    )


def _check_speeds(table: pd.DataFrame, name: str) -> None:
    is_table = isinstance(table, pd.DataFrame) and not table.empty
    if not is_table or not all(dtype.kind in "iuf" for dtype in table.dtypes):
        raise InputError(
            f"{name} does not hold a table of speeds, one numeric column per sensor."
        )
    times = table.index
    if not isinstance(times, pd.DatetimeIndex):
        raise InputError(
            f"{name} has an index of type {type(times).__name__}; expected times."
        )
    is_off_grid = (times - times[0]) % pd.Timedelta(STEP) != pd.Timedelta(0)
    wrong = is_off_grid | np.r_[False, times[1:] <= times[:-1]]
    if wrong.any():
        raise InputError(
            f"{name} has the time stamp {times[int(wrong.argmax())]} in an unexpected "
            f"place; expected sorted, distinct times, multiples of 5 minutes apart."
        )
