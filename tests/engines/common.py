"""A panel in a Parquet file, and a forecaster that was fitted on other series."""

import numpy as np
import pandas as pd

N_SERIES, N_ROWS, HORIZON = 10, 30, 3
NAMES = {"time_column": "month", "id_column": "shop", "horizon": HORIZON}


def make_table(n_series=N_SERIES, n_rows=N_ROWS):
    rng = np.random.default_rng(0)
    months = pd.date_range("2020-01-01", periods=n_rows, freq="MS")
    columns = {
        "shop": np.repeat([f"shop {i}" for i in range(n_series)], n_rows),
        "month": np.tile(months, n_series),
        "units": 50 + rng.normal(size=(n_series, n_rows)).cumsum(axis=1).ravel(),
    }
    return pd.DataFrame(columns)


def write(table, path):
    """Write in row groups that are no multiple of a series."""
    table.to_parquet(path, index=False, row_group_size=70)
    return path


def read(folder):
    return pd.read_parquet(folder)
