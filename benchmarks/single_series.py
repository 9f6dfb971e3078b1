"""Single series, one at a time: the defaults of all methods at equal footing.

Series are drawn from the competitions M1 and Tourism. Each method is fitted on the
training part of one series and forecasts its test part:

    python benchmarks/single_series.py --data-dir DATA --n-series 100

Prints MASE, the mean over series, and seconds per series, also of the mean forecast of
three classical methods where all of them are recorded. With ``--without-fh`` a
forecaster is fitted before the horizon is known. With ``--part validation`` the last
block of every training part is forecast, and the test part is never seen: settings,
such as ``--set learning_rate=1e-3``, are chosen with it. With ``--deseasonalize`` our
methods forecast what is left after sktime's `Deseasonalizer`, which divides by a season
of constant shape, or subtracts it where values are not all positive. A run that is
already in the results file is not repeated.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, find, provenance, run_missing
from competitions import SEASON, hold_out, parse_setting, point_errors, read
from sktime.transformations.series.detrend import Deseasonalizer

from sktime_llm._devices import resolve_device
from sktime_llm.evaluation import default_forecasters, forecaster_names

FREQUENCIES = {"yearly": "Y", "quarterly": "Q", "monthly": "M"}
BASELINES = ("auto-arima", "auto-ets", "theta", "seasonal-naive")
OURS = [name for name in forecaster_names() if name.startswith(("calf", "balm", "llm"))]
AVERAGED = ("auto-arima", "auto-ets", "theta")
AVERAGE = "mean of " + ", ".join(AVERAGED)


def draw(args: argparse.Namespace) -> list[tuple[str, str, list[np.ndarray]]]:
    """Draw series; return the period, the name and the two parts of each."""
    everything = []
    for competition in args.competition:
        for period in FREQUENCIES:
            series = read(args.data_dir, competition, period)
            if args.part == "validation":
                series = hold_out(series)
            named = series.items()
            everything += [(period, f"{competition} {k}", parts) for k, parts in named]
    chosen = np.random.default_rng(args.draw_seed).permutation(len(everything))
    return [everything[i] for i in sorted(chosen[: args.n_series])]


def forecast(args: argparse.Namespace, name: str, period: str, y, horizon: int):
    """Fit one method on one series; return its forecast."""
    season, steps = SEASON[period], range(1, horizon + 1)
    own = {"random_state": args.seed, "device": args.device, "verbose": 0}
    forecaster = default_forecasters(season, [name], **own)[name]
    if name in OURS:
        forecaster.set_params(**args.set)
        if args.deseasonalize and 1 < season <= len(y) // 2:
            model = "multiplicative" if (y > 0).all() else "additive"
            forecaster = Deseasonalizer(sp=season, model=model) * forecaster
    index = pd.period_range("1950-01", periods=len(y), freq=FREQUENCIES[period])
    series = pd.Series(y, index=index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if args.without_fh and name in OURS:
            return forecaster.fit(series).predict(steps).to_numpy()
        return forecaster.fit(series, fh=steps).predict().to_numpy()


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Forecast all series by one method; return its errors and its forecasts."""
    rows, forecasts, started = [], {}, time.perf_counter()
    name, averaged = settings["name"], averaged_runs(args, settings)
    for period, key, (train, test) in draw(args):
        if name == AVERAGE:
            found = np.mean([run["forecasts"][key] for run in averaged], axis=0)
        else:
            found = forecast(args, name, period, train, len(test))
        errors = point_errors({key: [train, test]}, found[None], SEASON[period])
        rows.append({"series": key, "period": period, **errors})
        forecasts[key] = [round(float(value), 4) for value in found]
    table = pd.DataFrame(rows)
    seconds = (time.perf_counter() - started) / len(rows)
    if name == AVERAGE:
        seconds = sum(run["seconds_per_series"] for run in averaged)
    return {
        **table.drop(columns=["series", "period"]).mean().to_dict(),
        "mase_of_each": table.set_index("series")["mase"].round(5).to_dict(),
        "mase_by_period": table.groupby("period")["mase"].mean().to_dict(),
        "seconds_per_series": seconds,
        "forecasts": forecasts,
        **provenance(resolve_device(args.device)),
    }


def averaged_runs(args: argparse.Namespace, settings: dict) -> list[dict]:
    """Return the records of the classical methods that are averaged, where all are."""
    found = [find(args.results, settings | {"name": name}) for name in AVERAGED]
    return [record for record in found if record] if all(found) else []


def main() -> None:
    """Run what is not in the results yet, and print all, the best first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--competition", nargs="+", default=["M1", "Tourism"])
    parser.add_argument("--part", choices=["test", "validation"], default="test")
    parser.add_argument("--n-series", type=int, default=100)
    parser.add_argument("--draw-seed", type=int, default=0)
    parser.add_argument("--method", nargs="+", default=[*OURS, *BASELINES])
    parser.add_argument("--without-fh", action="store_true")
    parser.add_argument("--deseasonalize", action="store_const", const=True)
    parser.add_argument("--set", nargs="+", type=parse_setting, default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "single_series.jsonl")
    args = parser.parse_args()
    args.set = dict(args.set)
    ignored = ("data_dir", "device", "results", "method")
    common = {k: v for k, v in vars(args).items() if k not in ignored}

    def recorded(names):
        runs = [{"name": name, **common} for name in names]
        measure, label = lambda own: run(args, own), lambda own: own["name"]
        return run_missing(args.results, runs, measure, label)

    records = list(recorded(args.method))
    if averaged_runs(args, common):
        records += recorded([AVERAGE])
    columns = ["name", "mase", "smape", "seconds_per_series"]
    table = pd.DataFrame(records)[columns]
    print(table.sort_values("mase").to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
