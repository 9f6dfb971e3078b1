"""Parameters that all forecasters check in one place."""

import numpy as np
import pytest

from sktime_llm.backbone.loading import clear_backbone_cache
from sktime_llm.errors import InputError

from .common import each_forecaster, make_panel, make_series

EPOCHS = pytest.mark.parametrize("name", ["fine_tune_epochs", "update_epochs"])


@each_forecaster
@EPOCHS
def test_negative_epochs_are_refused_under_their_own_name(make, name):
    forecaster = make(**{name: -1})
    with pytest.raises(InputError, match=rf"^{name}=-1, expected at least 0\.$"):
        forecaster.fit(make_series())


@each_forecaster
@EPOCHS
def test_they_are_refused_before_a_pretrain(make, name):
    forecaster = make(**{name: -1})
    with pytest.raises(InputError, match=rf"^{name}=-1, expected at least 0\.$"):
        forecaster.pretrain(make_panel())
    assert not hasattr(forecaster, "pretrained_network_")


@each_forecaster
def test_no_epochs_are_allowed(make):
    y = make_series()
    forecaster = make(fine_tune_epochs=0, update_epochs=0).fit(y[:50])
    forecaster.update(y[50:])
    assert set(forecaster.history_["stage"]) == {"fit"}


@each_forecaster
def test_integers_of_numpy(make):
    names = ("context_length", "prediction_length", "batch_size", "max_epochs")
    values = {name: np.int64(make().get_params()[name]) for name in names}
    if "lora_rank" in make().get_params():
        values["lora_rank"] = np.int64(2)
    y = make_series()
    forecaster = make(
        **values, n_backbone_layers=np.int64(1), learning_rate=np.float32(1e-3)
    )
    clear_backbone_cache()
    assert forecaster.fit(y[:50]).update(y[50:]).predict(fh=[1]).notna().all(axis=None)
