"""Ctrl-C stops a program, and what was trained until then is kept."""

import functools
from typing import Any

from sktime.forecasting.base import BaseForecaster

from sktime_llm.errors import TrainingInterrupted


def _stopping(name: str) -> Any:
    """Let a method of sktime end its work, then raise what interrupted it."""

    @functools.wraps(getattr(BaseForecaster, name))
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._interruption = None
        result = getattr(super(InterruptMixin, self), name)(*args, **kwargs)
        interruption, self._interruption = self._interruption, None
        if interruption is not None:
            raise interruption
        return result

    return method


class InterruptMixin:
    """Of forecasters that train: an interruption waits until their state is whole.

    sktime calls a forecaster fitted after its ``_fit``, so the interruption is raised
    behind that: loops over forecasters, such as ``evaluate``, end at once, and the
    forecaster can be used.
    """

    _interruption: TrainingInterrupted | None = None

    fit = _stopping("fit")
    fit_predict = _stopping("fit_predict")
    pretrain = _stopping("pretrain")
    update = _stopping("update")
