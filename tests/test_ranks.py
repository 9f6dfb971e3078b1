"""Ranks of forecasters, and what cannot be told apart."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from sktime_llm.datasets import Dataset
from sktime_llm.errors import InputError
from sktime_llm.evaluation import Comparison, Ranks, rank_forecasters
from sktime_llm.plotting import plot_ranks

FACTORS = {"best": 1.0, "good": 1.1, "worse": 1.6, "worst": 1.7}


def errors_of(n, factors=FACTORS, seed=0):
    """Errors of forecasters that are off by factors of what they share, and noise."""
    rng = np.random.default_rng(seed)
    shared = rng.lognormal(size=(n, 1))
    noise = rng.lognormal(sigma=0.3, size=(n, len(factors)))
    return pd.DataFrame(shared * noise * list(factors.values()), columns=list(factors))


def test_ranks_and_p_values_are_those_of_scipy_and_statsmodels():
    errors = errors_of(20)
    ranks = rank_forecasters(errors)
    expected = np.argsort(np.argsort(errors.to_numpy(), axis=1), axis=1) + 1
    found = ranks.mean_ranks[errors.columns]
    assert found.to_numpy() == pytest.approx(expected.mean(axis=0))
    assert ranks.mean_ranks.is_monotonic_increasing
    assert ranks.n_series == 20
    pairs = list(combinations(errors.columns, 2))
    raw = [stats.wilcoxon(errors[a], errors[b]).pvalue for a, b in pairs]
    for (a, b), p in zip(pairs, multipletests(raw, method="holm")[1], strict=True):
        assert ranks.p_values.loc[a, b] == pytest.approx(p)
        assert ranks.p_values.loc[b, a] == pytest.approx(p)
    chi = stats.friedmanchisquare(*errors.to_numpy().T)
    assert ranks.friedman == pytest.approx(chi.pvalue)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_errors_that_differ_by_rounding_are_equal(scale):
    errors = scale * errors_of(20)
    errors.iloc[3] = [0.0, 1.0, 0.0, np.inf]
    errors["again"] = np.nextafter(errors["good"], np.inf)
    errors["third"] = errors["good"] * (1 - 1e-12)
    ranks = rank_forecasters(errors)
    assert ranks.mean_ranks["good"] == ranks.mean_ranks["again"]
    assert ranks.p_values.loc["good", ["again", "third"]].tolist() == [1.0, 1.0]
    exact = rank_forecasters(errors.assign(again=errors["good"], third=errors["good"]))
    pd.testing.assert_frame_equal(ranks.p_values, exact.p_values)
    errors["again"] = errors["good"] * (1 + 1e-8)
    ranks = rank_forecasters(errors.drop(index=3))
    assert ranks.p_values.loc["good", "again"] < 0.01


def test_groups_are_what_no_test_tells_apart():
    ranks = rank_forecasters(errors_of(30))
    assert ranks.groups == [("best", "good"), ("worse", "worst")]
    level = "On 30 series, one cannot tell apart (5 % level)"
    assert ranks.verdict() == f"{level}: best and good; worse and worst."


def test_groups_overlap():
    names = ["a", "b", "c"]
    p = pd.DataFrame(np.ones((3, 3)), index=names, columns=names)
    p.loc["a", "c"] = p.loc["c", "a"] = 0.01
    ranks = rank_forecasters(errors_of(60, dict.fromkeys(names, 1.0)))
    ranks = type(ranks)(pd.Series([1, 2, 3.0], names), 60, p, friedman=0.01)
    assert ranks.groups == [("a", "b"), ("b", "c")]


@pytest.mark.parametrize("seed", range(5))
def test_groups_hold_every_pair_that_cannot_be_told_apart(seed):
    rng = np.random.default_rng(seed)
    same = np.triu(rng.random((7, 7)) < 0.5, 1)
    names = list("abcdefg")
    p = pd.DataFrame(np.where(same | same.T, 0.5, 0.01), index=names, columns=names)
    table = pd.Series(np.arange(7.0), names)
    groups = Ranks(table, 60, p, friedman=0.01).groups
    pairs = {pair for group in groups for pair in combinations(group, 2)}
    expected = {(names[i], names[j]) for i, j in np.argwhere(same)}
    assert pairs == expected
    for group in groups:  # no other forecaster could join it
        others = set(names) - set(group)
        assert all((p.loc[one, list(group)] < 0.05).any() for one in others)


def test_no_pair_is_tested_without_a_difference_among_all():
    ranks = rank_forecasters(errors_of(15, dict.fromkeys("abcd", 1.0)))
    assert ranks.friedman > 0.05
    assert len(ranks.groups) == 1
    words = "On 15 series, no two of the 4 forecasters can be told apart (5 % level)."
    assert ranks.verdict() == words


def test_all_can_be_told_apart():
    ranks = rank_forecasters(pd.DataFrame({"a": range(6), "b": range(1, 7)}))
    assert ranks.groups == []
    assert ranks.verdict() == "On 6 series, all 2 can be told apart (5 % level)."
    same = pd.DataFrame({"a": range(6), "b": range(6)})
    assert "one cannot tell apart (5 % level): a and b." in (
        rank_forecasters(same).verdict()
    )
    assert rank_forecasters(same.assign(c=same["a"])).friedman == 1.0


@pytest.mark.parametrize(("n_forecasters", "needed"), [(2, 6), (3, 7), (6, 10)])
def test_so_few_series_that_nothing_could_be_told(n_forecasters, needed):
    clear = {str(i): 100.0**i for i in range(n_forecasters)}
    few = rank_forecasters(errors_of(needed - 1, clear))
    assert few.n_series_needed == needed
    assert f"cannot tell {n_forecasters} forecasters apart" in few.verdict()
    assert (few.p_values.to_numpy() >= 0.05).all()
    enough = rank_forecasters(errors_of(needed, clear)).p_values.to_numpy()
    assert enough[0, 1] < 0.05


def test_the_best_is_first_whatever_the_names_and_the_order():
    errors = errors_of(30)
    expected = rank_forecasters(errors)
    names = dict(zip(FACTORS, "zyba", strict=True))
    for order in (list("zyba"), list("abyz"), list("yzab")):
        ranks = rank_forecasters(errors.rename(columns=names)[order])
        assert list(ranks.mean_ranks.index) == list("zyba")
        assert list(ranks.p_values) == list(ranks.p_values.index) == list("zyba")
        np.testing.assert_array_equal(ranks.mean_ranks, expected.mean_ranks)
        np.testing.assert_array_equal(ranks.p_values, expected.p_values)
        assert ranks.groups == [("z", "y"), ("b", "a")]


def test_a_p_value_at_the_level_tells_nothing_apart():
    errors = pd.DataFrame({"a": np.arange(5.0), "b": np.arange(5.0) + 1})
    ranks = rank_forecasters(errors, alpha=1 / 16)
    assert ranks.friedman == ranks.p_values.loc["a", "b"] == 1 / 16
    assert ranks.groups == [("a", "b")]
    assert ranks.n_series_needed == 6
    three = pd.DataFrame(np.full((3, 3), 1 / 16), list("abc"), list("abc"))
    means = pd.Series([1.0, 2.0, 3.0], list("abc"))
    of_pairs = Ranks(means, 9, three, friedman=0.001, alpha=1 / 16)
    assert of_pairs.groups == [("a", "b", "c")]
    of_all = Ranks(means, 9, three / 100, friedman=1 / 16, alpha=1 / 16)
    assert of_all.groups == [("a", "b", "c")]
    assert Ranks(means, 9, three / 100, friedman=0.001, alpha=1 / 16).groups == []


def test_the_level_is_the_one_that_is_given():
    errors = errors_of(30)
    pair = rank_forecasters(errors).p_values.loc["best", "worst"]
    strict = rank_forecasters(errors, alpha=pair / 2)
    assert ("best", "worst") in [group[:: len(group) - 1] for group in strict.groups]
    assert f"({100 * pair / 2:g} % level)" in strict.verdict()
    assert strict.n_series_needed > rank_forecasters(errors).n_series_needed


def test_series_of_equal_errors_make_a_difference_less_clear():
    clear = pd.DataFrame({"a": np.zeros(8), "b": np.arange(1.0, 9)})
    equal = pd.DataFrame({"a": np.zeros(8), "b": np.zeros(8)})
    both = pd.concat([clear, equal], ignore_index=True)
    p, with_equal = (rank_forecasters(e).p_values.loc["a", "b"] for e in (clear, both))
    zeros = stats.wilcoxon(both["a"] - both["b"], zero_method="zsplit").pvalue
    assert with_equal == pytest.approx(zeros)
    assert with_equal > 1.1 * p


def test_what_has_no_error_is_left_out():
    errors = errors_of(20)
    expected = rank_forecasters(errors.iloc[:18].drop(columns="good"))
    errors.iloc[18:] = np.nan
    errors.loc[3, "good"] = np.nan
    found = rank_forecasters(errors)
    assert found.left_out == ("good",)
    assert (found.n_series, expected.left_out) == (18, ())
    pd.testing.assert_series_equal(found.mean_ranks, expected.mean_ranks)


def test_ties_share_a_rank():
    errors = pd.DataFrame({"a": [0.0] * 6, "b": [0.0] * 6, "c": [1.0] * 6})
    ranks = rank_forecasters(errors)
    assert ranks.mean_ranks.to_dict() == {"a": 1.5, "b": 1.5, "c": 3.0}
    assert ranks.p_values.loc["a", "b"] == 1.0


@pytest.mark.parametrize("shape", [(4, 3), (9, 1)])
def test_too_few_to_rank(shape):
    with pytest.raises(InputError, match=r"at least 2 with .* at least 5 series"):
        rank_forecasters(pd.DataFrame(np.ones(shape)))


@pytest.mark.parametrize("errors", [np.empty((0, 2)), np.full((6, 2), np.nan)])
def test_nothing_to_rank(errors):
    gaps = np.where(np.eye(6, 2), np.nan, 1.0)  # each fails once
    for each in (errors, gaps):
        with pytest.raises(InputError, match="expected at least 2 with an error"):
            rank_forecasters(pd.DataFrame(each))


@pytest.mark.parametrize("alpha", [0, 1, "0.05"])
def test_a_level_that_is_none(alpha):
    with pytest.raises(InputError, match=r"alpha=.*, expected a number above"):
        rank_forecasters(pd.DataFrame(np.ones((9, 2))), alpha=alpha)


def comparison_of(tables, datasets=()):
    parts = [
        pd.DataFrame({"MASE": column, "dataset": dataset, "forecaster": name})
        for dataset, table in tables.items()
        for name, column in table.items()
    ]
    errors = pd.concat(parts, ignore_index=True).assign(id="", variate="y")
    scores = pd.DataFrame({"forecaster": ["worst", *FACTORS, "failed"]})
    return Comparison(datasets, 1, scores, pd.DataFrame(), errors)


def test_ranks_of_a_comparison():
    errors = errors_of(12)
    parts = {"one": errors[:7], "two": errors[7:].reset_index(drop=True)}
    found = comparison_of(parts).ranks()
    assert found.left_out == ("failed",)
    expected = rank_forecasters(errors)
    pd.testing.assert_frame_equal(
        found.p_values, expected.p_values, check_names=False, check_index_type=False
    )


def test_a_series_that_is_in_two_data_sets_counts_once():
    values = np.random.default_rng(0).normal(size=(20, 6))
    wide = pd.DataFrame(values, columns=list("abcdef"))
    datasets = Dataset("one", wide["c"], 1, 1), Dataset("two", wide, 1, 1)
    errors = errors_of(7)
    found = comparison_of({"one": errors[:1], "two": errors[1:]}, datasets).ranks()
    assert found.n_series == 6
    expected = rank_forecasters(errors.drop(index=3)).mean_ranks
    assert found.mean_ranks.to_dict() == expected.to_dict()


def test_the_diagram_has_a_bar_per_group():
    pytest.importorskip("matplotlib")
    ranks = rank_forecasters(errors_of(30))
    figure = plot_ranks(ranks, highlight=["good"])
    (axes,) = figure.axes
    places = ranks.mean_ranks
    texts = {text.get_text().strip(): text for text in axes.texts}
    best, worst = places["best"], places["worst"]
    assert {f"best  {best:.2f}", f"{worst:.2f}  worst"} <= set(texts)
    assert texts[f"good  {places['good']:.2f}"].get_color() == "#D55E00"
    bars = [x.get_xdata() for x in axes.lines if x.get_linewidth() == 4]
    expected = [(best, places["good"]), (places["worse"], worst)]
    assert [tuple(bar) for bar in bars] == [
        (pytest.approx(a), pytest.approx(b)) for a, b in expected
    ]
    stems = [line.get_xdata()[0] for line in axes.lines if line.get_linewidth() < 4]
    assert stems == places.tolist()
    long = SimpleNamespace(mean_ranks=places, groups=[], verdict=lambda: "word " * 60)
    assert "\n" in plot_ranks(long).get_supxlabel()
