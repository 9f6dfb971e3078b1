"""Do covariates help? The load of a utility, with and without the temperature.

    python benchmarks/covariates.py --data-dir DATA

Hours of GEFCom2012: the load of 20 zones together, a day and a week ahead from 60
origins in the last 26 weeks, which our forecasters meet by ``update`` without training.
Each is fitted on the two years before, of which four weeks are missing, without
covariates, with the mean temperature of the 11 stations, or also with the calendar
(hour, day of the week and day of the year, as waves). The temperature of the horizon is
the one that came, as if a weather forecast were perfect: what it gains is an upper
bound. "With level" is with ``level_input``, "with averaged weights" with ``ema_decay``.
Training is short: see the options. Mean absolute error, and how much smaller it is than
that of the last week, or day, repeated (skill). A run that is already in the results
file is not repeated.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing

from sktime_llm._devices import resolve_device
from sktime_llm.evaluation import default_forecasters

LEVEL, AVERAGED = " with level", " with averaged weights"
OPTIONS = {LEVEL: {"level_input": True}, AVERAGED: {"ema_decay": 0.99}}
METHODS = ("calf-no-llm", "llm-ts-net-no-llm", "calf", "llm-ts-net")
METHODS += (f"llm-ts-net-no-llm{LEVEL}", f"llm-ts-net{LEVEL}")
METHODS += (f"calf-no-llm{AVERAGED}", f"llm-ts-net-no-llm{AVERAGED}")
COVARIATES = ("none", "temperature", "temperature and calendar")
HORIZONS = {"day": 24, "week": 168}
CONTEXT = 168
N_ORIGINS, TEST_ROWS = 60, 26 * 168


def read_gefcom(data_dir: Path) -> tuple[pd.Series, pd.DataFrame]:
    """Return the total load, in MW, and the mean temperature, by hour."""
    table = pd.read_csv(
        data_dir / "gefcom2012.csv.gz", index_col="hour", parse_dates=True
    )
    table.index = table.index.to_period("h")
    load = table.filter(like="load_").sum(axis=1, skipna=False) / 1000
    temperature = table.filter(like="temp_").mean(axis=1)
    return load.rename("load"), temperature.to_frame("temperature")


def with_calendar(X: pd.DataFrame) -> pd.DataFrame:
    """Add hour, day of the week and day of the year, each as a wave."""
    hours = X.index
    cycles = {
        "hour": hours.hour / 24,
        "weekday": (hours.dayofweek * 24 + hours.hour) / 168,
        "year": hours.dayofyear / 365.25,
    }
    waves = {
        f"{name}_{wave.__name__}": wave(2 * np.pi * np.asarray(share))
        for name, share in cycles.items()
        for wave in (np.sin, np.cos)
    }
    return X.assign(**waves)


def origins_of(n_rows: int, horizon: int) -> list[int]:
    """Return the rows at which forecasts begin, at midnight."""
    first, last = n_rows - TEST_ROWS, n_rows - horizon
    days = np.linspace(first, last, N_ORIGINS) // 24 * 24
    return sorted(set(days.astype(int).tolist()))


def forecasts(forecaster, y, X, first: int, origins: list[int], horizon: int):
    """Yield the forecast from each origin; the rows between are not trained on."""

    def at(rows: slice):
        return None if X is None else X.iloc[rows]

    fitted = origins[0]
    past = slice(first, fitted)
    forecaster.fit(y.iloc[past], X=at(past), fh=range(1, horizon + 1))
    for origin in origins:
        if origin > fitted:
            new = slice(fitted, origin)
            forecaster.update(y.iloc[new], X=at(new), update_params=False)
        fitted = origin
        ahead = slice(origin, origin + horizon)
        yield forecaster.predict(X=at(ahead)).to_numpy()


def naive(y: np.ndarray, origins: list[int], horizon: int, season: int) -> np.ndarray:
    """Repeat the last season before each origin."""
    steps = np.arange(horizon) % season
    return np.stack([y[origin - season + steps] for origin in origins])


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Fit, forecast and score one method."""
    started = time.perf_counter()
    y, X = read_gefcom(args.data_dir)
    horizon, given = HORIZONS[settings["horizon"]], settings["covariates"]
    X = {"none": None, "temperature": X}.get(given, with_calendar(X))
    origins = origins_of(len(y), horizon)
    name, _, option = settings["name"].partition(" ")
    own = {"device": args.device}
    own |= {"random_state": settings["seed"], "max_epochs": settings["epochs"]}
    forecaster = default_forecasters(168, [name], **own)[name]
    forecaster.set_params(
        context_length=CONTEXT,
        batch_size=settings["batch_size"],
        steps_per_epoch=settings["steps_per_epoch"],
    )
    if option:
        forecaster.set_params(**OPTIONS[f" {option}"])
    first = origins[0] - settings["rows"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = forecasts(forecaster, y, X, first, origins, horizon)
        found = np.stack(list(found))
    values = y.to_numpy()
    truth = np.stack([values[at : at + horizon] for at in origins])
    mae = float(np.abs(found - truth).mean())
    of_naive = {
        season: float(np.abs(naive(values, origins, horizon, n) - truth).mean())
        for season, n in HORIZONS.items()
    }
    return {
        "mae": mae,
        "mape": float(np.abs(found / truth - 1).mean()),
        **{f"mae_of_last_{season}": error for season, error in of_naive.items()},
        **{f"skill_to_last_{s}": 1 - mae / error for s, error in of_naive.items()},
        "origins": len(origins),
        "best_epoch": int(forecaster.history_.set_index("epoch")["best"].idxmax()),
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(resolve_device(args.device)),
    }


def settings_of_runs(args: argparse.Namespace) -> list[dict]:
    """Return what each run depends on."""
    limits = {"rows": args.rows, "epochs": args.epochs}
    limits |= {"steps_per_epoch": args.steps_per_epoch}
    limits |= {"batch_size": args.batch_size, "seed": args.seed}
    return [
        {"horizon": horizon, "name": name, "covariates": covariates, **limits}
        for horizon in args.horizon
        for name in args.method
        for covariates in args.covariates
    ]


def main() -> None:
    """Run what is not in the results yet, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--method", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument(
        "--horizon", choices=list(HORIZONS), nargs="+", default=list(HORIZONS)
    )
    parser.add_argument(
        "--covariates", choices=COVARIATES, nargs="+", default=COVARIATES[:2]
    )
    parser.add_argument("--rows", type=int, default=2 * 52 * 168)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps-per-epoch", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "covariates.jsonl")
    args = parser.parse_args()
    records = run_missing(
        args.results,
        settings_of_runs(args),
        lambda settings: run(args, settings),
        lambda s: f"{s['name']}, a {s['horizon']} ahead, covariates: {s['covariates']}",
    )
    table = pd.DataFrame(list(records)).set_index(["horizon", "name", "covariates"])
    columns = ["mae", "mape", "skill_to_last_week", "skill_to_last_day", "seconds"]
    print(table[columns].round(3).to_string())


if __name__ == "__main__":
    main()
