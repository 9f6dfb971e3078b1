"""Series of different temporal kinds, simulated, with a known best error.

    python benchmarks/kinds.py

Forty series of each kind are forecast 24 steps ahead by one network, and by classical
methods that are fitted to each. `best` is the forecast of somebody who knows how the
series were made and, where there is one, the state that they are in at the end: what
error is left is noise. A run that is already in the results file is not repeated.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing

from sktime_llm._devices import resolve_device
from sktime_llm.evaluation import default_forecasters

N_SERIES, N_ROWS, HORIZON, SEASON, NOISE = 40, 240, 24, 12, 0.3
OURS = ("calf", "calf-no-llm", "llm-ts-net", "llm-ts-net-no-llm")
METHODS = (*OURS, "auto-ets", "seasonal-naive", "naive")
Simulated = tuple[np.ndarray, np.ndarray]


def periodic(rng: np.random.Generator) -> Simulated:
    """Two seasons of 12 and 40 steps, of other phases and sizes in each series."""
    t = np.arange(N_ROWS)
    sizes, phases = rng.uniform(0.5, 2, 2), rng.uniform(0, 2 * np.pi, 2)
    waves = [
        size * np.sin(2 * np.pi * t / length + phase)
        for size, length, phase in zip(sizes, (SEASON, 40), phases, strict=True)
    ]
    signal = np.sum(waves, axis=0)
    return signal + rng.normal(scale=NOISE, size=N_ROWS), signal[-HORIZON:]


def trending(rng: np.random.Generator) -> Simulated:
    """A straight line that bends once, long before the end."""
    t = np.arange(N_ROWS)
    bend, slopes = rng.integers(40, 120), rng.normal(scale=0.05, size=2)
    signal = slopes[0] * t + slopes[1] * np.maximum(t - bend, 0)
    return signal + rng.normal(scale=NOISE, size=N_ROWS), signal[-HORIZON:]


def intermittent(rng: np.random.Generator) -> Simulated:
    """Mostly zeros: a demand in one step of five. The median is zero."""
    demand = rng.random(N_ROWS) < 0.2
    values = demand * rng.lognormal(sigma=0.5, size=N_ROWS)
    return values, np.zeros(HORIZON)


def random_walk(rng: np.random.Generator) -> Simulated:
    """The last value is all that can be known."""
    values = rng.normal(scale=NOISE, size=N_ROWS).cumsum()
    return values, np.full(HORIZON, values[-HORIZON - 1])


def regimes(rng: np.random.Generator) -> Simulated:
    """Two levels; in each step it goes to the other with a chance of 2 %."""
    state = (rng.random() < 0.5) ^ (rng.random(N_ROWS) < 0.02).cumsum() % 2
    values = 2.0 * state + rng.normal(scale=NOISE, size=N_ROWS)
    # in no horizon of this length does the other level become the more likely one
    return values, np.full(HORIZON, 2.0 * state[-HORIZON - 1])


KINDS: dict[str, Callable[[np.random.Generator], Simulated]] = {
    "periodic": periodic,
    "trending": trending,
    "intermittent": intermittent,
    "random walk": random_walk,
    "regimes": regimes,
}


def simulate(kind: str, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the past as a panel, the future and its best forecast, (series, step)."""
    rng = np.random.default_rng(seed)
    values, best = zip(*(KINDS[kind](rng) for _ in range(N_SERIES)), strict=True)
    past = {
        f"s{i:02}": pd.DataFrame({"value": each[:-HORIZON]})
        for i, each in enumerate(values)
    }
    future = np.stack([each[-HORIZON:] for each in values])
    return pd.concat(past, names=["series", "t"]), future, np.stack(best)


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Fit on the past, forecast the future, and return the errors."""
    started = time.perf_counter()
    y, future, best = simulate(settings["kind"], settings["data_seed"])
    season = SEASON if settings["kind"] == "periodic" else 1
    own = {"random_state": settings["seed"], "device": args.device, "verbose": 0}
    name = settings["name"]
    if name in OURS:
        own["max_epochs"] = settings["epochs"]
    forecaster = default_forecasters(season, [name], **own)[name]
    if name in OURS:
        forecaster.set_params(intervals=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y_pred = forecaster.fit(y, fh=range(1, HORIZON + 1)).predict()
    found = y_pred["value"].to_numpy().reshape(future.shape)
    return {
        "mae": float(np.abs(future - found).mean()),
        "best_mae": float(np.abs(future - best).mean()),
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet, and print the errors of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=list(KINDS), nargs="+", default=list(KINDS))
    parser.add_argument("--method", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "kinds.jsonl")
    args = parser.parse_args()
    runs = [
        {"kind": kind, "name": name, "data_seed": args.data_seed}
        | ({"seed": seed, "epochs": args.epochs} if name in OURS else {"seed": 0})
        for kind in args.kind
        for name in args.method
        for seed in (args.seed if name in OURS else [0])
    ]
    records = run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['name']}, {settings['kind']}",
    )
    table = pd.DataFrame(records)
    shown = table.pivot_table(index="name", columns="kind", values="mae", sort=False)
    shown.loc["best"] = table.groupby("kind")["best_mae"].first()
    print(shown.to_string(float_format="%.3f"))


if __name__ == "__main__":
    main()
