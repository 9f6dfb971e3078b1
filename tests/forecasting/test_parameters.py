"""Parameters that all forecasters check in one place."""

import pytest

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
