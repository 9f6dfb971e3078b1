"""What only LLM-TS Net has."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from sktime_llm.backbone._module import LanguageModelBackbone
from sktime_llm.backbone.loading import BackboneChoice, load_frozen
from sktime_llm.errors import (
    DescriptionError,
    InputError,
)
from sktime_llm.forecasting import _describing
from sktime_llm.networks.llm_ts_net import LLMTSNetwork
from sktime_llm.text.describers import Describer, TemplateDescriber
from sktime_llm.text.encoder import DescriptionEncoder
from sktime_llm.training import trainer

from .common import FORECASTERS, make_panel, make_series

make = FORECASTERS["llm-ts-net"]
FH = [1, 2, 3, 4]
TINY = ["tiny-random", "tiny-random-decoder"]
LEARNS = {
    "context_length": 24,
    "prediction_length": 4,
    "d_model": 16,
    "d_ff": 32,
    "learning_rate": 5e-3,
    "batch_size": None,
}

close = torch.testing.assert_close


def make_waves(n_rows, sd=0.0, seed=0):
    """Of known noise, on two levels and scales."""
    rng = np.random.default_rng(seed)
    t = 2 * np.pi * np.arange(n_rows) / 12
    columns = {"a": 50 + 5 * np.sin(t), "b": -3 + 20 * np.cos(t)}
    return pd.DataFrame(columns) + sd * rng.normal(size=(n_rows, 2)) * [1.0, 4.0]


def with_gaps(y, share, kind, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "random":
        return y.mask(rng.random(y.shape) < share)
    y = y.copy()
    for column in y:
        gone = np.zeros(len(y), dtype=bool)
        while gone.mean() < share:
            start = rng.integers(0, len(y) - 8)
            gone[start : start + 8] = True
        y.loc[gone, column] = np.nan
    return y


def walk_forward(forecaster, y, first, forecast):
    """What `forecast` gives at every fourth row from `first` on."""
    forecaster.fit(y[:first])
    results = [forecast(forecaster)]
    for at in range(first, len(y) - 4, 4):
        forecaster.update(y[at : at + 4], update_params=False)
        results.append(forecast(forecaster))
    return pd.concat(results)


def memory_of(forecaster):
    return forecaster.network_.descriptions


def embedding_of(forecaster, texts):
    """What the language model and the pooling make of texts."""
    memory = memory_of(forecaster)
    with torch.no_grad():
        return memory.pooling(*memory.encoder.read(texts))


@pytest.fixture
def readings(monkeypatch):
    """Sizes of the batches that the language model reads, as a list that grows."""
    sizes, read = [], LanguageModelBackbone._hidden_states

    def spy(self, inputs_embeds, attention_mask):
        sizes.append(len(inputs_embeds))
        return read(self, inputs_embeds, attention_mask)

    monkeypatch.setattr(LanguageModelBackbone, "_hidden_states", spy)
    return sizes


@pytest.mark.parametrize("kind", ["random", "blocks"])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
@pytest.mark.slow
def test_missing_values(share, kind):
    clean = make_waves(320)
    y = with_gaps(clean, share, kind)
    relative = []
    for seed in range(3 if kind == "blocks" else 1):  # seeds differ by up to a fifth
        forecaster = make(**LEARNS, max_epochs=12, random_state=seed)
        forecast = walk_forward(forecaster, y, 260, lambda f: f.predict(fh=FH))
        assert np.isfinite(forecast.to_numpy()).all()
        errors = (forecast - clean.loc[forecast.index]).abs().mean()
        of_mean = (clean[:260].mean() - clean.loc[forecast.index]).abs().mean()
        relative.append((errors / of_mean).mean())
    assert np.mean(relative) < (0.6 if share < 0.5 else 0.95)


def test_missing_values_with_uncertainty():
    clean = make_waves(200)
    y = with_gaps(clean, 0.7, "random")
    forecaster = make(**LEARNS, max_epochs=5, uncertainty=True).fit(y)
    # a loss far from that of a standard normal is of one value in a window
    assert forecaster.history_["loss"].abs().max() < 3
    variance = forecaster.predict_var(fh=FH)
    assert (variance.to_numpy() > 0).all()


def test_scales_and_descriptions_are_of_what_is_there():
    y = make_series(n_rows=40, n_columns=2)
    y.iloc[::2, 0] = np.nan
    forecaster = make(validation_fraction=0.0).fit(y)
    scaling = forecaster._known.scalings[None]
    np.testing.assert_allclose(scaling.loc, y.mean())
    np.testing.assert_allclose(scaling.scale, y.std(ddof=0))
    assert "issing" in forecaster.descriptions_["y0"]
    assert "issing" not in forecaster.descriptions_["y1"]


@pytest.fixture(scope="module")
def sure():
    forecaster = make(uncertainty=True, batch_size=None)
    return {
        "series": copy.deepcopy(forecaster).fit(make_series()["y0"]),
        "columns": copy.deepcopy(forecaster).fit(make_series(n_columns=2)),
        "panel": copy.deepcopy(forecaster).fit(make_panel(n_columns=2)),
    }


@pytest.mark.filterwarnings("error", "ignore:.*requires skpro")
@pytest.mark.parametrize("kind", ["series", "columns", "panel"])
def test_quantities_agree(sure, kind):
    forecaster, fh = sure[kind], [1, 2, 5]
    mean = pd.DataFrame(forecaster.predict(fh=fh))
    names = list(mean.columns)
    variance = forecaster.predict_var(fh=fh)
    assert variance.index.equals(mean.index)
    assert list(variance.columns) == names
    deviation = np.sqrt(variance)

    interval = forecaster.predict_interval(fh=fh, coverage=[0.5, 0.9])
    assert interval.index.equals(mean.index)
    assert list(interval.columns) == [
        (name, coverage, side)
        for name in names
        for coverage in (0.5, 0.9)
        for side in ("lower", "upper")
    ]
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=[0.05, 0.5, 0.95])
    assert list(quantiles.columns) == [(n, a) for n in names for a in (0.05, 0.5, 0.95)]
    for name in names:
        lower = mean[name] - 1.6448536 * deviation[name]
        np.testing.assert_allclose(interval[(name, 0.9, "lower")], lower, rtol=1e-6)
        np.testing.assert_allclose(quantiles[(name, 0.05)], lower, rtol=1e-6)
        np.testing.assert_allclose(quantiles[(name, 0.5)], mean[name])
        upper = 2 * mean[name] - lower
        np.testing.assert_allclose(interval[(name, 0.9, "upper")], upper, rtol=1e-6)
    distribution = forecaster.predict_proba(fh=fh)
    np.testing.assert_allclose(distribution.mean(), mean)
    np.testing.assert_allclose(distribution.var(), variance)
    with pytest.raises(NotImplementedError, match="does not forecast covariances"):
        forecaster.predict_var(fh=fh, cov=True)


@pytest.mark.slow
def test_predicted_spread_is_that_of_its_errors():
    y = make_waves(1100, sd=1.0)
    forecaster = make(**LEARNS, uncertainty=True, max_epochs=10)

    def forecast(f):
        deviation = np.sqrt(f.predict_var(fh=FH))
        interval = f.predict_interval(fh=FH, coverage=0.9)
        lower, upper = (
            interval.xs(side, axis=1, level=2).droplevel(1, axis=1)
            for side in ("lower", "upper")
        )
        inside = (lower <= y.loc[lower.index]) & (y.loc[lower.index] <= upper)
        squared_error = (f.predict(fh=FH) - y.loc[lower.index]) ** 2
        return pd.concat(
            {"sd": deviation, "inside": inside, "squared error": squared_error}, axis=1
        )

    found = walk_forward(forecaster, y, 900, forecast).astype(float).mean()
    for name in ("a", "b"):
        # the spread is of the errors that dropout leaves in training: a little wide
        error = np.sqrt(found["squared error", name])
        assert 0.9 * error < found["sd", name] < 1.35 * error
        assert 0.80 < found["inside", name] < 0.98
    # the noise of b has four times the deviation of that of a
    assert found["sd", "b"] / found["sd", "a"] == pytest.approx(4, rel=0.15)


def test_variance_grows_where_forecasts_are_rolled_forward(sure):
    variance = sure["columns"].predict_var(fh=np.arange(1, 10)).to_numpy()
    for later in (slice(3, 6), slice(6, 9)):
        assert (variance[later] > variance[later.start - 1]).all()


def test_a_quiet_stretch_does_not_make_it_sure():
    rng = np.random.default_rng(0)
    y = np.zeros(300)
    y[rng.choice(300, 30, replace=False)] = 10.0
    y[-24:] = 0.0
    forecaster = make(**LEARNS, uncertainty=True, max_epochs=5, validation_fraction=0.0)
    forecaster.fit(pd.DataFrame({"spikes": y}))
    assert (forecaster.predict_var(fh=FH) > 0.2 * y.var()).all(axis=None)


def test_the_epoch_is_chosen_by_the_likelihood():
    forecaster = make(**LEARNS, uncertainty=True, max_epochs=6, validation_fraction=0.2)
    history = forecaster.fit(make_waves(300)).history_
    assert history["validation_loss"].min() < 0  # which no distance is
    assert history["best"].idxmax() == history["validation_loss"].idxmin()


@pytest.mark.parametrize(
    ("parameter", "part"),
    [
        ("text_fusion", "fusion."),
        ("text_fusion", "descriptions."),
        ("prompt_pool", "pool."),
        ("prompt_pool", "query."),
        ("intra_series_attention", "blocks.0.intra_series."),
        ("inter_series_attention", "blocks.1.inter_series."),
    ],
)
def test_a_part_can_be_removed(parameter, part):
    y = make_series(n_columns=2)
    whole, without = make().fit(y), make(**{parameter: False}).fit(y)
    found, left = (
        any(name.startswith(part) for name, _ in f.network_.named_parameters())
        for f in (whole, without)
    )
    assert found
    assert not left
    forecast = without.predict(fh=FH)
    assert forecast.notna().all(axis=None)
    assert not forecast.equals(whole.predict(fh=FH))


def test_turns_at_a_level_are_learned_with_the_level():
    wave = 1000 + 50 * np.abs(np.arange(400) % 40 - 20.0)  # 50 a step, up and down
    losses = []
    for level_input in (False, True):
        forecaster = make(
            **{**LEARNS, "context_length": 6, "prediction_length": 6},
            level_input=level_input,
            text_fusion=False,
            task_loss="mse",
            max_epochs=10,
            validation_fraction=0.25,
        ).fit(pd.Series(wave))
        losses.append(forecaster.history_["validation_loss"].min())
    assert losses[1] < losses[0] / 4


@pytest.mark.parametrize("standardize", [True, False])
def test_the_level_is_relative_to_the_rows_of_each_fit(standardize):
    parameters = {"level_input": True, "standardize": standardize}
    y, forecasts = make_series(n_columns=2), []
    for a, b in [(1, 0), (3, 1000)]:
        forecaster = make(**parameters, text_fusion=False).fit(a * y[:-10] + b)
        forecaster.update(a * y[-10:] + b, update_params=False)
        forecasts.append((forecaster.predict(fh=FH) - b) / a)
    np.testing.assert_allclose(*forecasts, rtol=1e-4)
    if standardize:  # else a pretrained network has no scale for further series
        start = make(**parameters, text_fusion=False).pretrain(make_panel(), fh=FH)
        of_new = [
            (start.clone().fit(a * y.iloc[:, :1] + b).predict(fh=FH) - b) / a
            for a, b in [(1, 0), (3, 1000)]
        ]
        np.testing.assert_allclose(*of_new, rtol=1e-4)


def test_without_text_no_backbone_is_loaded():
    forecaster = make(text_fusion=False, backbone="no/such-model").fit(make_series())
    assert not hasattr(forecaster, "descriptions_")
    assert forecaster.predict(fh=FH).notna().all(axis=None)


@pytest.mark.parametrize("backbone", TINY)
@pytest.mark.parametrize("mode", ["pretrained", "random", "none", "transformer"])
def test_backbones(backbone, mode):
    y = make_series(n_columns=2)
    steps = 0 if (backbone, mode) == ("tiny-random-decoder", "none") else 2
    one, same = (
        make(backbone=backbone, backbone_mode=mode, language_model_steps=steps)
        .fit(y)
        .predict(fh=FH)
        for _ in range(2)
    )
    assert one.notna().all(axis=None)
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(make(text_fusion=False).fit(y).predict(fh=FH))


def test_the_language_model_runs_only_when_series_are_new(readings):
    y = make_panel(lengths=(40, 40))
    forecaster = make(language_model_steps=3, max_epochs=1).fit(y)
    assert readings == [2, 2, 2, 2]  # three steps, then it reads
    make(language_model_steps=3, max_epochs=3).fit(y)
    assert readings == [2] * 8
    readings.clear()
    forecaster.predict(fh=FH)
    forecaster.inspect_alignment()
    forecaster.update(y.groupby(level=0).tail(2))
    forecaster.predict(fh=FH)
    assert readings == []
    more = make_panel(lengths=(40, 40, 20))
    forecaster.update(more.loc[["s2"]])
    assert readings == [1]
    forecaster.predict(fh=FH)
    assert readings == [1]


def test_without_steps_the_language_model_only_reads(readings):
    forecaster = make(language_model_steps=0).fit(make_series(n_columns=2))
    assert readings == [2]
    assert forecaster.language_model_losses_ == []
    parameters = memory_of(forecaster).encoder.named_parameters()
    # the up-projections of adapters start at zero
    assert all((p == 0).all() for n, p in parameters if "lora_C" in n)
    losses = make(language_model_steps=4).fit(make_series()).language_model_losses_
    assert len(losses) == 4
    assert np.isfinite(losses).all()


def test_embeddings_are_of_the_best_epoch():
    y = make_series(n_rows=200, n_columns=2)
    y += 3 * np.random.default_rng(0).normal(size=y.shape)
    settings = {"learning_rate": 0.1, "lr_schedule": "constant"}
    forecaster = make(max_epochs=8, validation_fraction=0.2, **settings).fit(y)
    assert forecaster.history_["best"].idxmax() < len(forecaster.history_) - 1
    assert memory_of(forecaster).pooling.query.abs().max() > 1e-3
    expected = embedding_of(forecaster, forecaster.descriptions_.tolist())
    close(memory_of(forecaster).embeddings[0], expected)


class Lengths(Describer):
    """Tells how much it was given."""

    def _describe(self, series):
        return [f"{one.name} has {len(one.values)} steps" for one in series]


def lengths_told(monkeypatch, y, **kwargs):
    """Fit to rows that hold their number; return each window's last row and its text.

    As how many rows the text is of; and as many for every text that was tuned on.
    """
    told, tuned, windows = [], [], []
    forward, tune = LLMTSNetwork.forward, DescriptionEncoder.tune

    def recorded(self, context, target=None, features=None):
        if features is not None:
            windows.append((context[:, -1], features["series"]))
        return forward(self, context, target, features)

    def tuned_on(self, texts, **options):
        tuned.extend(int(text.split()[-2]) for text in texts)
        return tune(self, texts, **options)

    monkeypatch.setattr(LLMTSNetwork, "forward", recorded)
    monkeypatch.setattr(DescriptionEncoder, "tune", tuned_on)
    describer = Lengths()
    monkeypatch.setattr(
        Lengths,
        "_describe",
        lambda self, series: (
            told.extend(len(one.values) for one in series)
            or [f"{one.name} has {len(one.values)} steps" for one in series]
        ),
    )
    forecaster = make(describer=describer, standardize=False, **kwargs).fit(y)
    scaling = next(iter(forecaster._known.scalings.values()))
    rows = np.concatenate([scaling.undo(w.numpy())[:, 0].round() for w, _ in windows])
    n_rows = np.array(told)[np.concatenate([n.numpy() for _, n in windows])]
    return forecaster, rows.astype(int), n_rows, told, tuned


@pytest.mark.parametrize("n", [2, 5])
def test_a_window_gets_the_last_text_before_its_target(monkeypatch, n):
    y = pd.Series(np.arange(100.0))
    forecaster, rows, n_rows, told, tuned = lengths_told(
        monkeypatch, y, n_descriptions=n, validation_fraction=0.2
    )
    assert told == np.linspace(8, 100, n).round().astype(int).tolist()
    known = np.array([[m for m in told if m <= row + 1][-1] for row in rows])
    np.testing.assert_array_equal(n_rows, known)
    assert set(rows) == {*range(7, 77), *range(79, 97)}  # to train, and to validate
    assert max(tuned) <= 80 < max(told)  # nothing is fitted to rows of validation
    assert forecaster.descriptions_.tolist() == ["0 has 100 steps"]
    assert forecaster._known.numbers[None] == n - 1


def test_what_comes_later_changes_no_text_before(monkeypatch):
    texts = []
    describe = TemplateDescriber._describe

    def recorded(self, series):
        texts.append(describe(self, series))
        return texts[-1]

    monkeypatch.setattr(TemplateDescriber, "_describe", recorded)
    y = make_series(n_rows=100)
    other = y.copy()
    other.iloc[60:] += 100
    for data in (y, other):
        make(n_descriptions=5).fit(data)
    before = np.linspace(8, 100, 5).round() <= 60
    assert [a == b for a, b in zip(*texts, strict=True)] == before.tolist()


@pytest.mark.filterwarnings("ignore::sktime_llm.errors.ShortSeriesWarning")
def test_texts_of_short_series_are_of_what_they_have(monkeypatch):
    parts = {"a": pd.DataFrame({"y": np.arange(60.0)}), "b": None}
    parts["b"] = parts["a"].iloc[:6]  # padded to 11 rows
    y = pd.concat(parts, names=["series", "time"])
    forecaster, _, _, told, _ = lengths_told(monkeypatch, y, n_descriptions=3)
    assert told == [8, 34, 60, 3, 4, 6]
    assert forecaster._known.numbers == {"a": 2, "b": 5}
    assert forecaster.predict(fh=FH).notna().all(axis=None)


def test_long_panels_are_described_at_fewer_times(monkeypatch, readings):
    monkeypatch.setattr(_describing, "_MAX_TEXTS", 9)
    y = make_panel(lengths=(40, 40, 40))
    make(n_descriptions=8, language_model_steps=0).fit(y)
    assert readings == [9]
    monkeypatch.setattr(_describing, "_MAX_TEXTS", 2)
    make(n_descriptions=8, language_model_steps=0).fit(y)
    assert readings == [9, 6]  # but at two, at least


def test_a_describer_is_told_names():
    y = make_panel(lengths=(50, 40), n_columns=2)
    forecaster = make(describer=Lengths(), n_descriptions=2).fit(y)
    names = [("s0", "y0"), ("s0", "y1"), ("s1", "y0"), ("s1", "y1")]
    assert list(forecaster.descriptions_.index) == names
    texts = [
        f"{name} has {n} steps" for name, n in zip(names, [50, 50, 40, 40], strict=True)
    ]
    assert forecaster.descriptions_.tolist() == texts
    expected = embedding_of(forecaster, texts).unflatten(0, (2, 2))
    close(memory_of(forecaster).embeddings[1::2], expected)


@pytest.mark.parametrize(
    ("kind", "descriptions"),
    [
        ("columns", {"y1": "falls", "y0": "rises"}),
        ("columns", ["rises", "falls"]),
        ("columns", pd.Series({"y1": "falls", "y0": "rises"})),
        ("panel", {"s1": "falls", "s0": "rises"}),
        ("panel of columns", {("s0", "y0"): "rises", ("s0", "y1"): "falls"}),
    ],
)
def test_descriptions_of_the_user(kind, descriptions, readings):
    y = {
        "columns": make_series(n_columns=2),
        "panel": make_panel(lengths=(40, 40)),
        "panel of columns": make_panel(lengths=(40,), n_columns=2),
    }[kind]
    forecaster = make(descriptions=descriptions).fit(y)
    assert forecaster.descriptions_.tolist() == ["rises", "falls"]
    expected = embedding_of(forecaster, ["rises", "falls"])
    close(memory_of(forecaster).embeddings.flatten(0, 1), expected)
    forecast = forecaster.predict(fh=FH)
    assert not forecast.equals(make().fit(y).predict(fh=FH))


@pytest.mark.parametrize(
    ("descriptions", "error", "message"),
    [
        ({"y0": "rises"}, InputError, "no description for the series 'y1'"),
        (
            {"y0": "rises", "y1": "falls", "y2": "flat"},
            InputError,
            "descriptions for 'y2', which are not series",
        ),
        (["rises"], InputError, "got 1 descriptions for 2 series"),
        ("rises", InputError, "descriptions='rises', expected a mapping"),
        (["rises", " "], DescriptionError, "series 'y1': the user's descriptions"),
        (["rises", 2000 * "up and "], InputError, r"of 'y1' has \d+ tokens"),
    ],
)
def test_wrong_descriptions(descriptions, error, message):
    with pytest.raises(error, match=message):
        make(descriptions=descriptions).fit(make_series(n_columns=2))


def test_new_series_get_descriptions_of_their_own():
    y = make_panel(lengths=(40, 40))
    more = make_panel(lengths=(40, 40, 30))
    forecaster = make().fit(y)
    before = memory_of(forecaster).embeddings.clone()
    old = forecaster.predict(fh=FH)
    forecaster.update(more.loc[["s2"]], update_params=False)
    assert list(forecaster.descriptions_.index) == ["s0", "s1", "s2"]
    found = memory_of(forecaster).embeddings
    assert torch.equal(found[:2], before)
    close(found[2], embedding_of(forecaster, [forecaster.descriptions_["s2"]]))
    forecast = forecaster.predict(fh=FH)
    pd.testing.assert_frame_equal(forecast.loc[["s0", "s1"]], old)
    # and they are forecast with them
    with torch.no_grad():
        memory_of(forecaster).embeddings[2].normal_()
    changed = (forecaster.predict(fh=FH) != forecast).groupby(level=0).any()
    assert changed["y0"].tolist() == [False, False, True]


def test_new_series_with_descriptions_of_the_user():
    texts = {"s0": "rises", "s1": "falls"}
    forecaster = make(descriptions=texts).fit(make_panel(lengths=(40, 40)))
    new = make_panel(lengths=(40, 40, 30)).loc[["s2"]]
    with pytest.raises(InputError, match="no description for the series 's2'; expec"):
        forecaster.update(new)
    texts["s2"] = "flat"
    forecaster.update(new)
    assert forecaster.descriptions_.tolist() == ["rises", "falls", "flat"]
    in_order = make(descriptions=["rises"]).fit(make_panel(lengths=(40,)))
    with pytest.raises(InputError, match=r"is a list, expected a mapping .*'s1'"):
        in_order.update(make_panel(lengths=(40, 40)).loc[["s1"]])


@pytest.mark.parametrize("epochs", [0, 1])
def test_series_of_fit_after_pretrain(epochs, readings):
    y = make_series(n_columns=2, seed=9)
    forecaster = make(fine_tune_epochs=epochs).pretrain(make_panel(n_columns=2))
    before = copy.deepcopy(forecaster.pretrained_network_.descriptions)
    readings.clear()
    forecaster.fit(y)
    assert readings == [2]  # read, and not tuned again
    assert list(forecaster.descriptions_.index) == ["y0", "y1"]
    assert forecaster.descriptions_.tolist() == make().fit(y).descriptions_.tolist()
    after = memory_of(forecaster)
    assert after.embeddings.shape[:2] == (1, 2)
    assert after._states is None
    close(after.embeddings[0], embedding_of(forecaster, forecaster.descriptions_))
    for name, p in after.encoder.named_parameters():
        assert torch.equal(p, before.encoder.get_parameter(name))
    assert torch.equal(
        forecaster.pretrained_network_.descriptions.embeddings, before.embeddings
    )
    assert forecaster.predict(fh=FH).notna().all(axis=None)


def test_new_series_after_pretrain_and_fit():
    forecaster, y = make().pretrain(make_panel()), make_panel(lengths=(40, 40))
    losses = forecaster.language_model_losses_
    assert forecaster.fit(y).fit(y).language_model_losses_ == losses
    assert forecaster.clone().fit(y).language_model_losses_ == losses
    # trains, though the fit before did not
    forecaster.update(make_panel(lengths=(42, 42, 30)))
    assert list(forecaster.descriptions_.index) == ["s0", "s1", "s2"]
    assert len(forecaster.predict(fh=FH)) == 3 * len(FH)


def test_history_has_the_share_of_the_pool_in_use():
    y = make_series(n_columns=2)
    history = make(n_prompts=4).fit(y).history_
    assert history["pool_in_use"].between(0.25, 1.0).all()
    total = history["task"] + 0.1 * history["selection"]
    assert history["loss"].tolist() == pytest.approx(total.tolist(), rel=1e-5)
    history = make(selection_loss_weight=0).fit(y).history_
    assert "selection" not in history
    assert history["loss"].tolist() == history["task"].tolist()
    history = make(prompt_pool=False).fit(y).history_
    assert "pool_in_use" not in history


def test_a_collapsed_pool_is_noticed():
    forecaster = make(n_prompts=4, n_selected_prompts=1, selection_loss_weight=0)
    forecaster.fit(make_series())
    with torch.no_grad():
        forecaster.network_.pool.keys.copy_(torch.zeros(4, 8))
        forecaster.network_.pool.keys[1] = 1e-6
    forecaster.update(make_series(n_rows=70)[60:])
    assert forecaster.history_["pool_in_use"].iloc[-1] < 0.6


def test_hundreds_of_variates_in_one_model(monkeypatch):
    kept, batches = [], []
    train_step = trainer._Run.train_step

    def spy(self, indices, share):
        storages = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            losses = train_step(self, indices, share)
        kept.append(sum(storages.values()) / 1e6)
        batches.append(len(indices))
        return losses

    monkeypatch.setattr(trainer._Run, "train_step", spy)
    y = make_series(n_rows=720, n_columns=207)
    settings = {"batch_size": None, "max_epochs": 1, "validation_fraction": 0.02}
    make(**settings, steps_per_epoch=2, text_fusion=False).fit(y).predict(fh=FH)
    assert batches == [19, 19]  # as many as have 4,096 variates
    # of the width 8; that of the default 64 is eight times as much
    assert max(kept) < 80


def test_a_small_batch_of_many_variates_is_described_at_once(readings):
    y = make_series(n_rows=40, n_columns=70)
    forecaster = make(max_epochs=1, language_model_steps=1).fit(y)
    assert readings == [16, 64, 6]
    assert memory_of(forecaster).embeddings.shape == (1, 70, 16)


@pytest.mark.parametrize("backbone", TINY)
def test_what_is_saved(backbone, tmp_path):
    forecaster = make(backbone=backbone, uncertainty=True).fit(make_series(n_columns=2))
    expected = forecaster.predict_var(fh=FH)
    saved = pickle.dumps(forecaster)
    frozen = load_frozen(BackboneChoice(backbone))
    for name, weight in {
        **frozen.model.state_dict(),
        "words": frozen.word_embeddings,
    }.items():
        if weight.unique().numel() > 2:
            assert weight.numpy().tobytes() not in saved, name
    for copied in (copy.deepcopy(forecaster), pickle.loads(saved)):
        pd.testing.assert_frame_equal(copied.predict_var(fh=FH), expected)
        encoder = memory_of(copied).encoder
        assert not any(p.requires_grad for p in encoder.parameters())
        # new series are described as by the original
        texts = ["rises", "falls"]
        close(embedding_of(copied, texts), embedding_of(forecaster, texts))


def test_patch_length_by_default():
    y = make_series()
    for context_length, patch_length in ((8, 1), (24, 2), (25, 3)):
        forecaster = make(patch_length=None, context_length=context_length).fit(y)
        assert forecaster.network_.patch_length == patch_length


@pytest.mark.parametrize("task_loss", ["mae", "mse", "smooth_l1"])
def test_task_losses(task_loss):
    forecaster = make(task_loss=task_loss, max_epochs=1).fit(make_series())
    assert forecaster._validation_loss() == forecaster.network_.task_loss == task_loss


def test_forecasts_of_a_saved_forecaster_need_no_language_model(monkeypatch):
    y = make_panel(n_columns=2)
    forecaster = make().fit(y)
    expected = forecaster.predict(fh=FH)
    saved = pickle.dumps(forecaster)

    def refuse(*args, **kwargs):
        raise AssertionError("the language model was loaded")

    monkeypatch.setattr("sktime_llm.backbone._module.load_frozen", refuse)
    loaded = pickle.loads(saved)
    pd.testing.assert_frame_equal(loaded.predict(fh=FH), expected)
    again = pickle.loads(pickle.dumps(copy.deepcopy(loaded)))
    pd.testing.assert_frame_equal(again.predict(fh=FH), expected)
    loaded.update(y.groupby(level=0).tail(2))
    assert loaded.predict(fh=FH).notna().all(axis=None)
    with pytest.raises(AssertionError, match="language model was loaded"):
        again.update(y.rename(index={"s0": "new"}))
