"""Write all recorded results into the docs.

    python benchmarks/report.py

Reads the records in ``benchmarks/results`` and what others published from
``benchmarks/published.csv``, writes the tables between the markers of the pages, and
draws the pictures. It trains nothing, needs no data, and changes nothing if nothing new
was recorded. A table is a function from the records of one file to Markdown, and a line
in TABLES; its place in a page is marked by::

    <!-- table: NAME -->
    <!-- end -->

Markers within a line hold a sentence or a number in the same way.
"""

import argparse
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import _accuracy
import _competitions
import _further
import _language_models
import _lines
import _questions
import _speed
import _standing
import pictures
from _tables import read

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/results.md",
    "docs/ablation.md",
    "docs/lora_amr.md",
    "docs/performance.md",
    "docs/large_panels.md",
)
NOT_RECORDED = "Not recorded yet."
# The results file of each table, and the function that makes it.
TABLES: dict[str, tuple[str, Callable]] = {
    "long-term": ("long_term.jsonl", _accuracy.long_term),
    "long-term-runs": ("long_term.jsonl", _accuracy.attempts),
    "few-shot": ("few_shot.jsonl", _accuracy.few_shot),
    "deep-models": ("deep_models.jsonl", _accuracy.deep_models),
    "m3": ("competitions.jsonl", partial(_competitions.competition, name="M3")),
    "m3-ranking": ("competitions.jsonl", partial(_competitions.ranking, name="M3")),
    "m4": ("competitions.jsonl", partial(_competitions.competition, name="M4")),
    "tourism": (
        "competitions.jsonl",
        partial(_competitions.competition, name="Tourism"),
    ),
    "several": ("competitions.jsonl", _competitions.several),
    "choices": ("competitions.jsonl", _competitions.choices),
    "seasons": ("competitions.jsonl", _competitions.seasons),
    "averaged": ("competitions.jsonl", _competitions.averaged),
    "language-models": ("competitions.jsonl", _language_models.language_models),
    "pretrained-start": ("pretrained_start.jsonl", _questions.pretrained_start),
    "pretrained-choices": ("pretrained_start.jsonl", _questions.pretrained_choices),
    "single-series": ("single_series.jsonl", _accuracy.single_series),
    "last-value": ("single_series.jsonl", _accuracy.last_value),
    "compare": ("compare.csv", _accuracy.compare),
    "traffic": ("traffic.jsonl", _accuracy.traffic),
    "traffic-published": ("traffic.jsonl", _accuracy.traffic_published),
    "intervals": ("intervals.jsonl", _further.intervals),
    "interval-costs": ("interval_costs.jsonl", _further.interval_costs),
    "missing": ("missing.jsonl", _further.missing),
    "simulated-text": ("simulated_text.jsonl", _further.simulated_text),
    "real-texts": ("real_texts.jsonl", _questions.real_texts),
    "cold-starts": ("real_texts.jsonl", _questions.cold_starts),
    "generated-descriptions": (
        "generated_descriptions.jsonl",
        _questions.generated_descriptions,
    ),
    "ablations": ("ablations.jsonl", _further.ablations),
    "ablation-sentences": ("ablations.jsonl", _further.ablation_sentences),
    "kinds": ("kinds.jsonl", _further.kinds),
    "calf-questions": ("calf_questions.jsonl", _further.calf_questions),
    "covariates": ("covariates.jsonl", _further.covariates),
    "simulated-covariates": (
        "simulated_covariates.jsonl",
        _further.simulated_covariates,
    ),
    "updates": ("updates.jsonl", _further.updates),
    "update-rates": ("update_rates.jsonl", _further.update_rates),
    "text-branch": ("text_branch.jsonl", _further.text_branch),
    "busy": ("busy.jsonl", _further.busy),
    "one-line": ("one_line.jsonl", _further.one_line),
    "outliers": ("outliers.jsonl", _further.outliers),
    "prompt-pool": ("prompt_pool.jsonl", _further.prompt_pool),
    "pool-sizes": ("pool_sizes.jsonl", _further.pool_sizes),
    "lora-amr": ("lora_amr_memory.csv", _further.lora_amr),
    "lora-amr-projections": ("lora_amr_memory.csv", _further.lora_amr_projections),
    "speed": ("speed.jsonl", _speed.speed),
    "first-forecast": ("first_forecast.jsonl", _speed.first_forecast),
    "scale": ("scale.jsonl", _speed.scale),
    "out-of-core": ("out_of_core.jsonl", _speed.out_of_core),
}
# What is made of all records together.
OVERVIEWS: dict[str, Callable] = {
    "lines": _lines.lines,
    "changes": _lines.changes,
    "m3-text": _lines.m3_text,
    "overview": _standing.overview,
}
_MARKED = re.compile(r"(<!-- table: (\S+) -->)(.*?)(<!-- end -->)", re.DOTALL)


def make(name: str) -> str:
    """Return the text of a table by its name."""
    if name in OVERVIEWS:
        return OVERVIEWS[name](_standing.standing())
    if name not in TABLES:
        raise SystemExit(f"there is no table {name!r}; report.py has {sorted(TABLES)}")
    file, function = TABLES[name]
    records = read(file)
    return NOT_RECORDED if records.empty else function(records) or NOT_RECORDED


def fill(page: str, make: Callable[[str], str]) -> str:
    """Return a page with new text between its markers."""

    def filled(match: re.Match) -> str:
        start, name, old, end = match.groups()
        around = "\n\n" if "\n" in old else ""
        return f"{start}{around}{make(name)}{around}{end}"

    return _MARKED.sub(filled, page)


def main() -> None:
    """Write the pages and draw the pictures."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for name in PAGES:
        path = ROOT / name
        page = path.read_text(encoding="utf-8")
        if (new := fill(page, make)) != page:
            path.write_text(new, encoding="utf-8")
            print(f"{name} is new")
    pictures.draw_results(pictures.IMAGES)


if __name__ == "__main__":
    main()
