"""Forecasts without training, by networks pretrained on other series, one a period.

    python benchmarks/pretrained_start.py --data-dir DATA --networks NETWORKS

A network is pretrained on the training parts of the yearly, quarterly or monthly series
of M1 and Tourism. It forecasts M3's series of that period, and five data sets that come
with sktime, without training on them and after a few epochs. Another is pretrained on
M3's, and forecasts the 100 series of M1 and Tourism that `single_series.py` draws, each
by itself. Series that share a part with what is forecast are left out of pretraining:
M3 has many of M1's, and one of these is airline. Data sets are scored as by
``sktime-llm compare``: mean MASE over three folds of each. Settings are those that
`competitions.py` chose on M3's validation part. Networks are kept in the folder
NETWORKS; one that is there is not pretrained again. A run that is already in the
results file is not repeated.

With ``--simulated`` networks learn from simulated series and from short pieces, too,
see a longer context and take more steps; the data sets are then forecast by networks
that know M3 as well. ``--part validation`` is what chooses between them: M3's last
blocks of training parts, and the yearly sunspots since 1700. Of some monthly series of
M3 all methods see the last two or three years alone.
"""

import argparse
import time
import warnings
from pathlib import Path

import competitions
import numpy as np
import pandas as pd
from _questions import FIVE, SINGLE
from _records import RESULTS, provenance, run_missing
from _simulated import PIECES, piece, simulate
from competitions import (
    CALF_ALONE,
    SEASON,
    hold_out,
    panel,
    point_errors,
    read,
    sharing_nothing,
)
from single_series import FREQUENCIES, draw
from sktime.forecasting.compose import EnsembleForecaster

from sktime_llm import BALMTSFForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.datasets import load_dataset
from sktime_llm.evaluation import compare_forecasters, default_forecasters

HORIZONS = {"yearly": 6, "quarterly": 8, "monthly": 18}
SETS = {
    "airline": "monthly",
    "lynx": "yearly",
    "shampoo_sales": "monthly",
    "pbs": "monthly",
    "us_consumption": "quarterly",
}
OTHERS, M3 = ("M1", "Tourism"), ("M3",)
SUNSPOTS = "sunspots"
# what `single_series.py` draws by default
DRAWN = {
    "competition": list(OTHERS),
    "n_series": 100,
    "draw_seed": 0,
}
# so that M3's monthly series, which have most windows, take minutes
SHORT_EPOCHS = {"steps_per_epoch": 100, "max_validation_windows": 2000}
# with simulated series: how many, the context, and the training
N_SIMULATED = {"yearly": 1000, "quarterly": 1000, "monthly": 6000}
LONGER = {"yearly": 24, "quarterly": 24, "monthly": 48}
LONG_EPOCHS = {"steps_per_epoch": 300, "max_validation_windows": 3000}
# such a CALF has no second copy, which only its two other losses need
TASK_ALONE = {"consistency_loss_weight": 0, "feature_loss_weight": 0}
BY_PERIOD = tuple(f"M3 {period}" for period in HORIZONS)
# of 300 of M3's monthly series, drawn once, only the last values are known
SHORT = {f"M3 monthly, {n} values": n for n in (24, 36)}
N_SHORT = 300
TARGETS = {
    "test": (*BY_PERIOD, *SHORT, FIVE, SINGLE),
    "validation": (*BY_PERIOD, *SHORT, SUNSPOTS, SINGLE),
}
QUICK = ["CALF without language model", "LLM-TS Net without text"]
MEANS = {
    "both without language model": QUICK,
    "both": ["CALF", "LLM-TS Net"],
    "CALF without language model and AutoARIMA": [QUICK[0], "auto-arima"],
    "CALF and AutoARIMA": ["CALF", "auto-arima"],
    # LLM-TS Net is trained on each series, with its defaults
    "CALF without language model and LLM-TS Net": [QUICK[0], "llm-ts-net"],
    "CALF without language model and LLM-TS Net without text": [
        QUICK[0],
        "llm-ts-net-no-llm",
    ],
}
METHODS = {name: of for name, of in competitions.METHODS.items() if len(of) == 1}
METHODS["BALM-TSF without language model"] = [
    (BALMTSFForecaster, {"backbone_mode": "none"})
]
CLASSICAL = ("auto-arima", "auto-ets", "theta", "seasonal-naive")
OURS = ("llm-ts-net", "llm-ts-net-no-llm")


def make(args: argparse.Namespace, method: str, period: str, **own):
    """Return a forecaster of one network, untrained."""
    ((forecaster_class, its),) = METHODS[method]
    horizon, context = HORIZONS[period], 2 * HORIZONS[period]
    if args.simulated:
        context = LONGER[period]
        own |= TASK_ALONE if forecaster_class is CALF_ALONE[0] else {}
    return forecaster_class(
        backbone=args.backbone,
        context_length=context,
        prediction_length=horizon,
        intervals=None,
        learning_rate=1e-3,
        max_epochs=args.epochs,
        cosine_epochs=args.epochs,
        random_state=args.seed,
        device=args.device,
        verbose=0,
        **its,
        **own,
    )


def started(
    args: argparse.Namespace,
    settings: dict,
    period: str,
    learned: tuple[str, ...],
    season: int | None = None,
) -> list:
    """Return the forecasters of a method: fitted to each, or pretrained networks."""
    method, forecasters = settings["method"], []
    own = {"random_state": args.seed, "device": args.device, "verbose": 0}
    for name in MEANS.get(method, [method]):
        if name in (*CLASSICAL, *OURS):
            made = default_forecasters(season or SEASON[period], [name], **own)
            forecasters += made.values()
            continue
        start = {"checkpoint": pretrained(args, name, period, learned)}
        start["fine_tune_epochs"] = settings["fine_tune_epochs"]
        forecasters.append(make(args, name, period, **start))
    return forecasters


def pretrained(
    args: argparse.Namespace, method: str, period: str, learned: tuple[str, ...]
) -> Path:
    """Return the folder of a network of competitions, pretrained unless it is there."""
    name = f"{method} {Path(args.backbone).name} {period} {args.epochs} {args.seed}"
    if learned != OTHERS:
        name = f"{' '.join(learned)} {name}"
    if args.simulated:
        name = f"{name} simulated {args.pieces[period]} pieces"
    # others are drawn, and what they share with M3 is left out
    part = args.part if learned == M3 else "test"
    if part != "test":
        name = f"{name} {part}"
    folder = args.networks / name.replace(" ", "-").lower()
    if not folder.exists():
        parts = pretraining_series(args.data_dir, period, learned, part)
        limits = SHORT_EPOCHS if learned == M3 else {}
        if args.simulated:
            limits, n_pieces = LONG_EPOCHS, args.pieces[period]
            parts = with_simulated(parts, period, n_pieces, args.seed)
        forecaster = make(args, method, period, **limits)
        forecaster.pretrain(panel(parts)).save_pretrained(folder)
    return folder


def pretraining_series(
    data_dir: Path, period: str, learned: tuple[str, ...], part: str
) -> dict[str, list[np.ndarray]]:
    """Return the series of competitions that share no part with what is forecast."""
    targets = [[load_dataset(name).y.to_numpy()] for name in SETS]
    if learned == M3:
        targets = [parts for of, _, parts in drawn(data_dir, part) if of == period]
    elif learned == OTHERS:
        targets += list(read(data_dir, "M3", period).values())
    return {
        f"{competition} {name}": parts
        for competition in learned
        for name, parts in sharing_nothing(
            read(data_dir, competition, period), targets
        ).items()
    }


def with_simulated(
    series: dict[str, list[np.ndarray]], period: str, n_pieces: int, seed: int
) -> dict[str, list[np.ndarray]]:
    """Return whole series, simulated ones, and short pieces of each of them."""
    rng, season = np.random.default_rng(seed), SEASON[period]
    whole = {name: np.concatenate(parts) for name, parts in series.items()}
    for i in range(N_SIMULATED[period]):
        whole[f"simulated {i}"] = simulate(season, rng)
    lengths = season, LONGER[period], HORIZONS[period]
    pieces = {
        f"{name}, piece {i}": piece(values, *lengths, rng)
        for i in range(n_pieces)
        for name, values in whole.items()
    }
    return {name: [values, None] for name, values in {**whole, **pieces}.items()}


def drawn(data_dir: Path, part: str) -> list[tuple[str, str, list[np.ndarray]]]:
    """Return the period, the name and the two parts of each of the single series."""
    return draw(argparse.Namespace(data_dir=data_dir, part=part, **DRAWN))


def errors_on_panel(args: argparse.Namespace, settings: dict) -> dict:
    """Forecast series of M3 of one period, or the sunspots of three centuries."""
    target = settings["target"]
    if target == SUNSPOTS:
        period, series = "yearly", sunspots()
    else:
        period = "monthly" if target in SHORT else target.split()[1]
        series = read(args.data_dir, "M3", period)
        series = hold_out(series) if args.part == "validation" else series
    known = series
    if target in SHORT:
        names = np.random.default_rng(0).permutation(sorted(series))[:N_SHORT]
        series = {name: series[name] for name in names}
        known = {name: [own[-SHORT[target] :], 0] for name, (own, _) in series.items()}
    forecasters = started(args, settings, period, OTHERS)
    begin, forecasts = time.perf_counter(), []
    fh = range(1, 1 + len(next(iter(series.values()))[1]))
    for forecaster in forecasters:
        y_pred = forecaster.fit(panel(known)).predict(fh)["value"]
        forecasts.append(np.stack([y_pred.loc[name].to_numpy() for name in series]))
    errors = point_errors(series, np.mean(forecasts, axis=0), SEASON[period])
    return {**errors, "seconds": round(time.perf_counter() - begin, 1)}


def sunspots() -> dict[str, list[np.ndarray]]:
    """Return the yearly sunspots up to the end of each decade, and the decade after."""
    from statsmodels.datasets import sunspots

    values = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
    ends = range(100, len(values) - 10, 10)
    return {str(1700 + n): [values[:n], values[n : n + 10]] for n in ends}


def errors_on_single(args: argparse.Namespace, settings: dict) -> dict:
    """Forecast single series of M1 and Tourism, each by itself."""
    rows, seconds = [], 0.0
    for period, name, (train, test) in drawn(args.data_dir, args.part):
        forecasters = started(args, settings, period, M3)
        begin = time.perf_counter()
        index = pd.period_range("1950-01", periods=len(train), freq=FREQUENCIES[period])
        past, fh = pd.Series(train, index=index), range(1, len(test) + 1)
        found = [each.fit(past, fh=fh).predict().to_numpy() for each in forecasters]
        mean = np.mean(found, axis=0)
        errors = point_errors({name: [train, test]}, mean[None], SEASON[period])
        rows.append({"series": name, "period": period, **errors})
        seconds += time.perf_counter() - begin
    table = pd.DataFrame(rows)
    return {
        **table.drop(columns=["series", "period"]).mean().to_dict(),
        "mase_by_period": table.groupby("period")["mase"].mean().to_dict(),
        "mase_of_each": table.set_index("series")["mase"].round(5).to_dict(),
        "seconds": round(seconds, 1),
    }


def errors_on_sets(args: argparse.Namespace, settings: dict) -> dict:
    """Compare on the data sets that come with sktime."""
    method, mase, times = settings["method"], {}, []
    learned = ("M1", "M3", "Tourism") if args.simulated else OTHERS
    for name, period in SETS.items():
        data = load_dataset(name)
        forecasters = started(args, settings, period, learned, data.seasonal_period)
        named = [(str(i), forecaster) for i, forecaster in enumerate(forecasters)]
        mean = EnsembleForecaster(named) if len(named) > 1 else forecasters[0]
        comparison = compare_forecasters(data, {method: mean})
        (scores,) = comparison.scores.to_dict(orient="records")
        mase[name] = scores["MASE"]
        times.append(scores["fit_seconds"] + scores["predict_seconds"])
    mean = float(np.mean(list(mase.values())))
    return {"mase": mean, "mase_of_sets": mase, "seconds": round(float(sum(times)), 1)}


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Return the errors of a start on a target."""
    measures = {FIVE: errors_on_sets, SINGLE: errors_on_single}
    measure = measures.get(settings["target"], errors_on_panel)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = measure(args, settings)
    return {**found, **provenance(resolve_device(args.device))}


def main() -> None:
    """Run what is not in the results yet, and print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument(
        "--method",
        choices=[*METHODS, *MEANS],
        nargs="+",
        default=QUICK,
        metavar="METHOD",
    )
    every = dict.fromkeys(target for of in TARGETS.values() for target in of)
    parser.add_argument("--target", choices=every, nargs="+", metavar="TARGET")
    parser.add_argument("--part", choices=TARGETS, default="test")
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument(
        "--pieces", type=int, help="pieces of each series, instead of those chosen"
    )
    parser.add_argument("--fine-tune-epochs", type=int, nargs="+", default=[0, 3])
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "pretrained_start.jsonl"
    )
    args = parser.parse_args()
    targets = args.target or TARGETS[args.part]
    if unknown := sorted(set(targets) - set(TARGETS[args.part])):
        parser.error(f"the part {args.part} has no {', '.join(unknown)}")
    fitted = [name for name in args.method if set(OURS) & set(MEANS.get(name, []))]
    if fitted and (panels := sorted(set(targets) - {FIVE, SINGLE})):
        # a network that is trained on all their series would know what is to come
        parser.error(f"{fitted[0]} is not for {', '.join(panels)}")
    common = {name: getattr(args, name) for name in ("backbone", "epochs", "seed")}
    # None, and so not in the records of before there was a choice
    common["simulated"] = args.simulated or None
    if args.pieces is not None:
        args.pieces = dict.fromkeys(HORIZONS, args.pieces)
    args.pieces = args.pieces or PIECES
    common["pieces"] = args.pieces if args.simulated else None
    common["part"] = None if args.part == "test" else args.part
    runs = [
        {"target": target, "method": method, "fine_tune_epochs": epochs, **common}
        for target in targets
        for method in args.method
        for epochs in args.fine_tune_epochs
    ]
    runs += [
        {"target": target, "method": method, "part": common["part"]}
        for target in targets
        if target in (FIVE, *SHORT)
        for method in CLASSICAL
    ]
    for record in run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['target']}, {settings['method']}",
    ):
        epochs = record.get("fine_tune_epochs")
        start = record["method"] + (f", {epochs} epochs" if epochs is not None else "")
        found = f"MASE {record['mase']:.3f}, {record['seconds']:.1f} s"
        print(f"{record['target']}, {start}: {found}", flush=True)


if __name__ == "__main__":
    main()
