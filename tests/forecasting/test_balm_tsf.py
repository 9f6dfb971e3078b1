"""What only BALM-TSF has."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel, BertConfig, PreTrainedTokenizerBase

from sktime_llm.backbone import _module
from sktime_llm.backbone.loading import clear_backbone_cache, load_tokenizer
from sktime_llm.errors import ClippedParameterWarning, InputError
from sktime_llm.layers.normalization import instance_norm
from sktime_llm.networks.balm_tsf import PromptBranch
from sktime_llm.text.window_text import window_statistics, write_texts
from sktime_llm.training import trainer

from .common import FORECASTERS, SMALL, make_panel, make_series

CONTEXT, HORIZON = SMALL["context_length"], SMALL["prediction_length"]
FH = [1, 2, 3, 4]
BACKBONES = ["tiny-random", "tiny-random-decoder"]
ORDERS = ["text-first", "prompts-first"]

make = FORECASTERS["balm-tsf"]


def test_defaults_that_do_not_fit_are_shortened_without_warning():
    defaults = {"context_length": None, "patch_length": None, "d_ff": None}
    network = make(**defaults).fit(make_series(30)).network_
    assert (network.context_length, network.embedding.patch_length) == (14, 14)
    assert network.d_ff == 16


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"patch_length": 9}, "=9, but the context has 8 steps; it is clipped to 8"),
        ({"d_ff": 17}, "=17, but a backbone of width 16 has no more; .* clipped to 16"),
    ],
)
def test_what_is_too_long_is_clipped(parameters, message):
    ((name, value),) = parameters.items()
    with pytest.warns(ClippedParameterWarning, match=name + message):
        forecaster = make(**parameters).fit(make_series())
    # warnings of ours are errors in the tests
    fitting = make(**{name: value - 1}).fit(make_series())
    for network in (forecaster.network_, fitting.network_):
        clipped = {"patch_length": network.embedding.patch_length, "d_ff": network.d_ff}
        assert clipped[name] == value - 1
    assert getattr(forecaster, name) == value
    assert forecaster.predict(fh=FH).notna().all(axis=None)


@pytest.mark.parametrize(
    ("parameters", "n_prompts"),
    [
        ({}, 2),
        ({"context_length": 20, "prediction_length": 9}, 4),  # 10 patches, 9 of 20
        ({"context_length": 20, "prediction_length": 9, "prompt_length": 7}, 7),
    ],
)
def test_prompt_length(parameters, n_prompts):
    network = make(**parameters).fit(make_series()).network_
    assert network.text.prompts.shape == (n_prompts, 16)


@pytest.mark.parametrize("parameter", ["alignment_loss_weight", "init_temperature"])
def test_parameters_of_the_contrast(parameter):
    y = make_series()
    settings = {"learning_rate": 1e-9, "dropout": 0.0, parameter: 0.3}
    forecaster = make(**settings).fit(y)
    history = forecaster.history_
    weight = 0.3 if parameter == "alignment_loss_weight" else 1.0
    total = history["task"] + weight * history["contrastive"]
    assert history["loss"].tolist() == pytest.approx(total.tolist(), rel=1e-5)
    start = 0.3 if parameter == "init_temperature" else 0.07
    report = forecaster.inspect_alignment()
    assert report.temperature == pytest.approx(start, rel=1e-5)


@pytest.mark.parametrize("task_loss", ["mae", "mse", "smooth_l1"])
def test_task_losses(task_loss):
    forecaster = make(task_loss=task_loss).fit(make_series())
    assert forecaster._validation_loss() == forecaster.network_.task_loss == task_loss


@pytest.mark.parametrize("balance_text", [True, False])
def test_texts_are_balanced_unless_told_otherwise(balance_text):
    forecaster = make(balance_text=balance_text).fit(make_series())
    scales = forecaster.inspect_alignment().scales
    assert scales["balanced text"].equals(scales["text"]) is not balance_text


@pytest.fixture
def texts_at_once(monkeypatch):
    """How many texts the language model is given, in training and in forecasts."""
    seen = {True: [], False: []}
    read = PromptBranch.forward

    def spy(self, token_ids):
        seen[self.training].append(len(token_ids))
        return read(self, token_ids)

    monkeypatch.setattr(PromptBranch, "forward", spy)
    return seen


def test_many_variates_make_small_batches_by_default(texts_at_once):
    y = make_panel(lengths=(40,) * 9, n_columns=300)
    settings = {"batch_size": None, "steps_per_epoch": 2, "validation_fraction": 0.0}
    make(**settings, max_epochs=1, n_lags=0).fit(y).predict(fh=[1])
    assert texts_at_once[True] == [1800, 1800]  # 6 windows have 2,048 variates at most
    # before, where there are threads to choose, operations of one window are counted
    assert texts_at_once[False][-2:] == [1800, 900]


@pytest.mark.parametrize(
    ("n_columns", "most"), [(1, 256), (7, 256), (8, 256), (100, 20), (5000, 1)]
)
def test_the_max_batch_size_by_default(n_columns, most):
    assert make()._max_batch_size(n_columns) == most


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("order", ORDERS)
def test_texts_that_do_not_fit_are_refused_before_training(
    backbone, order, monkeypatch
):
    steps = []
    monkeypatch.setattr(
        trainer._Run, "train_step", lambda *args: steps.append(args) or {}
    )
    forecaster = make(backbone=backbone, prompt_order=order, prompt_length=470)
    message = (
        r"a text of (\d+) tokens and 470 prompt tokens make \d+, but the backbone has "
        r"only 512 positions\. Set a smaller prompt_length, fewer n_lags"
    )
    with pytest.raises(InputError, match=message):
        forecaster.fit(make_series())
    assert steps == []
    assert not forecaster.is_fitted


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("validation_fraction", [0.0, 0.3])
def test_texts_are_tokenized_once_and_not_in_every_epoch(
    order, validation_fraction, monkeypatch
):
    texts, tokenize = [], PreTrainedTokenizerBase.__call__
    monkeypatch.setattr(
        PreTrainedTokenizerBase,
        "__call__",
        lambda self, given, *args, **kwargs: (
            texts.extend(given) or tokenize(self, given, *args, **kwargs)
        ),
    )
    y, counts = make_series(n_columns=2), []
    settings = {"prompt_order": order, "validation_fraction": validation_fraction}
    for max_epochs in (1, 4):
        make(max_epochs=max_epochs, patience=None, **settings).fit(y)
        counts.append(len(texts))
        texts.clear()
    assert counts[0] == counts[1]
    n_windows = 60 - CONTEXT - HORIZON + 1
    assert 0 < counts[0] <= 2 * n_windows


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("mode", ["pretrained", "attention"])
def test_text_cache_changes_no_forecast(backbone, mode):
    y = make_series(n_columns=2)
    settings = {"backbone": backbone, "backbone_mode": mode, "dropout": 0.0}
    settings["validation_fraction"] = 0.2
    one, *others = (
        make(text_cache_gigabytes=gigabytes, **settings).fit(y).predict(fh=FH)
        for gigabytes in (0.0, 1e-4, 2.0)
    )
    for other in others:
        pd.testing.assert_frame_equal(other, one, rtol=1e-4)


def test_text_cache_saves_reading(monkeypatch):
    sizes, counts, read = [], {}, _module.read_prefix
    monkeypatch.setattr(
        _module,
        "read_prefix",
        lambda model, prefix, mask: (
            sizes.append(len(prefix)) or read(model, prefix, mask)
        ),
    )
    for gigabytes in (0.0, 2.0):
        forecaster = make(text_cache_gigabytes=gigabytes, max_epochs=3, patience=None)
        forecaster.fit(make_series())
        counts[gigabytes] = sum(sizes)
        sizes.clear()
    assert counts[2.0] < 0.5 * counts[0.0]
    # after training nothing is kept
    assert forecaster.network_.text.cache is None


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("style", ["short", "published"])
@pytest.mark.parametrize("n_lags", [0, 5])
def test_every_kind_of_prompt(order, style, n_lags):
    settings = {"prompt_order": order, "text_style": style, "n_lags": n_lags}
    forecaster = make(**settings).fit(make_series())
    assert forecaster.predict(fh=FH).notna().all(axis=None)
    (text,) = forecaster.inspect_alignment().texts
    assert text.startswith("min " if style == "short" else "min value ")
    assert ("lags" in text) == (n_lags > 0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("mode", ["random", "none", "attention", "transformer"])
def test_ablations_train_and_forecast(mode, order):
    y = make_series()
    forecaster = make(backbone_mode=mode, prompt_order=order).fit(y)
    forecast = forecaster.predict(fh=FH)
    assert forecast.notna().all(axis=None)
    pretrained = make(prompt_order=order).fit(y).predict(fh=FH)
    assert not forecast.equals(pretrained)
    trained = [n for n, p in forecaster.network_.named_parameters() if p.requires_grad]
    own_layer = any(name.startswith("text.backbone.") for name in trained)
    assert own_layer == (mode in ("attention", "transformer"))
    restored = pickle.loads(pickle.dumps(forecaster)).predict(fh=FH)
    pd.testing.assert_frame_equal(restored, forecast)


def expected_text(rows, subtract_last=False):
    """Of one window, (time,), in any units."""
    values = torch.tensor(np.asarray(rows), dtype=torch.float32)[None, :, None]
    normed = instance_norm(values, subtract_last=subtract_last)
    statistics = window_statistics(normed.values[..., 0], 5)
    return write_texts(statistics)[0]


def check_report(report, forecaster, labels):
    """What holds of every report."""
    n = len(labels)
    tables = {
        "texts": (n,),
        "series_embedding": (n, 16),
        "text_embedding": (n, 16),
        "scales": (n, 3),
        "similarity": (n, n),
    }
    for name, shape in tables.items():
        table = getattr(report, name)
        assert table.shape == shape
        assert table.index.tolist() == labels
    assert report.similarity.columns.tolist() == labels
    series, text = (
        getattr(report, name).to_numpy()
        for name in ("series_embedding", "text_embedding")
    )
    for embedding in (series, text):
        np.testing.assert_allclose((embedding**2).sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(report.similarity, series @ text.T, atol=1e-5)
    assert list(report.scales) == ["series", "text", "balanced text"]
    np.testing.assert_allclose(
        report.scales["balanced text"], report.scales["series"], rtol=0.1
    )
    history = forecaster.history_["temperature"]
    assert history.iloc[0] == pytest.approx(forecaster.init_temperature, rel=0.1)
    assert history.nunique() == len(history)
    log_temperature = forecaster.network_.alignment.log_temperature.item()
    assert report.temperature == pytest.approx(np.exp(log_temperature))


@pytest.mark.parametrize("n_fitted", [60, 50])
def test_alignment_of_the_most_recent_window_by_default(n_fitted):
    y = make_series(n_columns=2)
    forecaster = make().fit(y[:n_fitted])
    if n_fitted < 60:
        forecaster.update(y[n_fitted:], update_params=False)
    report = forecaster.inspect_alignment()
    check_report(report, forecaster, [(y.index[-1], "y0"), (y.index[-1], "y1")])
    assert report.texts.index.names == ["time", "variate"]
    # of one short series, relative to the last value
    expected = [expected_text(y[name][-CONTEXT:], subtract_last=True) for name in y]
    assert report.texts.tolist() == expected


@pytest.mark.parametrize("stride", [None, 1, 4])
def test_alignment_of_given_data(stride):
    forecaster = make().fit(make_series())
    y = make_series(n_rows=20, seed=5)
    report = forecaster.inspect_alignment(y, stride=stride)
    without_columns = make().fit(make_series()["y0"])
    same = without_columns.inspect_alignment(y["y0"], stride=stride)
    np.testing.assert_array_equal(same.similarity, report.similarity)
    ends = list(range(20, CONTEXT - 1, -(stride or HORIZON)))
    check_report(report, forecaster, [(y.index[end - 1], "y0") for end in ends])
    windows = [y["y0"][end - CONTEXT : end] for end in ends]
    texts = [expected_text(window, subtract_last=True) for window in windows]
    assert report.texts.tolist() == texts
    # the scale of text is the model's, before balancing, which changes it
    assert not np.allclose(report.scales["text"], report.scales["series"], rtol=0.1)


def test_alignment_of_a_panel():
    y = make_panel(lengths=(40, 30, 25), n_columns=2)
    forecaster = make().fit(y)
    report = forecaster.inspect_alignment()
    last = [(f"s{i}", y.loc[f"s{i}"].index[-1]) for i in range(3)]
    labels = [(*of_series, name) for of_series in last for name in ("y0", "y1")]
    check_report(report, forecaster, labels)
    assert report.texts.index.names == ["series", "time", "variate"]
    texts = [
        expected_text(y.loc[key][name][-CONTEXT:])
        for key, _ in last
        for name in ("y0", "y1")
    ]
    assert report.texts.tolist() == texts
    # given the same data it is the same, of the windows in both
    given = forecaster.inspect_alignment(y).series_embedding.loc[labels]
    pd.testing.assert_frame_equal(given, report.series_embedding, rtol=1e-4)


def test_alignment_is_of_the_trained_network_and_changes_nothing():
    y = make_series()
    forecaster = make().fit(y)
    before = forecaster.predict(fh=FH)
    once, again = forecaster.inspect_alignment(y), forecaster.inspect_alignment(y)
    pd.testing.assert_frame_equal(once.similarity, again.similarity)
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), before)
    longer = make(max_epochs=4).fit(y).inspect_alignment(y)
    assert not np.allclose(longer.similarity, once.similarity)


@pytest.mark.parametrize("standardize", [True, False])
def test_alignment_of_a_series_that_fit_did_not_see(standardize):
    # so small a scale that the epsilon of the instance norm is seen
    y, small = make_panel(lengths=(40, 30)), make_series(n_rows=CONTEXT) / 1e3
    new = pd.concat({"new": small}, names=["series", "time"])
    forecaster = make(standardize=standardize).fit(y)
    (text,) = forecaster.inspect_alignment(new).texts
    rows = small["y0"]
    if standardize:
        rows = (rows - rows.mean()) / rows.std(ddof=0)
    else:  # in the unit of the series of fit
        rows = rows / y["y0"].groupby(level=0).std(ddof=0).pow(2).mean() ** 0.5
    assert text == expected_text(rows)
    forecaster.update(new, update_params=False)
    assert forecaster.inspect_alignment().texts["new"].tolist() == [text]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            make_series(n_rows=CONTEXT - 1),
            r"y has 7 row\(s\), expected at least the 8 of a context",
        ),
        (make_series(n_rows=60)[:0], r"y has 0 row\(s\)"),
        (
            make_panel(lengths=(20, 5)),
            r"y \(series 's1'\) has 5 row\(s\).*Give more of its rows, or leave it out",
        ),
        (make_series(n_columns=2), r"columns \['y0', 'y1'\] now; fit saw \['y0'\]"),
        (make_series() * np.inf, r"60 value\(s\) that are infinite"),
    ],
    ids=["short", "empty", "short in a panel", "other columns", "infinite"],
)
def test_alignment_of_data_that_cannot_be(y, message):
    forecaster = make().fit(make_series())
    with pytest.raises(InputError, match=message):
        forecaster.inspect_alignment(y)


@pytest.mark.parametrize("order", ORDERS)
def test_saved_are_the_trained_weights_only(order, tmp_path):
    # a model of 5 megabytes, most of it word embeddings
    widths = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 2000}
    config = BertConfig(vocab_size=60_000, num_hidden_layers=6, **widths)
    load_tokenizer("tiny-random").save_pretrained(tmp_path)
    with torch.random.fork_rng(devices=[]):
        AutoModel.from_config(config).save_pretrained(tmp_path)
    settings, sizes = {"backbone": str(tmp_path), "prompt_order": order}, {}
    settings["intervals"] = None
    for n_rows, gigabytes in [(60, 0.0), (60, 2.0), (400, 2.0)]:
        forecaster = make(text_cache_gigabytes=gigabytes, **settings)
        forecaster.fit(make_series(n_rows)).save(tmp_path / "saved")
        rows = 16 * n_rows  # values and times
        sizes[n_rows, gigabytes] = (tmp_path / "saved.zip").stat().st_size - rows
    clear_backbone_cache()
    trained = [p for p in forecaster.network_.parameters() if p.requires_grad]
    n_bytes = 4 * sum(p.numel() for p in trained)
    # the rest is parameters and history
    assert n_bytes < 10_000
    assert max(sizes.values()) < n_bytes + 11_000
    # neither texts nor what was made of them
    assert sizes[60, 2.0] == pytest.approx(sizes[60, 0.0], abs=200)
    assert sizes[400, 2.0] == pytest.approx(sizes[60, 2.0], abs=500)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (make_series(1499), 24),
        (make_series(1500), 512),
        (make_series(750, n_columns=2), 369),  # half of 750 - 13 for a forecast of 12
        (make_panel((500, 499, 500)), 24),
        (make_panel((500, 500, 500)), 244),
    ],
)
def test_few_values_are_forecast_from_a_short_context(y, expected):
    forecaster = FORECASTERS["balm-tsf"](
        context_length=None,
        prediction_length=12,
        max_epochs=1,
        steps_per_epoch=1,
        validation_fraction=0.0,
        intervals=None,
    )
    assert forecaster.fit(y).context_length_ == expected
