"""Series to forecast: those of sktime, public traffic data, and users' own tables."""

from sktime_llm.datasets._frames import forecast_frame
from sktime_llm.datasets._frequency import format_time, infer_seasonal_period
from sktime_llm.datasets._shipped import Dataset, dataset_names, load_dataset
from sktime_llm.datasets._table import read_table
from sktime_llm.datasets._traffic import load_dcrnn, load_los_loop, load_pems

__all__ = [
    "Dataset",
    "dataset_names",
    "forecast_frame",
    "format_time",
    "infer_seasonal_period",
    "load_dataset",
    "load_dcrnn",
    "load_los_loop",
    "load_pems",
    "read_table",
]
