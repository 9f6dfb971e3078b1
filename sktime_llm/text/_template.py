"""Descriptions from a template: deterministic, offline, without a language model."""

from bisect import bisect
from collections.abc import Sequence

import numpy as np

from sktime_llm.text._characteristics import Characteristics, Season, characterize
from sktime_llm.text._interface import Describer, NamedSeries

_NO_TREND = 0.05
_STRENGTHS = 0.3, 0.7  # below them weak and moderate, else strong
_HARDLY = 0.15
_ROUGHNESSES = 0.3, 1.0
_VOLATILITIES = "Smooth", "Moderately volatile", "Erratic"
_GROWTH = 1.5
_FAR_FROM_MEAN = 0.5
_ZERO = 1e-6


class TemplateDescriber(Describer):
    """Describe a series by its statistics, in fixed words; the default.

    The text gives level and range, direction and strength of the trend, seasonality,
    volatility, the places of the highest and the lowest value, sudden changes of the
    level, where the series ends, and missing values, each if there is any. The same
    series has the same text everywhere. It needs neither a language model nor a network
    and has fewer than 100 word pieces for a model such as BERT.

    See Also
    --------
    GenerationDescriber : asks a language model of transformers.
    EndpointDescriber : asks a language model behind an HTTP endpoint.

    Notes
    -----
    The strength of the trend is the adjusted share of the variance that a straight line
    explains. Seasons are the dominant local maxima of the autocorrelation around this
    line. Changes of the level are found by binary segmentation.

    Source: in LLM-TS Net, arXiv 2408.14387, a language model of 70 billion parameters
    describes trends; describing them by a template is ours.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_llm.text.describers import TemplateDescriber
    >>> season = np.tile([0.0, 5.0, 10.0, 5.0], 25)
    >>> print(TemplateDescriber().describe([season], step="6 hours")[0])
    100 steps of 6 hours. Mean 5, standard deviation 3.54, from 0 to 10. No trend.
    Repeats every 4 steps, strongly. Erratic from step to step.
    Highest at 2%, lowest at 0% of the span. Ends near the mean.
    """

    def _describe(self, series: Sequence[NamedSeries]) -> list[str]:
        return [statistics_in_words(one) for one in series]


def statistics_in_words(series: NamedSeries) -> str:
    """Put the statistics of a series into a few short sentences."""
    facts = characterize(series.values, series.seasonal_period)
    steps = _steps(facts.n_steps) + (f" of {series.step}" if series.step else "")
    if facts.n_observed == 0:
        return f"{steps}. All values are missing."
    if facts.deviation == 0:
        sentences = [steps, f"Constant at {number(facts.mean)}"]
    else:
        sentences = [steps, *_behavior(facts, series.seasonal_period)]
    missing = facts.n_steps - facts.n_observed
    if missing:
        share = min(99, max(1, round(100 * missing / facts.n_steps)))
        gap = _steps(facts.longest_gap)
        sentences.append(f"{share}% missing, longest gap {gap}")
    return ". ".join(sentences) + "."


def _behavior(facts: Characteristics, seasonal_period: int | None) -> list[str]:
    # a mean of zero is not exactly zero after rounding
    mean = facts.mean if abs(facts.mean) > _ZERO * facts.deviation else 0.0
    return [
        f"Mean {number(mean)}, standard deviation {number(facts.deviation)}, "
        f"from {number(facts.minimum)} to {number(facts.maximum)}",
        _trend(facts),
        *_seasonality(facts.seasons, seasonal_period),
        _volatility(facts),
        f"Highest at {facts.peak:.0%}, lowest at {facts.trough:.0%} of the span",
        *(
            f"Level jumps from {number(shift.before)} to {number(shift.after)} at "
            f"{shift.position:.0%}"
            for shift in facts.shifts
        ),
        *_ending(facts),
    ]


def _trend(facts: Characteristics) -> str:
    if facts.trend_strength < _NO_TREND:
        return "No trend"
    direction = "upward" if facts.change > 0 else "downward"
    strength = ("Weak", "Moderate", "Strong")[bisect(_STRENGTHS, facts.trend_strength)]
    sign = "+" if facts.change > 0 else ""
    return f"{strength} {direction} trend, {sign}{number(facts.change)} in all"


def _seasonality(seasons: tuple[Season, ...], seasonal_period: int | None) -> list[str]:
    if not seasons:
        return []
    first = seasons[0]
    if seasonal_period is not None and first.autocorrelation < _HARDLY:
        return [f"Hardly repeats every {first.lag} steps"]
    adverbs = ("weakly", "clearly", "strongly")
    parts = [
        f"every {one.lag} steps, {adverbs[bisect(_STRENGTHS, one.autocorrelation)]}"
        for one in seasons
    ]
    return ["Repeats " + ", and ".join(parts)]


def _volatility(facts: Characteristics) -> str:
    word = _VOLATILITIES[bisect(_ROUGHNESSES, facts.roughness)]
    if 1 / _GROWTH <= facts.roughness_growth <= _GROWTH:
        return f"{word} from step to step"
    later = "more" if facts.roughness_growth > 1 else "less"
    return f"{word} from step to step, {later} so later"


def _ending(facts: Characteristics) -> list[str]:
    if np.isnan(facts.recent):
        return []
    if abs(facts.recent) <= _FAR_FROM_MEAN:
        return ["Ends near the mean"]
    return [f"Ends {'above' if facts.recent > 0 else 'below'} the mean"]


def number(value: float) -> str:
    """Write a number with three significant digits, and not more digits than needed."""
    if value == 0 or 1e-4 <= abs(value) < 1e7:
        return np.format_float_positional(
            value, precision=3, unique=False, fractional=False, trim="-"
        )
    return f"{value:.2e}"


def _steps(n: int) -> str:
    return f"{n} step{'s' * (n != 1)}"
