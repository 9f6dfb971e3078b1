"""Forecasters compared on the same folds of the same data."""

from sktime_llm.evaluation._ablation import (
    LANGUAGE_MODELS,
    Ablation,
    ablate,
    parts_of,
)
from sktime_llm.evaluation._compare import compare_forecasters
from sktime_llm.evaluation._forecasters import (
    METHODS,
    default_forecasters,
    forecaster_names,
)
from sktime_llm.evaluation._ranks import Ranks, rank_forecasters
from sktime_llm.evaluation._result import Comparison

__all__ = [
    "LANGUAGE_MODELS",
    "METHODS",
    "Ablation",
    "Comparison",
    "Ranks",
    "ablate",
    "compare_forecasters",
    "default_forecasters",
    "forecaster_names",
    "parts_of",
    "rank_forecasters",
]
