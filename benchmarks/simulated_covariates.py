"""How near do forecasts with covariates come to the best possible error?

    python benchmarks/simulated_covariates.py

A simulated series, twice a covariate plus noise, of which the past tells nothing: with
the covariate's future the best possible error is the noise, without it the deviation of
the series. Forecast three steps ahead from origins in the last 150 of 1,500 rows, which
follow by ``update`` without training. A run that is already in the results file is not
repeated.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing
from covariates import METHODS, forecasts

from sktime_llm._devices import resolve_device
from sktime_llm.evaluation import default_forecasters

N_ROWS, N_TEST, HORIZON = 1500, 150, 3
EFFECT, NOISE = 2.0, 0.5
KNOWN = ("nothing", "the past", "past and future")


def simulate(seed: int) -> tuple[pd.Series, pd.DataFrame]:
    """Return a series and its covariate."""
    x, noise = np.random.default_rng(seed).normal(size=(2, N_ROWS))
    index = pd.period_range("2000-01-01", periods=N_ROWS, freq="D")
    y = pd.Series(5 + EFFECT * x + NOISE * noise, index, name="y")
    return y, pd.DataFrame({"x": x}, index)


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Fit, forecast and score one method, beside the best possible error."""
    started = time.perf_counter()
    y, X = simulate(args.data_seed)
    known = settings["known"]
    own = {"random_state": settings["seed"], "device": args.device}
    name = settings["name"]
    forecaster = default_forecasters(7, [name], **own)[name]
    forecaster.set_params(
        intervals=None,
        max_epochs=settings["epochs"],
        past_covariates=["x"] if known == "the past" else [],
    )
    origins = list(range(N_ROWS - N_TEST, N_ROWS, HORIZON))
    truth = np.stack([y.iloc[at : at + HORIZON].to_numpy() for at in origins])
    ahead = np.stack([X["x"].iloc[at : at + HORIZON].to_numpy() for at in origins])
    given = None if known == "nothing" else X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(forecasts(forecaster, y, given, 0, origins, HORIZON))
    best = 5 + EFFECT * ahead if known == "past and future" else np.full_like(ahead, 5)
    return {
        "mae": float(np.abs(np.stack(found) - truth).mean()),
        "best_mae": float(np.abs(best - truth).mean()),
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--known", choices=KNOWN, nargs="+", default=KNOWN)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "simulated_covariates.jsonl"
    )
    args = parser.parse_args()
    common = {"epochs": args.epochs, "data_seed": args.data_seed}
    records = run_missing(
        args.results,
        [
            {"name": name, "known": known, "seed": seed, **common}
            for name in args.method
            for known in args.known
            for seed in args.seed
        ],
        lambda settings: run(args, settings),
        lambda settings: f"{settings['name']}, known of X: {settings['known']}",
    )
    table = pd.DataFrame(list(records)).set_index(["name", "known", "seed"])
    print(table[["mae", "best_mae", "seconds"]].round(3).to_string())


if __name__ == "__main__":
    main()
