"""Traffic at the sensors of a road network: 12 steps of 5 minutes in, up to 12 out.

The first 80 % of the rows are for training. A test window lies wholly in the others;
the last window is left out, as in the published code of T-GCN (arXiv 1811.05320).
Errors are in miles per hour, for PeMS in vehicles, over every window, sensor and step
up to the horizon that has a reading.

    python benchmarks/traffic.py --data-dir DATA --missing 0 0.1 0.4
    python benchmarks/traffic.py --data-dir DATA --dataset PeMS08

Some networks know more: the time of the day, as covariates, or the level of a window
(``level_input``). The files keep their published names: los_speed.csv, PEMS08.npz,
metr-la.h5. With `--missing`, that share of the readings is hidden at random, in the
training part and in the contexts; the forecasts are held against the true readings. A
run that is already in the results file, with the same settings, is not repeated.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _records import RESULTS, provenance, run_missing
from _tables import numbers, published
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit

from sktime_llm import LLMTSNetForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.datasets import load_dcrnn, load_los_loop, load_pems
from sktime_llm.training.rollout import roll_forward

CONTEXT_LENGTH = 12
MAX_STEPS = 12
STEPS_PER_DAY = 288
PACKAGES = ("numpy", "pandas", "peft", "scikit-learn", "torch", "transformers")
# File and loader of each data set.
DATASETS = {
    "Los-loop": ("los_speed.csv", load_los_loop),
    "PeMS03": ("PEMS03.npz", partial(load_pems, "PeMS03")),
    "PeMS04": ("PEMS04.npz", partial(load_pems, "PeMS04")),
    "PeMS07": ("PEMS07.npz", partial(load_pems, "PeMS07")),
    "PeMS08": ("PEMS08.npz", partial(load_pems, "PeMS08")),
    "METR-LA": ("metr-la.h5", partial(load_dcrnn, "METR-LA")),
    "PEMS-BAY": ("pems-bay.h5", partial(load_dcrnn, "PEMS-BAY")),
}


@dataclass(frozen=True)
class Task:
    """What a method may see: readings, NaN where hidden, and where the windows are.

    `observed` is a table of (time, sensor) from midnight on, its first `n_train` rows
    for training; `starts` are the rows at which the contexts of the windows begin.
    """

    observed: pd.DataFrame
    n_train: int
    starts: np.ndarray
    horizon: int
    missing: float
    seed: int
    device: torch.device

    @cached_property
    def filled(self) -> np.ndarray:
        """Readings without gaps: the last one before, at the very start the next."""
        return self.observed.ffill().bfill().to_numpy()

    def contexts(self, values: np.ndarray) -> np.ndarray:
        """Return the contexts of all windows, (window, time, sensor)."""
        return values[self.starts[:, None] + np.arange(CONTEXT_LENGTH)]

    def targets(self, values: np.ndarray) -> np.ndarray:
        """Return what follows each context, (window, time, sensor)."""
        return values[self.target_rows]

    @property
    def target_rows(self) -> np.ndarray:
        """Rows to be forecast, (window, time)."""
        return self.starts[:, None] + CONTEXT_LENGTH + np.arange(self.horizon)


def make_task(
    table: pd.DataFrame, horizon: int, missing: float, seed: int, device: torch.device
) -> Task:
    """Split the table, place the windows, and hide a share of the readings."""
    n_train = int(0.8 * len(table))
    last = len(table) - CONTEXT_LENGTH - horizon
    hidden = np.random.default_rng(seed).random(table.shape) < missing
    starts = np.arange(n_train, last)
    return Task(table.mask(hidden), n_train, starts, horizon, missing, seed, device)


def last_value(task: Task) -> np.ndarray:
    """The last reading of each sensor, at every step."""
    last = task.contexts(task.filled)[:, -1:]
    return np.repeat(last, task.horizon, axis=1)


def historical_average(task: Task) -> np.ndarray:
    """Mean of the training part for this sensor at this time of the day."""
    train = pd.DataFrame(task.filled[: task.n_train])
    means = train.groupby(train.index % STEPS_PER_DAY).mean().to_numpy()
    return means[task.target_rows % STEPS_PER_DAY]


def ridge_per_sensor(task: Task) -> np.ndarray:
    """Change since the last reading, linear in the context of the same sensor."""
    past, future = training_windows(task)
    changes = future - past[:, -1:]
    contexts = task.contexts(task.filled)
    forecasts = [
        fit_ridge(past[..., i], changes[..., i]).predict(contexts[..., i])
        for i in range(past.shape[2])
    ]
    return np.stack(forecasts, axis=2) + contexts[:, -1:]


def ridge_all_sensors(task: Task) -> np.ndarray:
    """Change since the last reading, linear in all contexts: a direct, ridge VAR."""
    past, future = training_windows(task)
    contexts = task.contexts(task.filled)
    model = fit_ridge(flat(past), flat(future - past[:, -1:]))
    changes = model.predict(flat(contexts)).reshape(len(contexts), *future.shape[1:])
    return changes + contexts[:, -1:]


def ridge_time_of_day(task: Task) -> np.ndarray:
    """Change linear in the context, in a wave a day, and in it times the last value."""
    past, future = training_windows(task)
    changes, contexts = future - past[:, -1:], task.contexts(task.filled)

    def known(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
        times = waves(starts)
        return np.hstack([values, 100 * times, values[:, -1:] * times])

    forecasts = []
    for i in range(past.shape[2]):
        own = known(past[..., i], np.arange(len(past)))
        model = fit_ridge(own, changes[..., i])
        forecasts.append(model.predict(known(contexts[..., i], task.starts)))
    return np.stack(forecasts, axis=2) + contexts[:, -1:]


def waves(rows: np.ndarray) -> np.ndarray:
    """Return a wave a day, its sine and cosine, at rows from midnight on."""
    angles = 2 * np.pi * rows / STEPS_PER_DAY
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1)


def training_windows(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """All pasts and futures in the training part, (window, time, sensor)."""
    train = task.filled[: task.n_train]
    windows = sliding_window_view(train, CONTEXT_LENGTH + task.horizon, axis=0)
    windows = windows.transpose(0, 2, 1)
    return windows[:, :CONTEXT_LENGTH], windows[:, CONTEXT_LENGTH:]


def fit_ridge(past: np.ndarray, future: np.ndarray) -> GridSearchCV:
    """Fit with the penalty that is best on the last fifth of the windows."""
    fold = np.where(np.arange(len(past)) < 0.8 * len(past), -1, 0)
    search = GridSearchCV(
        Ridge(),
        {"alpha": np.logspace(2, 7, 6)},
        cv=PredefinedSplit(fold),
        scoring="neg_mean_squared_error",
    )
    return search.fit(past, future)


def flat(windows: np.ndarray) -> np.ndarray:
    """Join time and sensor into one axis."""
    return windows.reshape(len(windows), -1)


# What every network is trained with. Published for LLM-TS Net: context 12, MAE on the
# data's scale, Adam; width, depth and epochs are not stated.
NETWORK = {
    "context_length": CONTEXT_LENGTH,
    "prediction_length": MAX_STEPS,
    "patch_length": 4,
    "d_model": 32,
    "d_ff": 64,
    "n_blocks": 1,
    "n_selected_prompts": 1,
    "standardize": False,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "max_epochs": 8,
    "cosine_epochs": 8,
    "validation_fraction": 0.2,
    "verbose": 0,
}


class NetworkMethod:
    """LLM-TS Net with some parameters; trained once for all horizons."""

    def __init__(self, *, time_of_day: bool = False, **parameters) -> None:
        self.time_of_day, self.parameters = time_of_day, parameters
        self._trained: dict[tuple[int, float], LLMTSNetForecaster] = {}

    def __call__(self, task: Task) -> np.ndarray:
        key = (task.seed, task.missing)
        if key not in self._trained:
            y, X = task.observed.iloc[: task.n_train], None
            if self.time_of_day:
                X = pd.DataFrame(waves(np.arange(len(y))), y.index, ["sine", "cosine"])
            self._trained[key] = LLMTSNetForecaster(
                **{**NETWORK, **self.parameters},
                intervals=None,
                random_state=task.seed,
                device=str(task.device),
            ).fit(y, X=X)
        known = self._trained[key]._known
        (scaling,) = known.scalings.values()
        contexts, covariates = scaling.apply(task.observed.to_numpy()), None
        rows = task.starts[:, None] + np.arange(CONTEXT_LENGTH + MAX_STEPS)
        if self.time_of_day:
            (of_waves,) = known.covariates.scalings.values()
            covariates = tensor(of_waves.apply(waves(rows)), task)
        forecast = roll_forward(
            self._trained[key].network_,
            tensor(task.contexts(contexts), task),
            MAX_STEPS,
            batch_size=64,
            series=torch.full((len(rows),), known.numbers[None], device=task.device),
            covariates=covariates,
        ).mean
        return scaling.undo(forecast.cpu().numpy())[:, : task.horizon]


def tensor(values: np.ndarray, task: Task) -> torch.Tensor:
    """Return values on the device of a task, in float32."""
    return torch.from_numpy(values.astype(np.float32)).to(task.device)


@dataclass(frozen=True)
class Method:
    """A function from a task to forecasts, (window, time, sensor).

    One that trains a network runs on the device asked for, once for each seed.
    """

    forecast: Callable[[Task], np.ndarray]
    is_network: bool = False


METHODS = {
    "last value": Method(last_value),
    "historical average": Method(historical_average),
    "ridge per sensor": Method(ridge_per_sensor),
    "ridge, all sensors": Method(ridge_all_sensors),
    "ridge per sensor, time of day": Method(ridge_time_of_day),
    "LLM-TS Net": Method(NetworkMethod(), is_network=True),
    "with uncertainty": Method(NetworkMethod(uncertainty=True), is_network=True),
    "with squared error": Method(NetworkMethod(task_loss="mse"), is_network=True),
    "without text": Method(NetworkMethod(text_fusion=False), is_network=True),
    "without pool": Method(NetworkMethod(prompt_pool=False), is_network=True),
    "without inter-series": Method(
        NetworkMethod(inter_series_attention=False), is_network=True
    ),
}
# networks that know the level, the time of the day, or both
FURTHER = {
    "level": {"level_input": True},
    "time of day": {"time_of_day": True},
    "level and time of day": {"level_input": True, "time_of_day": True},
}
METHODS |= {
    f"with {', '.join([*squared, name, *without])}": Method(
        NetworkMethod(**own, **squared_error, **without_text), is_network=True
    )
    for squared, squared_error in (([], {}), (["squared error"], {"task_loss": "mse"}))
    for name, own in FURTHER.items()
    for without, without_text in (([], {}), (["without text"], {"text_fusion": False}))
}


def run(table: pd.DataFrame, settings: dict, device_name: str) -> dict:
    """Forecast every test window once; return the errors and how they came about."""
    is_network = METHODS[settings["method"]].is_network
    device = resolve_device(device_name if is_network else "cpu")
    seed = settings["seed"] or 0
    task = make_task(table, settings["horizon"], settings["missing"], seed, device)
    started = time.perf_counter()
    forecasts = METHODS[settings["method"]].forecast(task)
    seconds = time.perf_counter() - started
    errors = forecasts - task.targets(table.to_numpy())
    return {
        "test_windows": len(task.starts),
        "rmse": float(np.sqrt(np.nanmean(np.square(errors)))),
        "mae": float(np.nanmean(np.abs(errors))),
        "seconds": round(seconds, 2),
        **provenance(device, PACKAGES),
    }


def settings_of_runs(args: argparse.Namespace) -> list[dict]:
    """All runs that were asked for; the seed is None where nothing is random."""
    return [
        {
            "dataset": args.dataset,
            "method": name,
            "context_length": CONTEXT_LENGTH,
            "horizon": horizon,
            "missing": missing,
            "seed": seed,
        }
        for missing in args.missing
        for name in args.method
        for horizon in args.horizon
        for seed in (args.seed if METHODS[name].is_network or missing else [None])
    ]


def report(records: list[dict], dataset: str, horizons: list[int]) -> None:
    """Print RMSE and MAE by method and horizon, means over the seeds."""
    table = pd.DataFrame(records)
    for missing, part in table.groupby("missing", sort=False):
        unit = "vehicles" if dataset.startswith("PeMS") else "mph"
        hidden = f"{missing:.0%} of the readings hidden"
        print(f"\n{dataset}, {hidden}, RMSE / MAE in {unit}")
        print(" " * 68 + "".join(f"{f'H={h}':>26}" for h in horizons))
        for method, runs in part.groupby("method", sort=False):
            print_row(method, [cell(runs[runs["horizon"] == h]) for h in horizons])
        if not missing:
            for name, cells in published_rows(dataset, horizons).items():
                print_row(f"{name}, published", cells)


def published_rows(dataset: str, horizons: list[int]) -> dict[str, list[str]]:
    """Return RMSE and MAE by horizon of what was published of a data set."""
    table = pd.DataFrame(
        {(h, m): published(dataset, h, m) for h in horizons for m in ("RMSE", "MAE")}
    )
    return {
        name: [numbers(*row[h], digits=2) for h in horizons]
        for name, row in table.iterrows()
    }


def print_row(name: str, cells: list[str]) -> None:
    """Print one line of the table."""
    print(f"{name:<68}" + "".join(f"{text:>26}" for text in cells))


def cell(runs: pd.DataFrame) -> str:
    """Mean over the seeds, and the standard deviation if there are several."""
    means = runs[["rmse", "mae"]].mean()
    if len(runs) == 1:
        return " / ".join(f"{mean:.2f}" for mean in means)
    spread = runs[["rmse", "mae"]].std()
    return " / ".join(f"{m:.2f} ± {s:.2f}" for m, s in zip(means, spread, strict=True))


def main() -> None:
    """Run all that is not in the results yet, and print the whole table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--dataset", choices=DATASETS, default="Los-loop")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--horizon", type=int, nargs="+", default=[3, 6, 9, 12])
    parser.add_argument("--missing", type=float, nargs="+", default=[0.0])
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto", help="for methods with a network")
    parser.add_argument("--results", type=Path, default=RESULTS / "traffic.jsonl")
    args = parser.parse_args()
    file, load = DATASETS[args.dataset]
    table = load(args.data_dir / file)
    records = run_missing(
        args.results,
        runs=settings_of_runs(args),
        measure=lambda settings: run(table, settings, args.device),
        label=lambda run: f"{run['method']}, {run['missing']:.0%} hidden",
    )
    report(list(records), args.dataset, args.horizon)


if __name__ == "__main__":
    main()
