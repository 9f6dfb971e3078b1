"""Principal word embeddings are those of scikit-learn's PCA, and computed once."""

import shutil
import threading
import weakref

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from sktime_llm.backbone import word_embeddings
from sktime_llm.backbone._module import Backbone
from sktime_llm.backbone.loading import clear_backbone_cache, load_frozen
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.backbone.word_embeddings import principal_word_embeddings
from sktime_llm.errors import InputError


class Words(Backbone):
    """A backbone of nothing but words."""

    vocabulary_key = None

    def __init__(self, table, key="words"):
        super().__init__()
        self.table = torch.as_tensor(table, dtype=torch.float32)
        self.hidden_size = self.table.shape[1]
        self.vocabulary_key = key

    def word_embeddings(self):
        return self.table


@pytest.fixture(autouse=True)
def computed():
    """How often components were computed, by the statistics of an empty cache."""
    cache = word_embeddings._principal_components
    cache.cache_clear()
    return lambda: cache.cache_info().misses


def random_table(n_words, width, seed=0):
    return np.random.default_rng(seed).normal(size=(n_words, width))


def by_sklearn(table, n_components):
    """CALF's principal word embeddings, in float64; (n_components, hidden_size)."""
    pca = PCA(n_components=n_components, svd_solver="full")
    return pca.fit_transform(table.double().numpy().T).T


def assert_same(actual, expected, rtol=1e-5):
    """Compare component by component, relative to its size, up to its sign."""
    actual = actual.double().numpy()
    assert actual.shape == expected.shape
    signs = np.sign((actual * expected).sum(axis=1, keepdims=True))
    size = np.abs(expected).max(axis=1, keepdims=True)
    assert (np.abs(actual * signs - expected) <= rtol * size).all()


def assert_signs(actual, table):
    """Check that each component's word of largest weight has a positive one."""
    centred = table.double() - table.double().mean(dim=1, keepdim=True)
    weights = centred @ actual.double().T
    rows = weights.abs().argmax(dim=0, keepdim=True)
    assert (weights.gather(0, rows) > 0).all()


@pytest.mark.parametrize("name", ["tiny-random", "gpt2", "qwen3"])
def test_same_as_sklearn(folders, name):
    backbone = make_backbone(BackboneChoice(folders.get(name, name)))
    table = backbone.word_embeddings()
    for n in (1, 5, 15):
        actual = principal_word_embeddings(backbone, n)
        assert actual.shape == (n, 16)
        assert_same(actual, by_sklearn(table, n))
        assert_signs(actual, table)


@pytest.mark.parametrize("n_words", [20, 9000])  # 9000 are more than one piece
def test_same_as_sklearn_for_other_sizes(n_words):
    table = torch.as_tensor(random_table(n_words, 12) + 5, dtype=torch.float32)
    actual = principal_word_embeddings(Words(table), 11)
    assert_same(actual, by_sklearn(table, 11))
    assert_signs(actual, table)


@pytest.mark.slow
def test_same_as_sklearn_for_the_default_backbone(minilm):
    backbone = make_backbone(BackboneChoice(minilm))
    table = backbone.word_embeddings()
    assert table.shape == (30522, 384)
    assert_same(principal_word_embeddings(backbone, 383), by_sklearn(table, 383))


def test_fewer_words_than_components():
    actual = principal_word_embeddings(Words(random_table(5, 16)), 15)
    assert actual.isfinite().all()
    sizes = actual.norm(dim=1)
    assert (sizes[:5] > 0.1).all()
    assert (sizes[5:] < 1e-5).all()


@pytest.mark.parametrize("n_components", [0, -1, 16, 17])
def test_limits(n_components):
    backbone = make_backbone(BackboneChoice("tiny-random"))
    message = rf"{n_components} principal .* between 1 and 15: a backbone of width 16"
    with pytest.raises(InputError, match=message):
        principal_word_embeddings(backbone, n_components)


def test_computed_once(computed):
    backbone = Words(random_table(40, 8))
    many = principal_word_embeddings(backbone, 7)
    few = principal_word_embeddings(backbone, 3)
    assert torch.equal(few, many[:3])
    twin = Words(random_table(40, 8))
    assert torch.equal(principal_word_embeddings(twin, 7), many)
    assert computed() == 1
    other = Words(random_table(40, 8, seed=1), "other words")
    assert not torch.equal(principal_word_embeddings(other, 7), many)


@pytest.fixture(params=["cleared", "evicted"])
def forget_models(request):
    """Let go of the models in the cache."""

    def forget():
        if request.param == "cleared":
            clear_backbone_cache()
        for seed in range(4):
            load_frozen(BackboneChoice("tiny-random", mode="random", random_seed=seed))

    return forget


def test_components_are_those_of_the_model_that_is_in_the_folder_now(
    save_model, tmp_path, forget_models
):
    choice = BackboneChoice(str(tmp_path))
    for kind in ("gpt2", "llama"):
        shutil.copytree(save_model(kind), tmp_path, dirs_exist_ok=True)
        backbone = make_backbone(choice)
        expected = by_sklearn(backbone.word_embeddings(), 15)
        assert_same(principal_word_embeddings(backbone, 15), expected)
        forget_models()


def test_first_layers_have_the_components_of_all(folders, computed):
    for n_layers in (1, 2):
        backbone = make_backbone(BackboneChoice(folders["gpt2"], n_layers=n_layers))
        principal_word_embeddings(backbone, 3)
    assert computed() == 1


def test_result_is_the_callers_own():
    backbone = Words(random_table(40, 8))
    first = principal_word_embeddings(backbone, 3)
    before = first.clone()
    first.zero_()
    assert torch.equal(principal_word_embeddings(backbone, 3), before)
    # and holds nothing but what was asked for
    assert first.untyped_storage().nbytes() == 3 * 8 * 4


def test_cache_keeps_eight_and_no_table(computed):
    words = [Words(random_table(40, 8), f"words {i}") for i in range(9)]
    for backbone in [*words, words[8], words[1]]:
        principal_word_embeddings(backbone, 3)
    assert computed() == 9
    principal_word_embeddings(words[0], 3)
    assert computed() == 10
    table = weakref.ref(words[0].table)
    del words, backbone
    assert table() is None


def test_many_threads_compute_once(computed):
    backbone = Words(random_table(4000, 64))
    start = threading.Barrier(8)
    results = []

    def run():
        start.wait()
        results.append(principal_word_embeddings(backbone, 3))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert computed() == 1
    assert len(results) == 8
    assert all(torch.equal(result, results[0]) for result in results)
