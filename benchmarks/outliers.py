"""What one value that dwarfs all others does to forecasts, and whether scaling helps.

The airline series with a few values of its past multiplied, forecast 12 months ahead;
each series standardized by its mean and standard deviation, as the forecasters do, or
robustly, by its median and interquartile range.

    python benchmarks/outliers.py

A run that is already in the results file is not repeated.
"""

import argparse
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing
from sktime.datasets import load_airline

from sktime_llm import CALFForecaster, LLMTSNetForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.errors import OutlierWarning
from sktime_llm.forecasting import _training
from sktime_llm.forecasting._scaling import Scaling

METHODS = {"CALF": CALFForecaster, "LLM-TS Net": LLMTSNetForecaster}
HORIZON = 12
# Months, counted from the start, whose values are multiplied.
MONTHS = {1: [70], 3: [40, 70, 100]}


class RobustScaling(Scaling):
    """Median and interquartile range in the place of mean and standard deviation."""

    @classmethod
    def of(cls, values: np.ndarray) -> Scaling:
        usual = Scaling.of(values)
        low, middle, high = np.nanpercentile(values, [25, 50, 75], axis=-2)
        return Scaling(middle, (high - low) / 1.349, usual.known)


@contextmanager
def scaling_by(scaling: type[Scaling]):
    """Let the forecasters scale in another way."""
    usual, _training.Scaling = _training.Scaling, scaling
    try:
        yield
    finally:
        _training.Scaling = usual


def error(method: str, factor: float, n_outliers: int, scaling: type[Scaling]) -> float:
    """Return the MAE of the last year."""
    y = load_airline()
    past, future = y.iloc[:-HORIZON].copy(), y.iloc[-HORIZON:]
    past.iloc[MONTHS[n_outliers]] *= factor
    with warnings.catch_warnings(), scaling_by(scaling):
        warnings.simplefilter("ignore", OutlierWarning)
        forecaster = METHODS[method](random_state=0, verbose=0)
        forecast = forecaster.fit(past, fh=range(1, HORIZON + 1)).predict()
    return float((forecast - future).abs().mean())


def run(settings: dict) -> dict:
    """Return the errors by both scalings."""
    method, n_outliers, factor = (settings[k] for k in ("method", "outliers", "factor"))
    return {
        "mae": error(method, factor, n_outliers, Scaling),
        "mae_robust": error(method, factor, n_outliers, RobustScaling),
        **provenance(resolve_device("auto")),
    }


def main() -> None:
    """Print the errors by method, size and number of outliers, and scaling."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 3, 30, 1e7])
    parser.add_argument("--results", type=Path, default=RESULTS / "outliers.jsonl")
    args = parser.parse_args()
    runs = [
        {"method": method, "outliers": n_outliers, "factor": factor}
        for method in METHODS
        for n_outliers in MONTHS
        for factor in args.factors
    ]
    records = run_missing(
        args.results,
        runs,
        run,
        lambda s: f"{s['method']}, {s['outliers']} times {s['factor']:,.0f}",
    )
    columns = ["method", "outliers", "factor", "mae", "mae_robust"]
    table = pd.DataFrame(list(records))[columns]
    print(table.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
