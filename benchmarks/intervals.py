"""Do intervals cover what they promise, and how wide are they?

    python benchmarks/intervals.py --data-dir DATA

Hours of ETTh1 and days of Exchange, a day and three weeks ahead from origins in the
test part, which our forecasters meet by ``update`` without training (most of them of
Exchange, whose rates move together, so that an origin says little); the daily cash
withdrawals of NN5 (gaps filled by the same day of the week before), two weeks ahead
from four origins in the last eight weeks; and the months of M3, of which each series
has three origins, at the end of its training part, and 18 and 36 months before: series
of one economy move together, and one origin says little. Those that are too short for
this are left out. Coverage of 50, 80, 90 and 95 % intervals, for panels that of 80 %
at each origin, the interval score of 95 % (Winkler) and twice the mean pinball loss
over the nine quantiles, which records call "crps", though it is none: their levels are
close together in the tails. Scores are divided by the mean absolute seasonal change of
each series' past. A run that is already in the results file is not repeated.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing
from competitions import hold_out, panel, read
from long_term import read_etth1, read_exchange

from sktime_llm._devices import resolve_device
from sktime_llm.evaluation import default_forecasters

COVERAGES = (0.5, 0.8, 0.9, 0.95)
LEVELS = sorted({(1 + s * c) / 2 for c in COVERAGES for s in (-1, 1)} | {0.5})
SEASONS = {"ETTh1": 24, "Exchange": 5, "NN5": 7, "M3 monthly": 12}
HORIZONS = {"ETTh1": 24, "Exchange": 15, "NN5": 14, "M3 monthly": 18}
OURS = (
    "calf",
    "calf-no-llm",
    "llm-ts-net",
    "llm-ts-net-no-llm",
    "balm-tsf",
    "balm-tsf-no-llm",
)
BASELINES = ("auto-ets", "seasonal-naive")
METHODS = (*OURS, *BASELINES)
N_ORIGINS = {"ETTh1": 30, "Exchange": 100}
N_BLOCKS = {"NN5": 4, "M3 monthly": 3}
_PAST = 1000  # rows that a classical method is fitted on
# BALM-TSF reads a text of every window and variate, so it is trained in few steps. Its
# context of NN5 and rate of Exchange are those of the lowest validation loss among four
# contexts and two rates; of M3, which is too short for one, the usual two horizons.
BALM_TSF = {
    "ETTh1": {"max_epochs": 3, "steps_per_epoch": 100},
    "Exchange": {"max_epochs": 3, "steps_per_epoch": 100, "learning_rate": 1e-3},
    "NN5": {
        "max_epochs": 10,
        "steps_per_epoch": 200,
        "context_length": 224,
        "patch_length": 14,
        "patch_stride": 7,
    },
    "M3 monthly": {
        "max_epochs": 10,
        "steps_per_epoch": 100,
        "context_length": 36,
        "patch_length": 12,
        "patch_stride": 6,
    },
}


def rolling(data_dir: Path, dataset: str) -> tuple[pd.DataFrame, list[int]]:
    """Return a table, and the rows of its test part at which forecasts begin."""
    read_table = {"ETTh1": read_etth1, "Exchange": read_exchange}[dataset]
    table, _, test_start = read_table(data_dir)
    last = len(table) - HORIZONS[dataset]
    return table, np.linspace(test_start, last, N_ORIGINS[dataset]).astype(int).tolist()


def read_panels(data_dir: Path, dataset: str) -> list[tuple[pd.DataFrame, np.ndarray]]:
    """Return a panel as of each origin, and what followed, (series, step)."""
    if dataset == "M3 monthly":
        blocks = [read(data_dir, "M3", "monthly")]
        for _ in range(N_BLOCKS[dataset] - 1):
            blocks.append(hold_out(blocks[-1]))
        parts = [{name: block[name] for name in blocks[-1]} for block in blocks]
        return [
            (panel(part), np.stack([test for _, test in part.values()]))
            for part in reversed(parts)
        ]
    table = pd.read_csv(data_dir / "nn5_daily.csv.gz", index_col=0)
    filled = table.fillna(table.shift(7)).fillna(table.shift(14)).ffill().bfill()
    horizon, pairs = HORIZONS[dataset], []
    for end in range(len(filled) - N_BLOCKS[dataset] * horizon, len(filled), horizon):
        past = {c: [filled[c].to_numpy()[:end], None] for c in filled}
        pairs.append((panel(past), filled.to_numpy()[end : end + horizon].T))
    return pairs


def quantiles_of_rolling(args, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield truth, (step, channel), and quantiles, (step, channel, level)."""
    table, origins = rolling(args.data_dir, args.dataset)
    horizon = HORIZONS[args.dataset]
    forecaster, fitted = make(args, name), None
    for origin in origins:
        if name in OURS and fitted is not None:
            forecaster.update(table.iloc[fitted:origin], update_params=False)
        elif name in OURS:
            forecaster.fit(table.iloc[:origin], fh=range(1, horizon + 1))
        else:
            past = table.iloc[max(0, origin - _PAST) : origin]
            forecaster.fit(past, fh=range(1, horizon + 1))
        fitted = origin
        found = forecaster.predict_quantiles(alpha=LEVELS).to_numpy()
        truth = table.iloc[origin : origin + horizon].to_numpy()
        yield truth, found.reshape(*truth.shape, len(LEVELS))


def quantiles_of_panels(args, name: str) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Return truth, (series, step), quantiles, (series, step, level), and the past.

    Steps are those of all origins.
    """
    truths, quantiles, seen = [], [], None
    forecaster = make(args, name)
    pairs = read_panels(args.data_dir, args.dataset)
    for y, truth in pairs:
        if name in OURS and seen is not None:
            new = y[~y.index.isin(seen)]
            forecaster.update(new, update_params=False)
        else:
            forecaster.fit(y, fh=range(1, truth.shape[1] + 1))
        seen = y.index
        found = forecaster.predict_quantiles(alpha=LEVELS).to_numpy()
        truths.append(truth)
        quantiles.append(found.reshape(*truth.shape, len(LEVELS)))
    return np.concatenate(truths, 1), np.concatenate(quantiles, 1), pairs[0][0]


def make(args: argparse.Namespace, name: str):
    """Return a forecaster by name, with a larger share of short series held out."""
    own = {"random_state": args.seed, "device": args.device}
    forecaster = default_forecasters(SEASONS[args.dataset], [name], **own)[name]
    if name in OURS:
        forecaster.set_params(intervals="conformal", calibration_fraction=0.2)
    if name in OURS and args.dataset == "M3 monthly":
        forecaster.set_params(max_epochs=10)
    if name.startswith("balm-tsf"):
        forecaster.set_params(batch_size=16, **BALM_TSF[args.dataset])
    return forecaster


def scores(truth: np.ndarray, found: np.ndarray, change: np.ndarray) -> dict:
    """Score quantiles, (..., level), of truth, (...), by changes of the same shape."""
    where = {round(level, 6): found[..., i] for i, level in enumerate(LEVELS)}
    covered = {}
    for coverage in COVERAGES:
        low, high = (where[round((1 + s * coverage) / 2, 6)] for s in (-1, 1))
        covered[f"covered_{coverage:.0%}"] = float(
            ((low <= truth) & (truth <= high)).mean()
        )
    width = high - low  # of the last, the widest
    outside = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    winkler = width + 2 / (1 - coverage) * outside
    pinball = [
        np.maximum(level * (truth - q), (level - 1) * (truth - q))
        for level, q in where.items()
    ]
    return {
        **covered,
        "winkler_95": float((winkler / change).mean()),
        "crps": float((2 * np.mean(pinball, axis=0) / change).mean()),
    }


def run(args: argparse.Namespace, name: str) -> dict:
    """Fit, forecast and score one method."""
    season, started, by_origin = SEASONS[args.dataset], time.perf_counter(), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if args.dataset in ("ETTh1", "Exchange"):
            pairs = list(quantiles_of_rolling(args, name))
            truth, found = (np.stack(part) for part in zip(*pairs, strict=True))
            table, origins = rolling(args.data_dir, args.dataset)
            past = table.iloc[: origins[0]].to_numpy()
            change = np.abs(past[season:] - past[:-season]).mean(axis=0)
        else:
            truth, found, y = quantiles_of_panels(args, name)
            past = [each.to_numpy()[:, 0] for _, each in y.groupby(level=0, sort=False)]
            each = [np.abs(p[season:] - p[:-season]).mean() for p in past]
            change = np.array(each)[:, None]
            ends = range(HORIZONS[args.dataset], truth.shape[1], HORIZONS[args.dataset])
            origins = zip(
                np.split(truth, ends, 1), np.split(found, ends, 1), strict=True
            )
            by_origin["covered_80%_by_origin"] = [
                scores(*each, change)["covered_80%"] for each in origins
            ]
    return {
        **scores(truth, found, np.broadcast_to(change, truth.shape)),
        **by_origin,
        "values": truth.size,
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet, and print a table of each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--dataset", choices=list(SEASONS), nargs="+", default=list(SEASONS)
    )
    parser.add_argument("--method", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "intervals.jsonl")
    args = parser.parse_args()
    for dataset in args.dataset:
        own = argparse.Namespace(**{**vars(args), "dataset": dataset})
        records = run_missing(
            args.results,
            [{"dataset": dataset, "name": n, "seed": args.seed} for n in args.method],
            lambda settings, own=own: run(own, settings["name"]),
            lambda settings: f"{settings['dataset']}, {settings['name']}",
        )
        table = pd.DataFrame(list(records)).set_index("name")
        print(dataset)
        columns = [f"covered_{c:.0%}" for c in COVERAGES] + ["winkler_95", "crps"]
        print(table[columns].round(3).to_string(), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
