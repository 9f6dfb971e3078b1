"""Plots of forecasts, comparisons, ablations and alignments."""

from sktime_llm.plotting._ablation import plot_ablation
from sktime_llm.plotting._alignment import plot_alignment
from sktime_llm.plotting._attention import plot_attention
from sktime_llm.plotting._comparison import plot_comparison
from sktime_llm.plotting._cross_modal import plot_cross_modal
from sktime_llm.plotting._forecast import plot_forecast
from sktime_llm.plotting._panels import require_matplotlib
from sktime_llm.plotting._ranks import plot_ranks

__all__ = [
    "plot_ablation",
    "plot_alignment",
    "plot_attention",
    "plot_comparison",
    "plot_cross_modal",
    "plot_forecast",
    "plot_ranks",
    "require_matplotlib",
]
