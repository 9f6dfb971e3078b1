"""Daily cash withdrawals with holes: are they better forecast as they are, or filled?

    python benchmarks/missing.py --data-dir DATA

The 111 series of NN5, of which 2 % of the days are missing, forecast 56 days ahead from
the end, as in the competition. Our forecasters, one for all series, take the holes as
they are or filled by the same day of the week before; the classical methods need them
filled. MASE over the days that were observed; a share of further values, hidden at
random from the past only, makes the holes larger. A run that is already in the results
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

HORIZON, SEASON = 56, 7
OURS = (
    "calf-no-llm",
    "llm-ts-net-no-llm",
    "balm-tsf-no-llm",
    "calf",
    "llm-ts-net",
    "balm-tsf",
)
BASELINES = ("auto-ets", "seasonal-naive")


def read_nn5(data_dir: Path, hidden: float, seed: int) -> list[pd.DataFrame]:
    """Return the past, with further values hidden, and what followed."""
    table = pd.read_csv(data_dir / "nn5_daily.csv.gz", index_col=0)
    table = table.reset_index(drop=True)
    past, future = table.iloc[:-HORIZON], table.iloc[-HORIZON:]
    gone = np.random.default_rng(seed).random(past.shape) < hidden
    return [past.mask(gone), future]


def fill(table: pd.DataFrame) -> pd.DataFrame:
    """Fill gaps by the same day one or more weeks before, or after."""
    by_weekday = table.groupby(np.arange(len(table)) % SEASON)
    return by_weekday.ffill().fillna(by_weekday.bfill())


def to_panel(table: pd.DataFrame) -> pd.DataFrame:
    """Turn columns into the series of a panel."""
    stacked = table.rename_axis(index="t", columns="series").T.stack(future_stack=True)
    return stacked.to_frame("value")


def mase(truth: np.ndarray, forecast: np.ndarray, past: np.ndarray) -> float:
    """Return the mean over series of (step, series), where there is a truth."""
    error = np.nanmean(np.abs(truth - forecast), axis=0)
    change = np.nanmean(np.abs(past[SEASON:] - past[:-SEASON]), axis=0)
    return float((error / change).mean())


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Fit on the past and forecast what followed."""
    started = time.perf_counter()
    past, future = read_nn5(args.data_dir, settings["hidden"], settings["seed"])
    name, own = settings["name"], {"device": args.device}
    own["random_state"] = settings["seed"]
    forecaster = default_forecasters(SEASON, [name], **own)[name]
    if name in OURS:
        forecaster.set_params(max_epochs=settings["epochs"])
    given = past if settings["holes"] == "as they are" else fill(past)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecaster.fit(to_panel(given), fh=range(1, HORIZON + 1))
        y_pred = forecaster.predict()["value"].unstack(0)[list(past)]
    original = read_nn5(args.data_dir, 0.0, 0)[0]
    return {
        "mase": mase(future.to_numpy(), y_pred.to_numpy(), original.to_numpy()),
        "missing": float(past.isna().to_numpy().mean()),
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(resolve_device(args.device)),
    }


def settings_of_runs(args: argparse.Namespace) -> list[dict]:
    """Return what each run depends on."""
    return [
        {"name": name, "holes": holes, "hidden": hidden, "seed": args.seed}
        | ({"epochs": args.epochs} if name in OURS else {})
        for hidden in args.hidden
        for name in args.method
        for holes in ("as they are", "filled")
        if name in OURS or holes == "filled"
    ]


def main() -> None:
    """Run what is not in the results yet, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    methods = (*OURS, *BASELINES)
    parser.add_argument("--method", choices=methods, nargs="+", default=methods)
    parser.add_argument("--hidden", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "missing.jsonl")
    args = parser.parse_args()
    records = run_missing(
        args.results,
        settings_of_runs(args),
        lambda settings: run(args, settings),
        lambda s: f"{s['name']}, {s['holes']}, {s['hidden']:.0%} hidden",
    )
    table = pd.DataFrame(list(records)).set_index(["hidden", "name", "holes"])
    print(table[["missing", "mase", "seconds"]].round(3).to_string())


if __name__ == "__main__":
    main()
