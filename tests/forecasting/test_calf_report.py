"""What CALF shows of its branches, against plain NumPy."""

import numpy as np
import pandas as pd
import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.forecasting._calf_report import nearest_words
from sktime_llm.forecasting._distances import by_chance, gaussian_kl, sliced_wasserstein
from sktime_llm.forecasting._inspecting import contexts

from .common import FORECASTERS, make_panel, make_series

make = FORECASTERS["calf"]
KEPT = {"keep_textual_branch": True}
RNG = np.random.default_rng(0)


def wasserstein_by_hand(first, second):
    """Area between the distribution functions of two samples."""
    points = np.sort(np.concatenate([first, second]))
    low = [np.mean(each[:, None] <= points[:-1], axis=0) for each in (first, second)]
    return np.sum(np.abs(low[0] - low[1]) * np.diff(points))


def test_sliced_wasserstein_equals_that_by_hand():
    first, second = RNG.normal(size=(30, 5)), 2 * RNG.normal(size=(40, 5)) + 1
    directions = np.random.default_rng(0).normal(size=(5, 64))
    directions /= np.sqrt((directions**2).sum(axis=0))
    each = [wasserstein_by_hand(first @ d, second @ d) for d in directions.T]
    assert sliced_wasserstein(first, second) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_sliced_wasserstein_of_a_shift_is_its_mean_projection(shift):
    first = RNG.normal(size=(50, 2))
    found = sliced_wasserstein(first, first + np.array([shift, 0.0]))
    assert found == pytest.approx(shift * 2 / np.pi, abs=0.2)


def test_gaussian_kl_is_the_integral():
    first, second = RNG.normal(size=(50, 1)), 1.5 * RNG.normal(size=(60, 1)) + 0.5
    x = np.linspace(-12, 12, 20001)

    def density(sample):
        z = (x - sample.mean()) / sample.std()
        return np.exp(-(z**2) / 2) / sample.std() / np.sqrt(2 * np.pi)

    p, q = density(first), density(second)
    integral = np.sum(p * np.log(p / q)) * (x[1] - x[0])
    assert gaussian_kl(first, second) == pytest.approx(integral, rel=1e-4)
    both = [np.c_[each, each + 1] for each in (first, second)]
    assert gaussian_kl(*both) == pytest.approx(gaussian_kl(first, second))


def test_gaussian_kl_of_a_constant_feature_is_finite():
    varied = np.random.default_rng(0).normal(size=(50, 2))
    constant = varied * [1.0, 0.0]
    assert gaussian_kl(constant, constant) == pytest.approx(0)
    assert 1 < gaussian_kl(constant, varied) < gaussian_kl(varied, constant) < np.inf


def test_chance_tells_samples_of_one_distribution_from_others():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(60, 4)), rng.normal(size=(50, 4))
    for distance in (sliced_wasserstein, gaussian_kl):
        chance = by_chance(distance, first, second)
        assert distance(first, second) < 2 * chance
        far = by_chance(distance, first, second + 3)
        assert distance(first, second + 3) > 5 * far


def numpy_of(tensor):
    return tensor.detach().double().numpy()


def branches_by_hand(network, windows):
    """Tokens, text tokens and mean attention, computed with NumPy where it is ours."""
    with torch.no_grad():
        tokens = network.branches(windows.values).tokens
    match, memory = network.textual.match, network.textual.principal_embeddings
    rows, keys = numpy_of(tokens.flatten(0, 1)), numpy_of(memory)
    layers = (match.query, match.key, match.value, match.output)
    weight = [(numpy_of(one.weight), numpy_of(one.bias)) for one in layers]
    q, k, v = (
        x @ w.T + b for x, (w, b) in zip((rows, keys, keys), weight[:3], strict=True)
    )
    size, heads, mixed = q.shape[1] // match.n_heads, [], []
    for head in range(match.n_heads):
        at = slice(head * size, (head + 1) * size)
        scores = np.exp(q[:, at] @ k[:, at].T / np.sqrt(size))
        heads.append(scores / scores.sum(axis=1, keepdims=True))
        mixed.append(heads[-1] @ v[:, at])
    text = np.concatenate(mixed, axis=1) @ weight[3][0].T + weight[3][1]
    return rows, text, np.mean(heads, axis=0)


def test_the_report_equals_that_of_numpy():
    y = make_series(n_columns=2)
    forecaster = make(**KEPT).fit(y)
    network = forecaster.network_
    report = forecaster.inspect_alignment(y, stride=5)
    windows, labels = contexts(forecaster, y, 5)
    tokens, text, attention = branches_by_hand(network, windows)
    assert report.attention.index.equals(labels)
    np.testing.assert_allclose(report.attention, attention, rtol=1e-4)
    principal = numpy_of(network.textual.principal_embeddings)
    after = report.distances.loc["after"]
    for name, words in (("principal embeddings", principal), ("text tokens", text)):
        row = after.loc[name]
        expected = sliced_wasserstein(tokens, words)
        assert row["wasserstein"] == pytest.approx(expected, rel=1e-3)
        assert row["kl"] == pytest.approx(gaussian_kl(tokens, words), rel=1e-3)
        chance = by_chance(gaussian_kl, tokens, words)
        assert row["kl_chance"] == pytest.approx(chance, rel=1e-3)
    with torch.no_grad():
        seen = network.branches(windows.values)
    pairs = zip(seen.states, seen.text_states, strict=True)
    for layer, pair in enumerate(pairs):
        row = report.similarity.loc[("after", layer)]
        raw = [numpy_of(state.flatten(0, 1)) for state in pair]
        weights = [
            numpy_of(each[layer].weight)
            for each in (
                network.textual.time_projections,
                network.textual.text_projections,
            )
        ]
        projected = [x @ w.T for x, w in zip(raw, weights, strict=True)]
        for suffix, (a, b) in (("", raw), ("_projected", projected)):
            norms = [np.linalg.norm(x, axis=1) for x in (a, b)]
            cosines = a @ b.T / np.outer(*norms)
            others = cosines[~np.eye(len(cosines), dtype=bool)]
            own = cosines.diagonal().mean()
            assert row[f"own{suffix}"] == pytest.approx(own, abs=1e-5)
            assert row[f"other{suffix}"] == pytest.approx(others.mean(), abs=1e-5)


def test_before_is_the_network_that_training_began_with(monkeypatch):
    began, train = [], type(make())._train

    def spy(self, network, *args, **options):
        began.append({k: v.clone() for k, v in network.state_dict().items()})
        return train(self, network, *args, **options)

    monkeypatch.setattr(type(make()), "_train", spy)
    y = make_series()
    forecaster = make(**KEPT).fit(y)
    from sktime_llm.forecasting._calf_report import _untrained_like

    rebuilt = _untrained_like(forecaster, forecaster.network_).state_dict()
    assert rebuilt.keys() == began[0].keys()
    for name, value in rebuilt.items():
        torch.testing.assert_close(value, began[0][name])
    report = forecaster.inspect_alignment()
    table = report.distances
    assert not np.allclose(table.loc["before"], table.loc["after"])
    # an untrained forecaster is as it was before
    same = make(**KEPT, max_epochs=1, learning_rate=1e-12).fit(y).inspect_alignment()
    np.testing.assert_allclose(
        same.distances.loc["after"], table.loc["before"], rtol=1e-3
    )


def test_nearest_words_are_those_of_highest_cosine():
    forecaster = make(**KEPT).fit(make_series())
    backbone = forecaster.network_.time_backbone
    table = backbone.word_embeddings()
    found = nearest_words(backbone, table[[3, 11]], 4)
    rows = numpy_of(table)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0, norms, 1.0)
    tokenizer = backbone.tokenizer()
    for place, word in enumerate([3, 11]):
        best = np.argsort(-(rows @ rows[word]), kind="stable")[:4].tolist()
        assert found.loc[place].tolist() == tokenizer.convert_ids_to_tokens(best)
        assert found.loc[place, 0] == tokenizer.convert_ids_to_tokens(word)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_report_does_not_depend_on_batches(batch_size):
    forecaster = make(**KEPT).fit(make_series())
    expected = forecaster.inspect_alignment()
    forecaster.batch_size = batch_size
    found = forecaster.inspect_alignment()
    pd.testing.assert_frame_equal(found.attention, expected.attention, rtol=1e-4)
    pd.testing.assert_frame_equal(found.distances, expected.distances, rtol=1e-3)


def test_without_the_textual_branch_its_parts_are_left_out():
    y = make_series()
    kept, dropped = make(**KEPT).fit(y), make().fit(y)
    report, expected = dropped.inspect_alignment(), kept.inspect_alignment()
    assert report.attention is None
    assert report.similarity is None
    words = "principal embeddings"
    found = report.distances
    assert set(found.index.get_level_values("words")) == {words}
    wanted = expected.distances.xs(words, level="words", drop_level=False)
    pd.testing.assert_frame_equal(found, wanted)
    pd.testing.assert_frame_equal(report.words, expected.words)


def test_all_rows_that_were_seen_are_the_default():
    y = make_panel(lengths=(40, 30), n_columns=2)
    forecaster = make(**KEPT).fit(y[y.index.get_level_values(1) < "2003-01"])
    forecaster.update(y, update_params=False)
    found, expected = forecaster.inspect_alignment(), forecaster.inspect_alignment(y)
    pd.testing.assert_frame_equal(found.attention, expected.attention)
    assert found.attention.index.names == ["series", "time", "variate"]


def test_too_few_windows_and_covariates_are_refused():
    y = make_series()
    forecaster = make().fit(y)
    with pytest.raises(InputError, match=r"y has 4 time token.*smaller stride"):
        forecaster.inspect_alignment(y[:17])
    with pytest.raises(InputError, match="was given covariates"):
        make().fit(y, X=y * 2).inspect_alignment()
    forecaster = make(missing="mask").fit(y.mask(np.arange(60)[:, None] % 7 == 3))
    assert np.isfinite(forecaster.inspect_alignment().distances).all(axis=None)


@pytest.mark.parametrize("residual", [False, True])
def test_projections_are_those_that_the_feature_loss_compares(residual, monkeypatch):
    y = make_series()
    forecaster = make(**KEPT, residual_in_features=residual).fit(y)
    network, seen = forecaster.network_.eval(), []
    monkeypatch.setattr(
        type(network.textual),
        "feature_loss",
        lambda self, *pair_and_distance: (
            seen.append(pair_and_distance) or torch.ones(())
        ),
    )
    context = torch.randn(8, network.context_length, y.shape[1])
    with torch.no_grad():
        network(context, torch.randn(8, network.prediction_length, y.shape[1]))
        found = network.branches(context)
    ((states, text_states, _),) = seen
    for one, other in ((found.states, states), (found.text_states, text_states)):
        for shown, compared in zip(one, other, strict=True):
            torch.testing.assert_close(shown, compared)


def test_the_picture_shows_what_is_there():
    pytest.importorskip("matplotlib")
    from sktime_llm.plotting import plot_cross_modal

    y = make_series()
    report = make(**KEPT).fit(y).inspect_alignment()
    distances, similarity, attention, _ = plot_cross_modal(report, n_components=5).axes
    row = report.distances.loc[("after", "text tokens")]
    heights = [bar.get_height() for bar in distances.patches]
    assert heights[-1] == pytest.approx(row["kl"] / row["kl_chance"])
    own = report.similarity.loc["before", "own_projected"]
    assert similarity.lines[0].get_ydata().tolist() == own.tolist()
    shares = attention.images[0].get_array()
    assert shares.shape == (5, len(report.attention))
    top = report.attention.mean().nlargest(5).index
    np.testing.assert_array_equal(shares, report.attention.sort_index()[top].T)
    figure = plot_cross_modal(make().fit(y).inspect_alignment())
    assert len(figure.axes) == 1
    assert "keep_textual_branch=True" in figure.get_supxlabel()
