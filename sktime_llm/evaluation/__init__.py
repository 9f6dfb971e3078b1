"""Forecasters side by side on the same folds of the same data."""

from sktime_llm.evaluation._compare import compare_forecasters, mean_mase
from sktime_llm.evaluation._forecasters import default_forecasters, forecaster_names

__all__ = [
    "compare_forecasters",
    "default_forecasters",
    "forecaster_names",
    "mean_mase",
]
