"""What LLM-TS Net shows of its attention, against plain NumPy."""

import numpy as np
import pandas as pd
import pytest
import torch

from sktime_llm.errors import InputError
from sktime_llm.forecasting._inspecting import contexts

from .common import FORECASTERS, make_panel, make_series

make = FORECASTERS["llm-ts-net"]
CAUSAL = "tiny-random-decoder"


def numpy_of(tensor):
    return tensor.detach().double().numpy()


def weights_by_hand(layer, tokens, memory):
    """Mean attention over heads of (token, d_model) to (key, d_model)."""
    q = tokens @ numpy_of(layer.query.weight).T + numpy_of(layer.query.bias)
    k = memory @ numpy_of(layer.key.weight).T + numpy_of(layer.key.bias)
    size, group = q.shape[1] // layer.n_heads, layer.n_heads // layer.n_kv_heads
    each = []
    for head in range(layer.n_heads):
        kv = head // group
        own = q[:, head * size : (head + 1) * size], k[:, kv * size : (kv + 1) * size]
        scores = np.exp(own[0] @ own[1].T / np.sqrt(size))
        each.append(scores / scores.sum(axis=1, keepdims=True))
    return np.mean(each, axis=0)


@pytest.mark.parametrize("backbone", ["tiny-random", CAUSAL])
def test_the_report_equals_that_of_numpy(backbone):
    y = make_panel(lengths=(40, 30), n_columns=3)
    forecaster = make(backbone=backbone, n_blocks=2, d_model=16).fit(y)
    network = forecaster.network_
    with torch.no_grad():
        network.fusion.gate.fill_(0.5)
    report = forecaster.inspect_alignment()
    windows, labels = contexts(forecaster, None, None)
    captured = {}

    def capture(module, args):
        captured[id(module)] = args

    parts = [network.fusion, *(block.inter_series for block in network.blocks)]
    handles = [part.register_forward_pre_hook(capture) for part in parts]
    series = torch.tensor([forecaster._known.numbers[key] for key in ("s0", "s1")])
    with torch.no_grad():
        state, _, _ = network.encode(windows.values, {"series": series})
    for handle in handles:
        handle.remove()
    before, text = map(numpy_of, captured[id(network.fusion)])
    norm, linear = network.fusion.text_projection
    scaled = (text - text.mean(-1, keepdims=True)) / np.sqrt(
        text.var(-1, keepdims=True) + norm.eps
    )
    scaled = scaled * numpy_of(norm.weight) + numpy_of(norm.bias)
    own = scaled @ numpy_of(linear.weight).T + numpy_of(linear.bias)
    expected = np.concatenate(
        [
            weights_by_hand(network.fusion.attention, b + o, o)
            for b, o in zip(before, own, strict=True)
        ]
    )
    assert list(report.text_attention.index) == list(labels)
    np.testing.assert_allclose(report.text_attention, expected, rtol=1e-4)
    added = np.linalg.norm(numpy_of(state) - before, axis=-1)
    gain = (added / np.linalg.norm(before, axis=-1)).ravel()
    np.testing.assert_allclose(report.text_gain, gain, rtol=1e-4)
    assert (gain > 0).all()
    for i, block in enumerate(network.blocks):
        (tokens,) = map(numpy_of, captured[id(block.inter_series)])
        layer = block.inter_series.attention
        expected = [
            np.mean([weights_by_hand(layer, t, t) for t in window], axis=0)
            for window in tokens
        ]
        found = report.sensor_attention.loc[i]
        np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-4)
        assert list(found) == ["y0", "y1", "y2"]
    assert report.texts.equals(forecaster.descriptions_)


@pytest.mark.parametrize("backbone", ["tiny-random", CAUSAL])
def test_prompts_are_those_of_the_highest_shares(backbone):
    y = make_panel(lengths=(40, 30), n_columns=2)
    forecaster = make(backbone=backbone, n_prompts=5, n_selected_prompts=3).fit(y)
    report = forecaster.inspect_alignment()
    ends = [rows.index[-1][1] for _, rows in y.groupby(level=0)]
    labels = [(f"s{i}", ends[i], name) for i in (0, 1) for name in ("y0", "y1")]
    assert list(report.prompts.index) == labels
    assert report.prompts.index.names == ["series", "time", "variate"]
    shares = report.prompt_shares.to_numpy()
    best = np.argsort(-shares, axis=1)[:, :3]
    np.testing.assert_array_equal(report.prompts, best)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    counts = [(report.prompts == i).to_numpy().sum() for i in range(5)]
    assert report.prompt_counts.tolist() == counts


def test_windows_of_given_data():
    y = make_series(n_rows=60)
    forecaster = make(n_prompts=5).fit(y)
    report = forecaster.inspect_alignment(y, stride=10)
    assert len(report.prompts) == 6
    assert report.prompts.index[0] == (y.index[-1], "y0")
    recent = forecaster.inspect_alignment()
    assert recent.prompts.iloc[0].tolist() == report.prompts.iloc[0].tolist()
    assert recent.text_attention.to_numpy().tolist() == [[1.0]]
    with pytest.raises(InputError, match=r"\['other'\] now; fit saw \['y0'\]"):
        forecaster.inspect_alignment(y.set_axis(["other"], axis=1))


def test_series_have_to_be_described():
    y = make_panel(lengths=(40, 30))
    new = y.rename(index={"s1": "new"})
    with pytest.raises(InputError, match=r"'new'.* is not described"):
        make().fit(y).inspect_alignment(new)
    report = make(text_fusion=False).fit(y).inspect_alignment(new)
    assert (report.texts, report.text_attention, report.text_gain) == (None,) * 3
    windows = report.prompts.index.get_level_values("series").unique()
    assert set(windows) == {"s0", "new"}


def test_series_of_a_hierarchy_are_called_by_all_their_ids():
    y = pd.concat({"north": make_panel(), "south": make_panel()}, names=["region"])
    forecaster = make().fit(y)
    for report in (forecaster.inspect_alignment(), forecaster.inspect_alignment(y)):
        windows = report.prompts.index.get_level_values("series").unique()
        assert set(windows) == set(y.index.droplevel(-1))
    new = y.rename(index={"south": "new"}, level="region")
    with pytest.raises(InputError, match=r"'new', .* is not described"):
        forecaster.inspect_alignment(new)


def test_parts_that_are_not_there_are_none():
    y = make_series(n_columns=2)
    report = make(prompt_pool=False, inter_series_attention=False).fit(y)
    report = report.inspect_alignment()
    assert report.prompts is None
    assert report.prompt_shares is None
    assert report.prompt_counts is None
    assert report.sensor_attention is None
    assert report.text_attention is not None
    with pytest.raises(InputError, match="was given covariates"):
        make().fit(y[["y0"]], X=y[["y1"]]).inspect_alignment()


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_windows_are_looked_at_in_batches(batch_size, monkeypatch):
    y = make_series(n_rows=60, n_columns=2)
    y.iloc[20:23] = np.nan
    forecaster = make(batch_size=32).fit(y)
    expected = forecaster.inspect_alignment(y, stride=1)
    sizes, look = [], type(forecaster.network_).attention

    def spy(self, context, features):
        sizes.append(len(context))
        return look(self, context, features)

    monkeypatch.setattr(type(forecaster.network_), "attention", spy)
    forecaster.batch_size = batch_size
    found = forecaster.inspect_alignment(y, stride=1)
    pd.testing.assert_frame_equal(found.prompts, expected.prompts)
    for name in ("prompt_shares", "text_attention", "sensor_attention"):
        one, other = getattr(found, name), getattr(expected, name)
        pd.testing.assert_frame_equal(one, other, rtol=1e-4)
    assert sum(sizes) == 60 - forecaster.context_length_ + 1
    assert max(sizes) == (batch_size or sum(sizes))


def test_the_picture_shows_what_is_there():
    pytest.importorskip("matplotlib")
    from sktime_llm.plotting import plot_attention

    y = make_series(n_columns=3)
    report = make(n_prompts=5, n_selected_prompts=2).fit(y).inspect_alignment(y)
    figure = plot_attention(report)
    pool, texts, sensors = figure.axes[:3]
    np.testing.assert_array_equal(pool.images[0].get_array(), report.prompt_shares)
    dots = pool.collections[0].get_offsets()
    rows = [(p, i) for i, row in enumerate(report.prompts.to_numpy()) for p in row]
    np.testing.assert_array_equal(dots, rows)
    for axes, table in (
        (texts, report.text_attention),
        (sensors, report.sensor_attention),
    ):
        means = table.groupby(level="variate").mean()
        np.testing.assert_allclose(axes.images[0].get_array(), means, rtol=1e-6)
        labels = [text.get_text() for text in axes.get_yticklabels()]
        assert labels == ["y0", "y1", "y2"]
    off = {"prompt_pool": False, "inter_series_attention": False, "text_fusion": False}
    nothing = plot_attention(make(**off).fit(y).inspect_alignment())
    assert "no pool" in nothing.get_suptitle()
