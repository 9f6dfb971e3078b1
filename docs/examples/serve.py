"""Serve the forecasts of a saved forecaster over HTTP.

FORECASTER=airline uvicorn --factory serve:make_app
"""

import copy
import os

import pandas as pd
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from sktime_llm import load_pretrained
from sktime_llm.errors import SktimeLLMError


class Row(BaseModel):
    """A value, or None where it is missing."""

    time: str
    value: float | None


class Question(BaseModel):
    """Rows since the forecaster was saved, and how far to forecast."""

    rows: list[Row] = []
    horizon: int = Field(12, ge=1, le=120)
    coverage: float = Field(0.8, gt=0, lt=1)


class Forecast(BaseModel):
    """A forecast with its prediction interval."""

    time: str
    value: float
    lower: float
    upper: float


def make_app() -> FastAPI:
    """Load the forecaster once, and return the application."""
    saved = load_pretrained(os.environ["FORECASTER"])
    app = FastAPI(title="Forecasts")

    # FastAPI calls functions that are not async in threads: requests run side by side.
    @app.post("/forecast")
    def forecast(question: Question) -> list[Forecast]:
        forecaster = copy.deepcopy(saved)  # requests do not see each other's rows
        try:
            if question.rows:
                forecaster.update(as_series(question.rows, saved), update_params=False)
                check_latest(forecaster.cutoff[0], saved.cutoff[0])
            fh = range(1, question.horizon + 1)
            values = forecaster.predict(fh)
            bounds = forecaster.predict_interval(fh, coverage=question.coverage)
        # what was sent does not fit
        except (SktimeLLMError, ValueError, OverflowError) as error:
            raise HTTPException(422, str(error)) from error
        return [
            Forecast(time=str(time), value=value, lower=lower, upper=upper)
            for time, value, (lower, upper) in zip(
                values.index, values, bounds.to_numpy(), strict=True
            )
        ]

    return app


def check_latest(end, known_end) -> None:
    """Refuse rows before the last known one: forecasts would begin after them."""
    if end < known_end:
        raise ValueError(
            f"the last row is of {end}, but rows up to {known_end} are known; expected "
            "one of that time or later. Send the latest rows, or none."
        )


def as_series(rows: list[Row], forecaster) -> pd.Series:
    """Return rows in order, with times of the kind that the forecaster knows."""
    cutoff, times = forecaster.cutoff, [row.time for row in rows]
    if isinstance(cutoff, pd.PeriodIndex):
        index = pd.PeriodIndex(times, freq=cutoff.freq)
    elif isinstance(cutoff, pd.DatetimeIndex):
        index = pd.DatetimeIndex(times)
    else:
        index = pd.Index(times).astype("int64")
    if index.hasnans or index.has_duplicates:
        raise ValueError(f"expected a time in each row, and each once, got {times}")
    return pd.Series([row.value for row in rows], index, dtype=float).sort_index()
