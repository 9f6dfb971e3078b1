"""Forecasters compared on the same folds of the same data."""

from sktime_llm.evaluation._compare import compare_forecasters
from sktime_llm.evaluation._forecasters import default_forecasters, forecaster_names
from sktime_llm.evaluation._result import Comparison

__all__ = [
    "Comparison",
    "compare_forecasters",
    "default_forecasters",
    "forecaster_names",
]
