"""Does LLM-TS Net use what a text says? Simulated series whose answer is in the text.

    python benchmarks/simulated_text.py

Every series is noise around a level. A pulse announces a break, six steps later, after
which the level is higher or lower; nothing but a sentence about the series tells which.
Two thirds of the series have had their break, the others have it where the forecast
begins. No sentence is given twice: those of the others are in other words, which only
knowledge of the language connects with what was seen in training.

``ablate`` compares LLM-TS Net with and without text, over seeds and the series whose
break is to be forecast. Texts are ``true``; or ``shuffled`` among the series, so that
they tell nothing; or ``redundant``: true, but the pulse has the direction of the break,
so that the numbers tell it as well. The best possible error is that of the noise. A run
that is already in the results file is not repeated.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing

from sktime_llm import LLMTSNetForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.datasets import Dataset
from sktime_llm.evaluation import Ablation, ablate

LENGTH, CONTEXT, HORIZON, LEAD, BREAK = 72, 12, 6, 6, 3.0
TEXTS = ("true", "shuffled", "redundant")
VARIANTS = {
    "pretrained": {},
    "random weights": {"backbone_mode": "random"},
    "no text": {"text_fusion": False},
}
SUBJECTS = {
    "seen": ["Sales", "Visits", "Demand", "Orders", "Bookings", "Deliveries"],
    "new": ["Revenue", "Traffic", "Consumption", "Shipments"],
}
OUTCOMES = {
    ("seen", 1): ["increase", "go up", "climb", "rise to a higher level", "grow"],
    ("seen", -1): ["decrease", "go down", "sink", "drop to a lower level", "shrink"],
    ("new", 1): ["will be much higher", "jump upward", "gain strongly"],
    ("new", -1): ["will be much lower", "plunge downward", "lose strongly"],
}
OCCASIONS = {
    "seen": ["after the signal", "once the change comes", "six weeks after the notice"],
    "new": ["when the announced event arrives", "following the alert"],
}


def sentences(kind: str, sign: int) -> list[str]:
    """Return all sentences of a kind that announce one direction."""
    return [
        f"{subject} {outcome} {occasion}."
        for subject in SUBJECTS[kind]
        for outcome in OUTCOMES[kind, sign]
        for occasion in OCCASIONS[kind]
    ]


def simulate(
    n_series: int, seed: int, *, pulse_tells: bool = False
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return a panel and the sentence of every series.

    With `pulse_tells`, the pulse has the direction of the break.
    """
    rng = np.random.default_rng(seed)
    texts = {key: iter(rng.permutation(sentences(*key)).tolist()) for key in OUTCOMES}
    columns, descriptions = {}, {}
    for i in range(n_series):
        kind = "new" if i % 3 == 2 else "seen"
        sign = 1 if i // 3 % 2 else -1
        start = LENGTH - HORIZON
        if kind == "seen":
            start = int(rng.integers(CONTEXT + LEAD, LENGTH - 2 * HORIZON))
        values = rng.normal(scale=0.3, size=LENGTH)
        values[start - LEAD] += 2 * BREAK * (sign if pulse_tells else 1)
        values[start:] += sign * BREAK
        key = f"{i:03} {kind}"  # ablate numbers series by their sorted names
        columns[key], descriptions[key] = values, next(texts[kind, sign])
    table = pd.DataFrame(columns).rename_axis(index="t", columns="series")
    return table.T.stack().to_frame("value"), descriptions


def shuffled(descriptions: dict[str, str], seed: int) -> dict[str, str]:
    """Give the sentences of a kind to other series of it."""
    rng, mixed = np.random.default_rng(seed), {}
    for kind in SUBJECTS:
        keys = [key for key in descriptions if key.endswith(kind)]
        own = [descriptions[key] for key in keys]
        mixed |= dict(zip(keys, rng.permutation(own).tolist(), strict=True))
    return mixed


def of_announced(ablation: Ablation) -> Ablation:
    """Keep the series whose break is to be forecast."""
    errors = ablation.errors
    kept = errors["series"] % 3 == 2
    return Ablation(ablation.name, errors[kept], ablation.costs)


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Fit all variants, compare them, and return errors and the sentence."""
    started = time.perf_counter()
    texts = settings["texts"]
    pulse_tells = texts == "redundant"
    y, descriptions = simulate(args.n_series, args.data_seed, pulse_tells=pulse_tells)
    if texts == "shuffled":
        descriptions = shuffled(descriptions, args.data_seed)
    forecaster = LLMTSNetForecaster(
        context_length=CONTEXT,
        prediction_length=HORIZON,
        backbone=args.backbone,
        descriptions=descriptions,
        language_model_steps=args.language_model_steps,
        max_epochs=args.epochs,
        cosine_epochs=args.epochs,
        validation_fraction=0,
        intervals=None,
        device=args.device,
        verbose=0,
    )
    data = Dataset(f"series with {texts} texts", y, 1, HORIZON)
    both = of_announced(
        ablate(forecaster, data, n_folds=1, seeds=args.seeds, variants=VARIANTS)
    )
    effects = both.effects()
    return {
        "mase": both.errors.groupby("variant", sort=False)["MASE"].mean().to_dict(),
        "gain": effects[["gain", "lower", "upper"]].to_dict(orient="index"),
        "verdict": {name: both.verdict(name) for name in both.variants[1:]},
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet; print errors and sentences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", choices=TEXTS, nargs="+", default=TEXTS)
    parser.add_argument("--n-series", type=int, default=120)
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--language-model-steps", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "simulated_text.jsonl"
    )
    args = parser.parse_args()
    ignored = ("texts", "device", "results")
    common = {k: v for k, v in vars(args).items() if k not in ignored}
    runs = [{"texts": texts, **common} for texts in args.texts]
    for record in run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['texts']} texts",
    ):
        print(f"{record['texts']} texts")
        for name, mase in record["mase"].items():
            print(f"  {name}: MASE {mase:.3f}")
        for sentence in record["verdict"].values():
            print(f"  {sentence}", flush=True)


if __name__ == "__main__":
    main()
