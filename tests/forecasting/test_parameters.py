"""Parameters that all forecasters check in one place; see also test_validation.py."""

import numpy as np
import pytest

from sktime_llm.backbone.loading import clear_backbone_cache
from sktime_llm.errors import DeviceNotAvailableError, InputError

from .common import FORECASTERS, each_forecaster, make_panel, make_series

AT_LEAST_1 = "expected an integer of at least 1"
# the value that is refused begins each message
REFUSED = {
    "calf": [
        ({"lora_rank": 17}, "expected between 0 and 16"),
        ({"n_heads": 3}, "expected a divisor of 16"),
        ({"task_loss": "mase"}, "expected one of"),
        ({"consistency_loss": "x"}, "expected one of"),
        ({"feature_loss": "smape"}, "expected one of"),
        (
            {"seasonal_period": 8, "consistency_loss": "mase"},
            "expected between 1 and 7",
        ),
    ],
    "balm-tsf": [
        ({"patch_stride": 0}, AT_LEAST_1),
        ({"prompt_length": 1}, "expected an integer of at least 2"),
        (
            {"prompt_order": "last"},
            r"expected one of \('text-first', 'prompts-first'\)",
        ),
        ({"init_temperature": 0.0}, "expected a number above 0"),
        ({"task_loss": "smape"}, "expected one of"),
    ],
    "llm-ts-net": [
        ({"lora_rank": 3}, "expected an even number"),
        ({"lora_rank": 18}, "expected between 0 and 16"),
        ({"n_heads": 3}, "expected a divisor of d_model=8"),
        ({"n_kv_heads": 3}, "expected a divisor of n_heads=4"),
        ({"n_prompts": 1, "n_selected_prompts": 1}, "with selection_loss"),
        ({"n_selected_prompts": 17}, "expected between 1 and"),
        (
            {"n_selected_prompts": 2, "n_prompts": 1},
            "expected between 1 and n_prompts=1",
        ),
        ({"prompt_length": 0}, AT_LEAST_1),
        ({"task_loss": "smape"}, "expected one of"),
    ],
}
REFUSED_BY_ALL = [
    ({"context_length": 0}, AT_LEAST_1),
    ({"prediction_length": 0}, AT_LEAST_1),
    ({"n_backbone_layers": 7}, "expected between 1 and the 2"),
    ({"validation_fraction": 1.0}, "expected a number of"),
    ({"learning_rate": 0.0}, "expected a number above 0"),
    ({"batch_size": 0}, f"{AT_LEAST_1}, or None"),
    ({"max_epochs": 0}, AT_LEAST_1),
    ({"gradient_clip": 0}, "expected a number above 0, or None"),
    ({"ema_decay": 1}, "expected a number of at least 0 and below 1, or None"),
    ({"dropout": 1}, "expected a number of at least 0 and below 1"),
    ({"device": "gpu"}, "expected 'auto'"),
]
NUMPY_TYPES = {int: np.int64, float: np.float32, bool: np.bool_, str: np.str_}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [(name, *case) for name in REFUSED for case in REFUSED_BY_ALL + REFUSED[name]],
)
def test_bad_parameters(name, parameters, message):
    parameter, value = next(iter(parameters.items()))
    with pytest.raises(InputError, match=f"{parameter}={value!r},? {message}"):
        FORECASTERS[name](**parameters).fit(make_series())


@each_forecaster
def test_every_parameter_has_a_constraint(make):
    assert set(make()._parameter_constraints) == set(make().get_params(deep=False))


@each_forecaster
def test_wrong_values_are_refused_before_a_pretrain_and_an_update(make):
    message = r"^update_epochs=-1, expected an integer of at least 0\.$"
    forecaster = make(update_epochs=-1)
    with pytest.raises(InputError, match=message):
        forecaster.pretrain(make_panel())
    assert not hasattr(forecaster, "pretrained_network_")
    y = make_series()
    forecaster = make().fit(y[:50])
    forecaster.update_epochs = -1
    with pytest.raises(InputError, match=message):
        forecaster.update(y[50:])


@each_forecaster
def test_a_missing_device_is_found_before_the_series_are_read(make, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceNotAvailableError, match="device='cuda' was asked for"):
        make(device="cuda", context_length=1000).fit(make_series())


@each_forecaster
def test_wrong_strides_are_refused(make):
    forecaster = make(max_epochs=1).fit(make_series())
    for stride in (0, 1.5, "2", True):
        with pytest.raises(InputError, match=r"stride=.*, expected an integer of"):
            forecaster.inspect_alignment(make_series(), stride=stride)


@each_forecaster
def test_validation_windows_are_bounded(make):
    settings = {"max_epochs": 1, "validation_fraction": 0.3, "intervals": None}
    histories = [
        make(**settings, max_validation_windows=n).fit(make_series()).history_
        for n in (None, 10_000, 1)
    ]
    losses = [history["validation_loss"].item() for history in histories]
    assert losses[0] == losses[1] != losses[2]
    assert len({history["loss"].item() for history in histories}) == 1


@each_forecaster
def test_scalars_of_numpy(make):
    optional = {
        "n_backbone_layers": 1,
        "validation_fraction": 0.2,
        "gradient_clip": 1.0,
        "ema_decay": 0.5,
        "steps_per_epoch": 2,
        "max_validation_windows": 2,
        "n_heads": 2,
        "n_principal_embeddings": 5,
        "prompt_length": 2,
        "lora_rank": 2,
    }
    known = make().get_params(deep=False)
    values = known | {name: v for name, v in optional.items() if name in known}
    scalars = {
        name: NUMPY_TYPES[type(value)](value)
        for name, value in values.items()
        if type(value) in NUMPY_TYPES
    }
    assert len(scalars) > 30
    y = make_series()
    clear_backbone_cache()
    forecaster = make(**scalars).fit(y[:50]).update(y[50:])
    expected = make(**values).fit(y[:50]).update(y[50:]).predict(fh=[1, 2])
    np.testing.assert_allclose(forecaster.predict(fh=[1, 2]), expected, rtol=1e-5)


def subtracts(name, y, **parameters):
    forecaster = FORECASTERS[name](max_epochs=1, steps_per_epoch=1, **parameters)
    return forecaster.fit(y).network_.subtract_last


def test_windows_of_calf_are_relative_to_their_mean_by_default():
    assert not subtracts("calf", make_series())
    assert subtracts("calf", make_panel(), subtract_last=True)


def test_windows_of_balm_tsf_are_relative_to_their_last_value_where_values_are_few():
    assert subtracts("balm-tsf", make_series(749, n_columns=2))
    assert not subtracts("balm-tsf", make_series(750, n_columns=2))
    assert subtracts("balm-tsf", make_series(1499))
    assert not subtracts("balm-tsf", make_series(1500))
    assert not subtracts("balm-tsf", make_panel())
    assert not subtracts("balm-tsf", make_series(), subtract_last=False)
    assert subtracts("balm-tsf", make_panel(), subtract_last=True)


@pytest.mark.parametrize("name", ["calf", "balm-tsf"])
def test_a_series_goes_on_from_its_last_value_or_from_its_mean(name):
    y = make_series()
    y.iloc[-1] += 100.0  # a jump, of which training knows nothing
    levels = [
        FORECASTERS[name](subtract_last=subtract_last, validation_fraction=0.0)
        .fit(y[:-1], fh=[1, 2, 3])
        .update(y[-1:], update_params=False)
        .predict()
        .to_numpy()
        .mean()
        for subtract_last in (True, False)
    ]
    assert levels[0] > 70 > 50 > levels[1]


def test_what_is_pretrained_on_a_panel_stays_relative_to_means():
    forecaster = FORECASTERS["balm-tsf"](max_epochs=1)
    forecaster.pretrain(make_panel(), fh=[1, 2, 3])
    assert not forecaster.fit(make_series()).network_.subtract_last
