"""Series to forecast: real ones from sktime's wheel, and a person's own tables."""

from sktime_llm.datasets._frequency import infer_seasonal_period
from sktime_llm.datasets._shipped import Dataset, dataset_names, load_dataset
from sktime_llm.datasets._table import read_table
from sktime_llm.datasets._time_index import format_time

__all__ = [
    "Dataset",
    "dataset_names",
    "format_time",
    "infer_seasonal_period",
    "load_dataset",
    "read_table",
]
