"""Forecasting competitions: M1, M3, M4 and Tourism, one global model per period.

    python benchmarks/competitions.py --data-dir DATA --period yearly \
        --method "CALF" "CALF without language model"

Errors are the competitions': sMAPE and MAPE over all forecast points, MASE as the mean
over series, and in M4 the mean of both relative to those of Naive2 (OWA). Settings are
chosen with ``--part validation``, which holds out the last
block of every training series, as long as the forecast, and never sees the test part.
With ``--also-train-on``, the network learns from the series of other competitions, too,
but for those that share a part with one of this.
Several seeds make one forecaster, whose forecast is their mean. A run that is already
in the results file, with the same settings, is not repeated; with ``--forecasts``, no
network is trained twice, be it alone or in a mean. Use one folder per version of the
code, as files are named by settings alone.
"""

import argparse
import ast
import hashlib
import os
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing
from _tables import over_periods
from sktime.forecasting.compose import FallbackForecaster
from sktime.forecasting.naive import NaiveForecaster
from sktime.transformations.series.boxcox import LogTransformer
from sktime.transformations.series.detrend import ConditionalDeseasonalizer

from sktime_llm import CALFForecaster, LLMTSNetForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.evaluation import default_forecasters

PERIODS = {  # of each competition
    "M1": ("yearly", "quarterly", "monthly"),
    "M3": ("yearly", "quarterly", "monthly", "other"),
    "M4": ("weekly", "hourly"),
    "Tourism": ("yearly", "quarterly", "monthly"),
}
SEASON = {"yearly": 1, "quarterly": 4, "monthly": 12, "other": 1}
SEASON |= {"weekly": 1, "hourly": 24}  # as M4's own errors have it
CALF_ALONE = (CALFForecaster, {"backbone_mode": "none"})
LLM_TS_NET_ALONE = (LLMTSNetForecaster, {"text_fusion": False})
METHODS = {  # the forecast of several is their mean
    "CALF": [(CALFForecaster, {})],
    "CALF without language model": [CALF_ALONE],
    "LLM-TS Net": [(LLMTSNetForecaster, {})],
    "LLM-TS Net without text": [LLM_TS_NET_ALONE],
    "both": [(CALFForecaster, {}), (LLMTSNetForecaster, {})],
    "both without language model": [CALF_ALONE, LLM_TS_NET_ALONE],
}
# both, and both once more on deseasonalized values, where the period has a season
FOUR = {"four": "both", "four without language model": "both without language model"}
METHODS |= {name: METHODS[both] for name, both in FOUR.items()}
# the mean of a mean of networks and of AutoETS, each counting half
WITH_ETS = {name.replace("four", "four and AutoETS"): name for name in FOUR}
METHODS |= {name: METHODS[four] for name, four in WITH_ETS.items()} | {"AutoETS": []}
PARTS = ("train", "test")
ERRORS = ("smape", "mape", "mase")
N_CHANGES = 6  # as many relative changes in a row make two series the same


def read(data_dir: Path, competition: str, period: str) -> dict[str, list[np.ndarray]]:
    """Return the training and the test part of every series, by its name."""
    if competition == "M4":
        return _read_m4(data_dir, period)
    table = pd.read_csv(data_dir / f"{competition.lower()}.csv.gz")
    table = table[table["period"] == period].sort_values(["series", "t"])
    return {
        name: [rows.loc[rows["part"] == part, "value"].to_numpy() for part in PARTS]
        for name, rows in table.groupby("series", sort=False)
    }


def _read_m4(data_dir: Path, period: str) -> dict[str, list[np.ndarray]]:
    tables = [
        pd.read_csv(data_dir / f"M4-{period.capitalize()}-{part}.csv", index_col=0)
        for part in PARTS
    ]
    return {
        name: [table.loc[name].dropna().to_numpy(float) for table in tables]
        for name in tables[0].index
    }


def hold_out(series: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Make the last block of every training part the test part, where one is left."""
    parts = {}
    for name, (train, test) in series.items():
        if len(train) > 2 * len(test):
            parts[name] = [train[: -len(test)], train[-len(test) :]]
    return parts


def panel(series: dict[str, list[np.ndarray]]) -> pd.DataFrame:
    """Put the training parts into one table, as sktime takes them."""
    columns = [pd.DataFrame({"value": train}) for train, _ in series.values()]
    return pd.concat(columns, keys=series.keys(), names=["series", "t"])


def sharing_nothing(
    series: dict[str, list[np.ndarray]], targets: Iterable[list[np.ndarray]]
) -> dict[str, list[np.ndarray]]:
    """Return the series that share no part with targets."""
    known = set().union(*(changes_of(np.concatenate(parts)) for parts in targets))
    return {
        name: parts
        for name, parts in series.items()
        if known.isdisjoint(changes_of(np.concatenate(parts)))
    }


def changes_of(values: np.ndarray) -> set[bytes]:
    """Return all runs of relative changes, which are the same in any unit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = (values[1:] / values[:-1]).round(3)
    if len(changes) < N_CHANGES:
        return set()
    runs = np.lib.stride_tricks.sliding_window_view(changes, N_CHANGES)
    runs = runs[np.isfinite(runs).all(axis=1)]
    return {run.tobytes() for run in runs[np.ptp(runs, axis=1) > 0]}


def point_errors(
    series: dict[str, list[np.ndarray]], forecasts: np.ndarray, season: int
) -> dict[str, float]:
    """Return the errors of forecasts of shape (series, step)."""
    truth = np.stack([test for _, test in series.values()])
    scales = np.array([_seasonal_change(t, season) for t, _ in series.values()])
    off = np.abs(truth - forecasts)
    scaled = off.mean(axis=1)[scales > 0] / scales[scales > 0]
    return {
        "smape": float(200 * (off / (np.abs(truth) + np.abs(forecasts))).mean()),
        "mape": float(100 * (off / np.abs(truth)).mean()),
        "mase": float(scaled.mean()),
    }


def naive2(series: dict[str, list[np.ndarray]], season: int) -> np.ndarray:
    """Forecast the last value, deseasonalized where a test finds a season."""
    forecasts = []
    for train, test in series.values():
        forecaster = NaiveForecaster()
        if season > 1:
            seasonal = ConditionalDeseasonalizer(sp=season, model="multiplicative")
            forecaster = seasonal * forecaster
        y_pred = forecaster.fit(pd.Series(train), fh=range(1, len(test) + 1)).predict()
        forecasts.append(y_pred.to_numpy().ravel())
    return np.stack(forecasts)


def _seasonal_change(values: np.ndarray, season: int) -> float:
    lag = season if len(values) > season else 1
    return float(np.abs(values[lag:] - values[:-lag]).mean())


def make_forecasters(
    args: argparse.Namespace, method: str, horizon: int, season: int
) -> list:
    """Return the forecasters of every seed, four also with deseasonalized values."""
    networks = [
        make_forecaster(args, horizon, seed, forecaster_class, own)
        for forecaster_class, own in METHODS[method]
        for seed in args.seeds
    ]
    if season > 1 and (method in FOUR or method in WITH_ETS):
        model = "additive" if args.log else "multiplicative"
        deseasonalizer = ConditionalDeseasonalizer(sp=season, model=model)
        networks = networks + [deseasonalizer * network for network in networks]
    if args.log:
        return [LogTransformer(offset=1) * network for network in networks]
    return networks


def make_forecaster(args, horizon: int, seed: int, forecaster_class, own: dict):
    """Return one forecaster, of values as they are."""
    forecaster = forecaster_class(
        backbone=args.backbone,
        context_length=args.horizons_of_context * horizon,
        prediction_length=horizon,
        intervals=None,
        max_epochs=args.epochs,
        cosine_epochs=args.epochs,
        learning_rate=args.learning_rate,
        random_state=seed,
        device=args.device,
        **own,
    )
    return forecaster.set_params(**dict(args.set))


def make_ets(season: int):
    """Return AutoETS, and the last value where a series is too short for it."""
    (ets,) = default_forecasters(season, ["auto-ets"]).values()
    return FallbackForecaster([("ets", ets), ("last value", NaiveForecaster())])


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Train and forecast; return the errors and how they came about."""
    series = read(args.data_dir, settings["competition"], settings["period"])
    if args.part == "validation":
        series = hold_out(series)
    y, season = panel(series | others(args, settings)), SEASON[settings["period"]]
    horizon = len(next(iter(series.values()))[1])
    method = settings["method"]
    data = [settings[name] for name in ("competition", "part", "period")]
    folder, joint = args.forecasts, [*data, *args.also_train_on]
    runs = [
        kept(folder, joint, forecaster, y, horizon)
        for forecaster in make_forecasters(args, method, horizon, season)
    ]
    forecasts = [run["forecasts"][: len(series)] for run in runs]
    shares = [1 / max(len(runs), 1)] * len(runs)
    if method in WITH_ETS or method == "AutoETS":
        runs.append(kept(folder, data, make_ets(season), panel(series), horizon))
        forecasts.append(runs[-1]["forecasts"])
        shares.append(sum(shares) or 1)
    errors = point_errors(series, np.average(forecasts, 0, shares), season)
    if settings["competition"] == "M4":
        base = point_errors(series, naive2(series, season), season)
        relative = [errors[error] / base[error] for error in ("smape", "mase")]
        errors |= {"owa": float(np.mean(relative)), "naive2": base}
    return {
        **errors,
        "of_each": [point_errors(series, f, season) for f in forecasts],
        "series": len(series),
        "points": len(series) * horizon,
        "seconds": round(sum(float(run["seconds"]) for run in runs), 1),
        **provenance(resolve_device(args.device)),
    }


def others(args: argparse.Namespace, settings: dict) -> dict[str, list[np.ndarray]]:
    """Return whole series of other competitions, to train on."""
    period = settings["period"]
    targets = read(args.data_dir, settings["competition"], period).values()
    return {
        f"{competition} {name}": [np.concatenate(parts), np.array([])]
        for competition in args.also_train_on
        for name, parts in sharing_nothing(
            read(args.data_dir, competition, period), targets
        ).items()
    }


def kept(
    folder: Path | None, data: list[str], forecaster, y: pd.DataFrame, horizon: int
) -> dict[str, np.ndarray]:
    """Train and forecast, unless a file in a folder already holds the result."""
    if folder is None:
        return forecast(forecaster, y, horizon)
    params = sorted((name, repr(v)) for name, v in forecaster.get_params().items())
    named = repr((type(forecaster).__name__, params))
    key = hashlib.sha256(named.encode()).hexdigest()[:16]
    file = folder / f"{'-'.join(data)}-{key}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.npz")
        np.savez(partial, **forecast(forecaster, y, horizon))
        partial.replace(file)
    return dict(np.load(file))


def forecast(forecaster, y: pd.DataFrame, horizon: int) -> dict[str, np.ndarray]:
    """Train and forecast every series of a panel, (series, step); count the seconds."""
    started = time.perf_counter()
    y_pred = forecaster.fit(y, fh=range(1, horizon + 1)).predict()
    seconds = np.array(time.perf_counter() - started)
    table = y_pred["value"].unstack("t", sort=False)
    # each series has its own times: without those of the others, its steps
    table = table.loc[y.index.unique("series")].to_numpy()
    rows = [row[~np.isnan(row)] for row in table]
    return {"forecasts": np.stack(rows), "seconds": seconds}


def settings_of_runs(args: argparse.Namespace) -> list[dict]:
    """Return what each run depends on, method by method within each period."""
    ignored = ("data_dir", "device", "results", "reference", "period", "method", "set")
    ignored = (*ignored, "forecasts")
    common = {name: v for name, v in vars(args).items() if name not in ignored}
    common["set"] = dict(args.set)
    for name in ("set", "log", "also_train_on"):
        common[name] = common[name] or None  # as in records made before there was one
    runs = [
        {**common, "period": period, "method": method}
        for period in args.period or PERIODS[args.competition]
        for method in args.method
    ]
    for settings in runs:
        if settings["method"] == "LLM-TS Net without text":
            del settings["backbone"]
        if settings["method"] == "AutoETS":  # which learns from no other series
            settings["also_train_on"] = None
    return runs


def main() -> None:
    """Run what is not in the results yet; print a table of each period, and of all."""
    args = parse_arguments()
    warnings.filterwarnings("ignore", "The default of config", FutureWarning, "sktime")
    records = run_missing(
        args.results,
        settings_of_runs(args),
        lambda settings: run(args, settings),
        lambda settings: f"{settings['method']}, {settings['period']}",
    )
    found = []
    # what was published is of the test part
    reference = args.reference if args.part == "test" else None
    for record in records:
        found.append(record)
        if len(found) % len(args.method) == 0:
            print(f"{record['competition']} {record['period']}, {args.part}")
            show(beside(pd.DataFrame(found[-len(args.method) :]), reference))
    print(f"{args.competition}, all of these periods, {args.part}")
    show(over_periods(beside(pd.DataFrame(found), reference)))


def beside(found: pd.DataFrame, reference: Path | None) -> pd.DataFrame:
    """Put the errors of a competition's own methods beside those of some runs."""
    errors = [*ERRORS, "owa"] if "owa" in found else ERRORS
    rows = found[["method", "period", "series", "points", *errors]]
    if reference is None:
        return rows
    sizes = rows[["period", "series", "points"]].drop_duplicates()
    # a method without forecasts of a period has no MASE there
    published = pd.read_csv(reference).dropna(subset="mase").merge(sizes)
    return pd.concat([rows, published])


def show(rows: pd.DataFrame) -> None:
    """Print the errors of methods, the best first."""
    errors = [error for error in (*ERRORS, "owa") if error in rows]
    table = rows.set_index("method")[errors].astype(float)
    print(table.sort_values("smape").to_string(float_format="%.3f", na_rep=""))
    print(flush=True)


def parse_setting(text: str) -> tuple[str, object]:
    """Read a parameter and its value, such as ``learning_rate=1e-3``."""
    name, value = text.split("=", 1)
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--competition", choices=list(PERIODS), default="M3")
    parser.add_argument("--period", choices=list(SEASON), nargs="+")
    single = [name for name, networks in METHODS.items() if len(networks) == 1]
    parser.add_argument("--method", choices=list(METHODS), nargs="+", default=single)
    parser.add_argument("--part", choices=["test", "validation"], default="test")
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--horizons-of-context", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", nargs="+", type=parse_setting, default=[])
    parser.add_argument(
        "--log", action="store_true", help="forecast the logarithm of 1 + the values"
    )
    parser.add_argument(
        "--also-train-on", choices=("M1", "M3", "Tourism"), nargs="+", default=[]
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--forecasts", type=Path, help="folder that keeps forecasts")
    parser.add_argument("--results", type=Path, default=RESULTS / "competitions.jsonl")
    parser.add_argument(
        "--reference", type=Path, help="method,period,smape,mase of other methods"
    )
    args = parser.parse_args()
    periods = PERIODS[args.competition]
    if unknown := [period for period in args.period or () if period not in periods]:
        found = f"got {', '.join(unknown)}, expected some of {', '.join(periods)}"
        parser.error(f"--period of {args.competition}: {found}")
    return args


if __name__ == "__main__":
    main()
