"""Are descriptions that a small language model writes of numbers true?

    python benchmarks/generated_descriptions.py --data-dir DATA --language-model FOLDER

The template, and SmolLM2-135M-Instruct (`smollm2.py` makes its FOLDER) with and without
the template's statistics in its prompt, describe the past of series drawn from M3. What
the texts claim is compared with the numbers:

- a direction of the trend, up or down, is true if it is that of the straight line, and
  a text that names both, or one where there is no trend, is wrong;
- a value of a peak or trough is true if it is higher or lower than those around it;
- any number, but percents, is true if it is a value of the series or a statistic of it.

Values are those of the series, and those of 48 parts of it, which the prompt gives.
Numbers are equal if three significant digits are. A run that is already in the results
file is not repeated.
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing
from competitions import PERIODS, SEASON, read

from sktime_llm._devices import resolve_device
from sktime_llm.text._characteristics import Characteristics, characterize
from sktime_llm.text.describers import (
    DEFAULT_PROMPT,
    GenerationDescriber,
    TemplateDescriber,
)

NUMBERS_ALONE = DEFAULT_PROMPT.replace("Statistics: {statistics}\n", "")
DESCRIBERS = ("template", "statistics and numbers", "numbers alone")
NUMBER = r"(?<![\w.,])[-+]?(\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)(?!\w| ?%|[.,]\d)"
LIST_MARKER = r"(?m)^\s*\d+[.)]\s"
NOT_OF_THE_TREND = (
    r"\b(?:no|not|without)\b[^.,;]*"
    r"|\b(?:in|de)creas\w* (?:in )?(?:the )?(?:volatility|seasonality)\b"
)
OF_TREND = "(?:trends?|direction)"
WAYS = {
    "up": rf"\b(upwards?|increas\w+|ris(?:es|ing)|grow\w*|positive {OF_TREND})\b",
    "down": rf"\b(downwards?|decreas\w+|fall(?:s|ing)|declin\w+|negative {OF_TREND})\b",
}
EXTREMES = {  # and the sign of a peak, or of a trough
    rf"\bpeaks? (?:at|of|is) {NUMBER}": 1,
    rf"\btroughs? (?:at|of|is) {NUMBER}": -1,
}
NO_TREND = 0.05  # as the template has it
N_VALUES = 48  # as the prompt has them
# Records that name no language model, as those made before one was named, are of this.
USUAL = "SmolLM2-135M-Instruct"


def score(text: str, values: np.ndarray, season: int) -> dict[str, int]:
    """Count what a text claims of a series, and how much of it is true."""
    facts = characterize(values, season if season > 1 else None)
    parts = np.array_split(values, min(N_VALUES, len(values)))
    means = np.array([part.mean() for part in parts])
    known = {_rounded(number) for number in [*_statistics(facts), *values, *means]}
    text = re.sub(LIST_MARKER, "", text)
    of_trend = re.sub(NOT_OF_THE_TREND, "", text, flags=re.I)
    directions = {
        way for way, words in WAYS.items() if re.search(words, of_trend, re.I)
    }
    numbers = [_rounded(found) for found in re.findall(NUMBER, text)]
    claims = [
        _rounded(found) in {*_peaks(sign * values), *_peaks(sign * means)}
        for pattern, sign in EXTREMES.items()
        for found in re.findall(pattern, text, re.I)
    ]
    return {
        "directions": bool(directions),
        "true_directions": directions == {_direction(facts)},
        "extremes": len(claims),
        "true_extremes": sum(claims),
        "numbers": len(numbers),
        "true_numbers": sum(number in known for number in numbers),
    }


def _peaks(values: np.ndarray) -> list[str]:
    """Return the values that no neighbor is above, and one is below."""
    before = np.concatenate([values[:1], values[:-1]])
    after = np.concatenate([values[1:], values[-1:]])
    is_peak = (
        (values >= before) & (values >= after) & (values > np.minimum(before, after))
    )
    return [_rounded(value) for value in values[is_peak]]


def _direction(facts: Characteristics) -> str:
    if facts.trend_strength < NO_TREND:
        return "none"
    return "up" if facts.change > 0 else "down"


def _statistics(facts: Characteristics) -> list[float]:
    """Return all numbers that the template may give."""
    shifts = [level for shift in facts.shifts for level in (shift.before, shift.after)]
    lags = [one.lag for one in facts.seasons]
    own = [facts.mean, facts.deviation, facts.minimum, facts.maximum, facts.change]
    return [facts.n_steps, *own, *lags, *shifts]


def _rounded(number: float | str) -> str:
    """Write a number, without its sign, with three significant digits."""
    value = float(number.replace(",", "")) if isinstance(number, str) else float(number)
    return f"{abs(value):.2e}"


def draw(args: argparse.Namespace) -> list[tuple[str, np.ndarray, int]]:
    """Draw as many series of each period; return names, pasts and seasons."""
    chosen, rng = [], np.random.default_rng(args.seed)
    for period in PERIODS["M3"]:
        series = read(args.data_dir, "M3", period)
        names = rng.choice(list(series), args.n_series, replace=False).tolist()
        chosen += [(name, series[name][0], SEASON[period]) for name in names]
    return chosen


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Describe all series and score the texts."""
    describer = TemplateDescriber()
    if settings["describer"] != "template":
        alone = settings["describer"] == "numbers alone"
        describer = GenerationDescriber(
            str(args.language_model),
            prompt=NUMBERS_ALONE if alone else DEFAULT_PROMPT,
            n_values=N_VALUES,
            dtype="float32",
            device=args.device,
            verbose=0,
        )
    series, texts = draw(args), {}
    describer.describe([series[0][1]])  # loads the model
    started = time.perf_counter()
    for season in sorted({season for *_, season in series}):
        own = [(name, past) for name, past, its in series if its == season]
        names, pasts = zip(*own, strict=True)
        period = season if season > 1 else None
        found = describer.describe(pasts, names, seasonal_period=period)
        texts |= dict(zip(names, found, strict=True))
    seconds = time.perf_counter() - started
    rows = [score(texts[name], past, season) for name, past, season in series]
    return {
        "n_texts": len(rows),
        **pd.DataFrame(rows).sum().astype(int).to_dict(),
        "words": float(np.mean([len(text.split()) for text in texts.values()])),
        "seconds_per_text": round(seconds / len(rows), 3),
        "texts": texts,
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--language-model", type=Path, required=True)
    parser.add_argument(
        "--describer", choices=DESCRIBERS, nargs="+", default=list(DESCRIBERS)
    )
    parser.add_argument("--n-series", type=int, default=10, help="of each period")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "generated_descriptions.jsonl"
    )
    args = parser.parse_args()
    common = {"n_series": args.n_series, "seed": args.seed}
    own = args.language_model.resolve().name
    for record in run_missing(
        args.results,
        [
            {"describer": describer, **common}
            | {
                "language_model": None
                if own == USUAL or describer == "template"
                else own
            }
            for describer in args.describer
        ],
        lambda settings: run(args, settings),
        lambda settings: settings["describer"],
    ):
        shares = [
            f"{record[f'true_{claim}']} of {record[claim]} {claim}"
            for claim in ("directions", "extremes", "numbers")
        ]
        print(f"{record['describer']}: true are {', '.join(shares)}", flush=True)


if __name__ == "__main__":
    main()
