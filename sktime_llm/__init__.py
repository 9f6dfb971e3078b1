"""Forecasting with pretrained language models, as ordinary sktime forecasters.

The public names load on first use: ``import sktime_llm`` imports neither torch nor
sktime.
"""

import importlib
from typing import TYPE_CHECKING

from sktime_llm._version import __version__

if TYPE_CHECKING:
    from sktime_llm.engines import forecast_partitions
    from sktime_llm.evaluation import compare_forecasters
    from sktime_llm.forecasting.balm_tsf import BALMTSFForecaster
    from sktime_llm.forecasting.calf import CALFForecaster
    from sktime_llm.forecasting.llm_ts_net import LLMTSNetForecaster
    from sktime_llm.forecasting.pretrained import load_pretrained
    from sktime_llm.forecasting.saving import load

__all__ = [
    "BALMTSFForecaster",
    "CALFForecaster",
    "LLMTSNetForecaster",
    "__version__",
    "compare_forecasters",
    "forecast_partitions",
    "load",
    "load_pretrained",
]

_HOME_OF = {
    "BALMTSFForecaster": "sktime_llm.forecasting.balm_tsf",
    "CALFForecaster": "sktime_llm.forecasting.calf",
    "LLMTSNetForecaster": "sktime_llm.forecasting.llm_ts_net",
    "compare_forecasters": "sktime_llm.evaluation",
    "forecast_partitions": "sktime_llm.engines",
    "load": "sktime_llm.forecasting.saving",
    "load_pretrained": "sktime_llm.forecasting.pretrained",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
