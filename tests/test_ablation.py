"""The same method without its language model: intervals, verdicts, and the command."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sktime.forecasting.naive import NaiveForecaster

from sktime_llm import BALMTSFForecaster, CALFForecaster, LLMTSNetForecaster
from sktime_llm.datasets import Dataset
from sktime_llm.errors import InputError, UndefinedScoreWarning
from sktime_llm.evaluation import LANGUAGE_MODELS, Ablation, ablate, parts_of
from sktime_llm.evaluation._bootstrap import (
    FACTORS,
    Gain,
    draws_that_would_tell,
    gain_of,
)
from sktime_llm.evaluation._data import find_scalable, seasonal_changes
from sktime_llm.evaluation._folds import fold_errors
from sktime_llm.plotting import plot_ablation

SMALL = {"backbone": "tiny-random", "max_epochs": 1, "intervals": None, "verbose": 0}


def months(n=60, seed=0):
    rng = np.random.default_rng(seed)
    index = pd.period_range("2000-01", periods=n, freq="M")
    return pd.Series(np.sin(np.arange(n) / 2) + 0.1 * rng.normal(size=n), index)


def made_up(full, other, n_seeds=3, n_folds=3, n_series=20, noise=0.0, seed=0):
    """Errors with given means, series by series."""
    rng = np.random.default_rng(seed)
    rows = []
    for variant, mean in (("pretrained", full), ("no language model", other)):
        shape = (n_seeds, n_folds, n_series)
        values = mean + noise * rng.normal(size=shape)
        rows += [[variant, *at, values[at]] for at in np.ndindex(shape)]
    names = ["variant", "seed", "fold", "series", "MASE"]
    costs = pd.DataFrame({"trained": [1.0, 0.5]}, ["pretrained", "no language model"])
    return Ablation("data", pd.DataFrame(rows, columns=names), costs)


def renamed(ablation, names):
    errors = ablation.errors.replace({"variant": names})
    return replace(ablation, errors=errors, costs=ablation.costs.rename(index=names))


class TestIntervals:
    def test_what_was_not_observed_counts_in_neither_error(self):
        rng = np.random.default_rng(0)
        error, other = rng.uniform(0.8, 1.2, size=(2, 2, 3, 8))
        error[0, 1, 2] = other[0, 1, 2] = np.nan
        found = gain_of(error, other)
        kept = ~np.isnan(error)
        expected = 100 * (1 - error[kept].mean() / other[kept].mean())
        assert found.mean == pytest.approx(expected)
        assert found.lower < expected < found.upper

    def test_gain_by_hand(self):
        gain = gain_of(np.full((2, 3, 4), 0.9), np.full((2, 3, 4), 1.2))
        assert gain[:3] == pytest.approx((25.0, 25.0, 25.0))
        assert gain.deviation == pytest.approx(0.0, abs=1e-9)

    def test_one_fit_of_each_has_no_interval(self):
        error, other = np.full((1, 2, 3), np.nan), np.full((1, 2, 3), np.nan)
        error[0, 1, 2], other[0, 1, 2] = 0.9, 1.2
        for one, two in ((error, other), (error[:, 1:, 2:], other[:, 1:, 2:])):
            gain = gain_of(one, two)
            assert gain.mean == pytest.approx(25.0)
            assert np.isnan([gain.lower, gain.upper]).all()

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_what_is_observed_nowhere_is_not_drawn(self, axis):
        rng = np.random.default_rng(0)
        error, other = rng.uniform(0.8, 1.2, size=(2, 3, 3, 3))
        unknown = np.full_like(error.take([0], axis), np.nan)
        more = [np.concatenate([each, unknown], axis) for each in (error, other)]
        assert gain_of(*more) == gain_of(error, other)

    def test_draws_in_which_nothing_is_observed_are_left_out(self):
        error, other = np.diag([0.9, 0.8, 0.7])[None], np.eye(3)[None]
        error[error == 0] = other[other == 0] = np.nan
        gain = gain_of(error, other)
        assert gain.lower < gain.mean < gain.upper

    def test_draws_in_which_the_other_has_no_error_are_left_out(self):
        error, other = np.array([0.5, 0.5, 0.9]), np.array([0.0, 1.0, 1.0])
        gain = gain_of(error.reshape(1, 3, 1), other.reshape(1, 3, 1))
        assert np.isfinite(gain[:3]).all()
        assert 0 < gain.deviation < np.inf

    def test_there_is_no_gain_over_no_error(self):
        assert np.isnan(gain_of(np.ones((1, 2, 2)), np.zeros((1, 2, 2))).mean)

    def test_the_interval_covers_the_truth_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        covered = []
        for _ in range(60):
            of_series = rng.normal(0.0, 0.1, size=(1, 1, 40))
            of_seed = rng.normal(0.0, 0.03, size=(4, 1, 1))
            other = np.ones((4, 3, 40))
            error = 0.95 + of_series + of_seed + 0.05 * rng.normal(size=(4, 3, 40))
            gain = gain_of(error, other)
            covered.append(gain.lower <= 5.0 <= gain.upper)
        assert np.mean(covered) >= 0.9

    @pytest.mark.parametrize(
        ("shape", "of_series", "of_fits", "expected"),
        [
            ((3, 3, 20), 0.1, 0.0, 1.1),
            ((3, 3, 20), 0.1, 0.1, 1.6),
            ((3, 3, 20), 0.0, 0.1, 4.2),
            ((5, 5, 50), 0.1, 0.0, 1.0),
            ((5, 5, 50), 0.1, 0.1, 1.2),
            ((5, 5, 50), 0.0, 0.1, 3.2),
        ],
    )
    def test_it_is_as_conservative_as_the_docs_say(
        self, shape, of_series, of_fits, expected
    ):
        rng = np.random.default_rng(1)
        halves, covered = [], []
        for _ in range(40):
            noise = of_series * rng.normal(size=shape[2]) + of_fits * rng.normal(
                size=shape
            )
            gain = gain_of(1 + noise, np.ones(shape))
            halves.append((gain.upper - gain.lower) / 2)
            covered.append(gain.lower <= 0 <= gain.upper)
        deviation = np.sqrt(of_series**2 / shape[2] + of_fits**2 / np.prod(shape))
        width = np.mean(halves) / (1.96 * 100 * deviation)
        assert width == pytest.approx(expected, rel=0.1)
        assert np.mean(covered) >= 0.9

    def test_what_all_folds_of_a_series_share_counts_once(self):
        of_series = np.random.default_rng(0).normal(0.9, 0.2, size=(1, 1, 30))
        once = gain_of(of_series, np.ones_like(of_series))
        often = np.broadcast_to(of_series, (3, 5, 30))
        again = gain_of(often, np.ones_like(often))
        widths = [g.upper - g.lower for g in (once, again)]
        assert widths[1] == pytest.approx(widths[0], rel=0.1)
        assert max(again.deviations, key=again.deviations.get) == "series"

    def test_few_seeds_make_it_wide(self):
        rng = np.random.default_rng(0)
        values = 0.9 + 0.05 * rng.normal(size=(12, 1, 1))
        widths = [
            (gain := gain_of(values[:n], np.ones((n, 1, 1)))).upper - gain.lower
            for n in (2, 12)
        ]
        assert widths[0] > 2 * widths[1]

    @pytest.mark.parametrize("n", [3, 4, 6, 10])
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_an_interval_over_one_factor_is_that_of_a_mean(self, n, axis):
        values = 20 + 10 * np.linspace(-1, 1, n)
        shape = [n if i == axis else 1 for i in range(3)]
        error = 1 - values.reshape(shape) / 100
        gain = gain_of(error, np.ones(shape))
        half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
        assert gain.mean == pytest.approx(20)
        assert (gain.upper - gain.lower) / 2 == pytest.approx(half, rel=0.1)
        expected = np.zeros(3)
        expected[axis] = values.std() / np.sqrt(n)
        assert list(gain.deviations) == list(FACTORS)
        found = list(gain.deviations.values())
        np.testing.assert_allclose(found, expected, rtol=0.1, atol=1e-9)

    def test_deviations_of_factors_add_up_by_their_squares(self):
        gain = Gain(0.0, -1.0, 1.0, {"seeds": 2.0, "folds": 3.0, "series": 6.0})
        assert gain.deviation == 7.0

    @pytest.mark.parametrize(
        ("mean", "deviations", "shape"),
        [
            (3.0, (2.0, 0.0, 0.0), (6, 1, 1)),
            (3.0, (0.5, 1.0, 2.0), (4, 3, 10)),
            (-3.0, (0.2, 2.0, 0.1), (3, 3, 20)),
            (1.0, (0.0, 0.0, 4.0), (1, 1, 8)),
            (9.0, (0.1, 0.1, 0.2), (3, 3, 20)),  # asymmetric: the interval has a 0
            (1.0, (0.3, 0.4, 9.0), (3, 3, 20)),  # what others vary by is too much
        ],
    )
    def test_the_least_size_that_would_tell(self, mean, deviations, shape):
        gain = Gain(mean, -1.0, 1.0, dict(zip(FACTORS, deviations, strict=True)))
        squares = {
            factor: deviation**2 * n / max(n - 1, 1)
            for (factor, deviation), n in zip(
                gain.deviations.items(), shape, strict=True
            )
        }
        sizes = dict(zip(FACTORS, shape, strict=True))
        wide = {
            factor: square * stats.t.ppf(0.975, max(sizes[factor] - 1, 1)) ** 2
            for factor, square in squares.items()
        }
        most = max(wide, key=wide.get)
        rest = sum(square for factor, square in wide.items() if factor != most)
        n = sizes[most]
        more = np.arange(n + 1, 100 * n + 1)
        spread = stats.t.ppf(0.975, more - 1) ** 2 * squares[most] * n / more
        enough = more[spread < mean**2 - rest]
        expected = int(enough[0]) if len(enough) else None
        assert draws_that_would_tell(gain, shape) == (most, n, expected)

    def test_as_many_draws_as_it_says_would_tell(self):
        rng = np.random.default_rng(1)
        values = 0.95 + 0.1 * rng.normal(size=(6, 1, 1))
        gain = gain_of(values, np.ones_like(values))
        assert gain.lower < 0 < gain.mean
        factor, n, wanted = draws_that_would_tell(gain, values.shape)
        assert (factor, n) == ("seeds", 6)
        assert wanted > 6
        repeated = np.tile(values, (wanted // 6 + 1, 1, 1))
        assert gain_of(repeated, np.ones_like(repeated)).lower > 0
        none = gain_of(values - values.mean() + 1, np.ones_like(values))
        assert draws_that_would_tell(none, values.shape)[2] is None


class TestVerdict:
    @pytest.mark.parametrize(
        ("full", "other", "noise", "words"),
        [
            (0.90, 1.00, 0.02, "^The pretrained language model helps: on data errors "),
            (1.00, 1.00, 0.002, "^The pretrained language model does not help: on "),
            (1.10, 1.00, 0.02, r"does not help: .* 10\.\d % higher than without it"),
            (
                1.00,
                1.00,
                0.2,
                "^Cannot tell whether the pretrained .* To tell would take ",
            ),
        ],
    )
    def test_sentences(self, full, other, noise, words):
        verdict = made_up(full, other, noise=noise).verdict()
        assert pd.Series([verdict]).str.contains(words).item(), verdict

    def test_it_says_what_there_is_one_of(self):
        ablation = made_up(0.94, 1.0, n_seeds=6, n_folds=1, n_series=1, noise=0.1)
        verdict = ablation.verdict()
        assert re.search(
            r"on the seeds: about \d\d instead of 6 would tell\. ", verdict
        )
        assert "rests on a single fold and series." in verdict

    def test_one_fit_of_each_cannot_tell(self):
        verdict = made_up(0.5, 1.0, n_seeds=1, n_folds=1, n_series=1).verdict()
        assert verdict == (
            "Cannot tell whether the pretrained language model helps: on data errors "
            "are 50.0 % lower than without it (one fit of each has no interval). Try "
            "more seeds, folds or series. It rests on a single seed and fold and "
            "series."
        )

    def test_no_error_is_told(self):
        verdict = made_up(0.5, 0.0).verdict()
        assert "on data there is no error without it that others could be" in verdict

    def test_variants_by_name(self):
        ablation = made_up(0.9, 1.0)
        with pytest.raises(InputError, match="expected 'no language model'"):
            ablation.verdict("no text")
        parts = renamed(ablation, {"no language model": "no prompt pool"})
        verdict = parts.verdict("no prompt pool")
        assert verdict.startswith("The prompt pool helps: ")


@pytest.mark.parametrize(
    "make", [CALFForecaster, BALMTSFForecaster, LLMTSNetForecaster]
)
def test_every_part_can_be_left_out(make):
    forecaster = make(**SMALL, context_length=12)
    variants = parts_of(forecaster)
    assert list(variants)[:5] == list(LANGUAGE_MODELS)
    data = Dataset("small", months(), seasonal_period=12, horizon=3)
    told = []
    ablation = ablate(
        forecaster,
        data,
        n_folds=1,
        seeds=[0],
        variants=variants,
        progress=lambda *report: told.append(report),
    )
    assert not forecaster.is_fitted
    assert ablation.variants == list(variants)
    assert [done for done, _, _ in told] == list(range(len(variants) + 1))
    assert (ablation.costs[["trained", "all", "fit_seconds"]] > 0).all(axis=None)
    none = ablation.costs.loc["no language model"]
    assert none["all"] < ablation.costs.loc["pretrained", "all"]


def test_errors_are_of_every_series_fold_and_seed():
    y = pd.concat({"a": months(seed=0), "b": 5 * months(seed=1)}, names=["id", "t"])
    variants = {"pretrained": {}, "no language model": {"backbone_mode": "none"}}
    ablation = ablate(
        CALFForecaster(**SMALL, context_length=12),
        y.to_frame("y"),
        horizon=3,
        seasonal_period=12,
        n_folds=2,
        seeds=[3, 4],
        variants=variants,
    )
    errors = ablation.errors
    assert len(errors) == 2 * 2 * 2 * 2
    assert set(errors["seed"]) == {3, 4}
    effects = ablation.effects()
    assert list(effects) == ["MASE", "gain", "lower", "upper"]
    full = errors.loc[errors["variant"] == "pretrained", "MASE"].mean()
    row = effects.loc["no language model"]
    assert row["gain"] == pytest.approx(100 * (1 - full / row["MASE"]))
    assert row["lower"] <= row["gain"] <= row["upper"]


def test_errors_of_folds_are_of_series_with_a_scale_and_the_last_fit_is_kept():
    varies = months(seed=0)
    y = pd.concat({"a": varies, "b": 0 * varies, "c": varies + 1}, names=["id", "t"])
    data = Dataset("small", y.to_frame("y"), seasonal_period=1, horizon=3)
    changes = seasonal_changes(data)
    with pytest.warns(UndefinedScoreWarning, match="1 of 3"):
        scalable = find_scalable(data, 2, changes)
    errors, seconds, fitted = fold_errors(data, NaiveForecaster(), 2, scalable, changes)
    places = list(zip(errors["fold"], errors["series"], strict=True))
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert errors["MASE"].notna().all()
    np.testing.assert_allclose(errors["MASE"][::2], errors["MASE"][1::2])
    assert fitted.cutoff[0] == varies.index[-4]
    assert list(seconds) == ["fit_seconds", "predict_seconds"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": ["a"]}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
        ({"n_folds": 0}, "n_folds"),
        ({"variants": {"pretrained": {}}}, "at least two"),
        ({"horizon": None}, "horizon"),
    ],
)
def test_what_is_refused(change, words):
    options = {"horizon": 3, "seeds": [0], **change}
    with pytest.raises(InputError, match=words):
        ablate(CALFForecaster(**SMALL), months(), **options)


def test_a_forecaster_without_a_language_model_is_refused():
    for run in (parts_of, lambda one: ablate(one, months(), horizon=3)):
        with pytest.raises(InputError, match="is a NaiveForecaster, expected one with"):
            run(NaiveForecaster())


def test_picture():
    pytest.importorskip("matplotlib")
    (axes,) = plot_ablation(made_up(0.9, 1.0, noise=0.02)).axes
    assert "helps" in axes.get_title(loc="left")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["no language model"]
    assert axes.get_xlabel()


def test_picture_of_one_fit_of_variants_of_ones_own():
    pytest.importorskip("matplotlib")
    ablation = made_up(0.9, 1.0, n_seeds=1, n_folds=1, n_series=1)
    own = renamed(ablation, {"no language model": "short"})
    (axes,) = plot_ablation(own).axes
    assert "has no interval" in axes.get_title(loc="left").replace("\n", " ")


def test_variants_of_ones_own_are_called_by_their_names():
    ablation = made_up(0.9, 1.0, noise=0.02)
    own = renamed(ablation, {"pretrained": "long", "no language model": "short"})
    assert own.verdict("short").startswith('"long" helps: on data errors are')
    assert "language model" not in own.verdict("short")
    assert own.verdict() == own.verdict("short")


def test_a_method_that_is_not_the_pretrained_one_is_called_by_its_name():
    ablation = made_up(0.9, 1.0, noise=0.02)
    names = {"pretrained": "no language model", "no language model": "pretrained"}
    turned = renamed(ablation, names)
    assert turned.verdict("pretrained").startswith('"no language model" helps: on data')


def test_no_gain_is_above_a_hundred_percent():
    rng = np.random.default_rng(0)
    error, other = rng.lognormal(0, 2, size=(2, 2, 3, 1))
    assert gain_of(error, other).upper <= 100


def test_a_subclass_is_what_it_is_made_of():
    class Mine(BALMTSFForecaster):
        pass

    assert parts_of(Mine()) == parts_of(BALMTSFForecaster())


def test_covariates_are_given_to_every_variant():
    rng = np.random.default_rng(0)
    y = months()
    X = pd.DataFrame({"price": rng.normal(size=60)}, y.index)
    options = {"n_folds": 1, "seeds": [0], "horizon": 3, "seasonal_period": 1}
    variants = {"pretrained": {}, "no language model": {"backbone_mode": "none"}}
    method = CALFForecaster(**SMALL)
    without = ablate(method, y, **options, variants=variants).errors["MASE"]
    found = ablate(method, y, X=X, **options, variants=variants).errors["MASE"]
    assert (found != without).all()
    with pytest.raises(InputError, match="BALMTSFForecaster takes none"):
        ablate(BALMTSFForecaster(**SMALL), y, X=X, **options)
