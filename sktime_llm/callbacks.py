"""What a forecaster tells while it trains: `Callback`, and some that are ready.

The names load on first use: ``from sktime_llm.callbacks import Callback`` imports
neither torch nor sktime.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sktime_llm.training.callbacks import Callback
    from sktime_llm.training.trackers import MLflowCallback, TensorBoardCallback

__all__ = ["Callback", "MLflowCallback", "TensorBoardCallback"]

_HOME_OF = {
    "Callback": "sktime_llm.training.callbacks",
    "MLflowCallback": "sktime_llm.training.trackers",
    "TensorBoardCallback": "sktime_llm.training.trackers",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
