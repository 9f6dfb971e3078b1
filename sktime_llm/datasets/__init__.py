"""Series to forecast: sktime's own, public traffic data, and a person's tables."""

from sktime_llm.datasets._frequency import infer_seasonal_period
from sktime_llm.datasets._shipped import Dataset, dataset_names, load_dataset
from sktime_llm.datasets._table import read_table
from sktime_llm.datasets._time_index import format_time
from sktime_llm.datasets._traffic import load_los_loop, load_pems
from sktime_llm.datasets._traffic_hdf import load_metr_la, load_pems_bay

__all__ = [
    "Dataset",
    "dataset_names",
    "format_time",
    "infer_seasonal_period",
    "load_dataset",
    "load_los_loop",
    "load_metr_la",
    "load_pems",
    "load_pems_bay",
    "read_table",
]
