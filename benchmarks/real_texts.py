"""Does it help LLM-TS Net to be told what a series is? People's words for M1 and M3.

    python benchmarks/real_texts.py --data-dir DATA

Each series of these competitions has a description in people's words, such as
"Unemployment rate, women, 20 years and over". LLM-TS Net, one network for all series of
a period, gets these words; the template's sentences about the past; both; the words of
another series; or no text. Settings are those of `competitions.py`. The words of others
are a random permutation: many series share their words in M3 other (13 texts for 174
series) and monthly (863 for 1,428), and some get there what is true of them.

Errors are MASE, of the competition's test part, over several seeds; gains over no text
are paired by seed and series, with a bootstrap interval over both. Cold start: a third
of the series is kept from training, and `update` shows the network their first few
values and their text; the steps that follow are scored, with such intervals, too. A run
that is already in the results file is not repeated.
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing
from competitions import PERIODS, SEASON, panel, point_errors, read

from sktime_llm import LLMTSNetForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.datasets import Dataset
from sktime_llm.evaluation import Ablation, ablate
from sktime_llm.evaluation._bootstrap import gain_of
from sktime_llm.text.describers import Describer, TemplateDescriber

WORDS, TEMPLATE, BOTH = "people's words", "template", "both"
SHUFFLED, NO_TEXT = "words of another series", "no text"
OBSERVATIONS = (1, 2, 4, 8)


class BothDescriber(Describer):
    """Put people's words before the template's sentences."""

    def __init__(self, words: dict[str, str]) -> None:
        self.words = words

    def _describe(self, series) -> list[str]:
        sentences = TemplateDescriber()._describe(series)
        pairs = zip(series, sentences, strict=True)
        return [f"{self.words[one.name]}. {sentence}" for one, sentence in pairs]


def variants_of(words: dict[str, str], seed: int) -> dict[str, dict]:
    """Return the parameters by the name of the text."""
    mixed = np.random.default_rng(seed).permutation(list(words.values())).tolist()
    return {
        WORDS: {"descriptions": words},
        TEMPLATE: {},
        BOTH: {"describer": BothDescriber(words)},
        SHUFFLED: {"descriptions": dict(zip(words, mixed, strict=True))},
        NO_TEXT: {"text_fusion": False},
    }


def make_forecaster(args: argparse.Namespace, horizon: int) -> LLMTSNetForecaster:
    """Return the forecaster, without a text of its own."""
    return LLMTSNetForecaster(
        backbone=args.backbone,
        context_length=2 * horizon,
        prediction_length=horizon,
        intervals=None,
        max_epochs=args.epochs,
        cosine_epochs=args.epochs,
        learning_rate=1e-3,
        device=args.device,
        verbose=0,
    )


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Fit all variants, and return what `settings` asks for."""
    started = time.perf_counter()
    series = read(args.data_dir, settings["competition"], settings["period"])
    series = {name: series[name] for name in sorted(series)}  # as ablate numbers them
    about = read_words(args.data_dir, settings["competition"]).loc[list(series)]
    words = about["description"].to_dict()
    measure = errors_of_known if settings["start"] == "known" else errors_of_cold
    return {
        **measure(args, settings, series, about, words),
        "series": len(series),
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(resolve_device(args.device)),
    }


def read_words(data_dir: Path, competition: str) -> pd.DataFrame:
    """Return the description and the type of every series; M1 has types by number."""
    table = pd.read_csv(data_dir / f"{competition.lower()}_descriptions.csv")
    types = table["type"].str.strip().str.rstrip("0123456789")
    return table.assign(type=types).set_index("series")


def errors_of_known(args, settings: dict, series: dict, about, words) -> dict:
    """Compare all texts on the test part of series that training saw."""
    horizon = len(next(iter(series.values()))[1])
    whole = {name: [np.concatenate(parts), None] for name, parts in series.items()}
    name = f"{settings['competition']} {settings['period']}"
    data = Dataset(name, panel(whole), SEASON[settings["period"]], horizon)
    variants = variants_of(words, args.data_seed)
    forecaster = make_forecaster(args, horizon)
    found = ablate(forecaster, data, n_folds=1, seeds=args.seeds, variants=variants)
    # of series of one length, those with the first names count as the shorter ones
    lengths = pd.Series({name: len(train) for name, (train, _) in series.items()})
    groups = {
        "type": about["type"],
        "length": lengths.rank(method="first", pct=True).map(_third),
    }
    return {
        **summary_of(found),
        "by": {
            kind: {
                group: summary_of(part_of(found, (of_series == group).to_numpy()))
                for group in sorted(of_series.unique())
            }
            for kind, of_series in groups.items()
        },
        "fit_seconds": found.costs["fit_seconds"].round(1).to_dict(),
    }


def _third(rank: float) -> str:
    return "shortest third" if rank <= 1 / 3 else "others"


def part_of(ablation: Ablation, kept: np.ndarray) -> Ablation:
    """Keep some of the series."""
    errors = ablation.errors
    return Ablation(ablation.name, errors[kept[errors["series"]]], ablation.costs)


def summary_of(ablation: Ablation) -> dict:
    """Return MASE by text, and what each gains over none, in percent."""
    errors, gains = ablation.errors, {}
    for name in ablation.variants[:-1]:
        pair = [name, NO_TEXT]
        kept = errors[errors["variant"].isin(pair)]
        effect = Ablation(ablation.name, kept, ablation.costs.loc[pair]).effects()
        gains[name] = effect.loc[NO_TEXT, ["gain", "lower", "upper"]].to_dict()
    mase = errors.groupby("variant", sort=False)["MASE"].mean().to_dict()
    return {"n": int(errors["series"].nunique()), "mase": mase, "gain": gains}


def errors_of_cold(args, settings: dict, series: dict, about, words) -> dict:
    """Forecast series that training never saw, from their first values and a text."""
    season = SEASON[settings["period"]]
    names = np.random.default_rng(args.data_seed).permutation(list(series)).tolist()
    cold = names[: len(names) // 3]
    known = {name: parts for name, parts in series.items() if name not in set(cold)}
    errors: dict[int, dict[str, list]] = {n: {} for n in OBSERVATIONS}
    for variant, own in variants_of(words, args.data_seed).items():
        given = own.get("descriptions")
        if given is not None:
            own = {"descriptions": {name: given[name] for name in known}}
        for seed in args.seeds:
            forecaster = make_forecaster(args, len(next(iter(known.values()))[1]))
            forecaster.set_params(**own, random_state=seed).fit(panel(known))
            for n in OBSERVATIONS:
                found = cold_errors(forecaster, given, series, cold, n, season)
                errors[n].setdefault(variant, []).append(found)
    for n in OBSERVATIONS:
        parts = first_values(series, cold, n)
        last = np.stack([np.full_like(test, old[-1]) for old, test in parts.values()])
        errors[n]["last value"] = [scaled_errors(series, parts, last, season)]
    means = {
        str(n): {name: np.mean(runs, axis=1).tolist() for name, runs in own.items()}
        for n, own in errors.items()
    }
    return {
        "mase_of_seeds": means,
        "gain": {str(n): gains_of(own) for n, own in errors.items()},
        "cold_series": len(cold),
    }


def gains_of(errors: dict[str, list]) -> dict[str, dict]:
    """Return what texts gain over none, and own words over others', in percent."""
    stacked = {name: np.stack(own)[:, None] for name, own in errors.items()}
    pairs = {name: (name, NO_TEXT) for name in (WORDS, TEMPLATE, BOTH, SHUFFLED)}
    pairs[f"{WORDS} over {SHUFFLED}"] = (WORDS, SHUFFLED)
    found = {}
    for label, (name, other) in pairs.items():
        gain = gain_of(stacked[name], stacked[other])
        found[label] = {"gain": gain.mean, "lower": gain.lower, "upper": gain.upper}
    return found


def first_values(series: dict, names: list[str], n: int) -> dict:
    """Return the first `n` values of series, and the steps after that are forecast."""
    parts = {}
    for name in names:
        values = np.concatenate(series[name])
        parts[name] = [values[:n], values[n : n + len(series[name][1])]]
    return parts


def cold_errors(
    forecaster, given, series: dict, names, n: int, season: int
) -> np.ndarray:
    """Return MASE of forecasts after the first `n` values of new series, by series."""
    parts = first_values(series, names, n)
    horizon = len(next(iter(parts.values()))[1])
    forecaster = copy.deepcopy(forecaster)
    forecaster.descriptions = given  # of all series, where fit got those of some
    forecaster.update(panel(parts), update_params=False)
    y_pred = forecaster.predict(fh=range(1, horizon + 1))["value"]
    forecasts = np.stack([y_pred.loc[name].to_numpy() for name in names])
    return scaled_errors(series, parts, forecasts, season)


def scaled_errors(series: dict, parts: dict, forecasts, season: int) -> np.ndarray:
    """Return MASE by series, scaled by the seasonal changes of the whole past."""
    found = []
    for (name, (_, test)), forecast in zip(parts.items(), forecasts, strict=True):
        whole = {name: [series[name][0], test]}
        found.append(point_errors(whole, forecast[None], season)["mase"])
    return np.array(found)


def main() -> None:
    """Run what is not in the results yet; print errors and gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--competition", choices=["M1", "M3"], default="M3")
    parser.add_argument("--period", choices=PERIODS["M3"], nargs="+")
    starts = ["known", "cold"]
    parser.add_argument("--start", choices=starts, nargs="+", default=starts)
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "real_texts.jsonl")
    args = parser.parse_args()
    periods = PERIODS[args.competition]
    if unknown := set(args.period or ()) - set(periods):
        parser.error(f"got --period {unknown}, {args.competition} has {periods}")
    kept = ("competition", "backbone", "epochs", "seeds", "data_seed")
    common = {name: getattr(args, name) for name in kept}
    runs = [
        {**common, "period": period, "start": start}
        for period in args.period or PERIODS[args.competition]
        for start in args.start
    ]
    for record in run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['period']}, {settings['start']}",
    ):
        print(f"{record['competition']} {record['period']}, {record['start']}")
        show(record)


def show(record: dict) -> None:
    """Print errors, and gains over no text or errors by the values seen."""
    if record["start"] == "cold":
        means = pd.DataFrame(record["mase_of_seeds"]).map(np.mean)
        print(means.T.to_string(float_format="%.3f"), flush=True)
        return
    for name, mase in record["mase"].items():
        gain = record["gain"].get(name)
        bounds = f"{gain['lower']:.1f} to {gain['upper']:.1f} %" if gain else ""
        beside = f", gain {gain['gain']:+.1f} % ({bounds})" if gain else ""
        print(f"  {name}: MASE {mase:.3f}{beside}", flush=True)


if __name__ == "__main__":
    main()
