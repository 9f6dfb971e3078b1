"""The forecasters of a comparison, by name."""

import importlib.util
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import sktime_llm
from sktime_llm._validation import check_parameters
from sktime_llm.errors import InputError, MissingPackageError
from sktime_llm.evaluation._folds import library_warnings_off

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

# Beyond this, a seasonal AutoARIMA takes minutes where the others take a second.
_MAX_ARIMA_SEASON = 24

# From statsforecast: compiled, and all of them take series with zeros.
_STATISTICAL = {
    "auto-ets": ("StatsForecastAutoETS", "season_length"),
    "auto-arima": ("StatsForecastAutoARIMA", "sp"),
    "theta": ("StatsForecastAutoTheta", "season_length"),
}

# Each method as published, and ablations that show how much its language model gains.
_CLASSES = {
    "calf": "CALFForecaster",
    "balm-tsf": "BALMTSFForecaster",
    "llm-ts-net": "LLMTSNetForecaster",
}
METHODS = tuple(_CLASSES)
"""Names of the three methods of this package."""
_BACKBONE_MODES = {"": "pretrained", "-random-llm": "random", "-no-llm": "none"}
_LANGUAGE_MODELS = {
    method + suffix: (class_name, mode)
    for method, class_name in _CLASSES.items()
    for suffix, mode in _BACKBONE_MODES.items()
}

# Parameters that are no further ones, and what to do instead.
_SAID_ELSEWHERE = {
    **dict.fromkeys(
        ("backbone", "max_epochs", "device", "verbose", "random_state"),
        "It has an option of its own.",
    ),
    "backbone_mode": "Choose a forecaster by its name instead, such as calf-no-llm.",
    **dict.fromkeys(
        ("intervals", "calibration_fraction"),
        "Language models have conformal intervals if levels are asked for.",
    ),
}

_DEFAULT_NAMES = [*METHODS, "naive", "seasonal-naive", *_STATISTICAL]


def forecaster_names() -> list[str]:
    """Return the names that `default_forecasters` knows.

    Returns
    -------
    list of str
        Those of the default forecasters, then each method with a randomly initialized
        language model and without any.

    Examples
    --------
    >>> from sktime_llm.evaluation import forecaster_names
    >>> forecaster_names()[:4]
    ['calf', 'balm-tsf', 'llm-ts-net', 'naive']
    >>> forecaster_names()[8:11]
    ['calf-random-llm', 'calf-no-llm', 'balm-tsf-random-llm']
    """
    return list(dict.fromkeys([*_DEFAULT_NAMES, *_LANGUAGE_MODELS]))


def default_forecasters(
    seasonal_period: int = 1,
    names: Iterable[str] | None = None,
    *,
    backbone: str | None = None,
    max_epochs: int | None = None,
    random_state: int | None = None,
    device: str | None = None,
    verbose: int | None = None,
    calibration_fraction: float | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, "BaseForecaster"]:
    """Make language-model forecasters and the baselines to compare them with.

    Parameters
    ----------
    seasonal_period : int, default 1
        Steps in one season. ``"auto-arima"`` models seasons of up to 24 steps, since
        longer ones take minutes.
    names : iterable of str, optional
        Names out of `forecaster_names`. Default: CALF, BALM-TSF, LLM-TS Net, the naive
        and the statistical forecasters.
    backbone, max_epochs, random_state, device, verbose : optional
        Parameters of the language-model forecasters. Default: their own defaults.
    calibration_fraction : float, optional
        Share of each series that these hold out to calibrate intervals. Default: none,
        and no intervals.
    parameters : mapping, optional
        Further parameters of the language-model forecasters, such as
        ``{"ema_decay": 0.99}``. All of them must have each.

    Returns
    -------
    dict
        Forecasters by name.

    Raises
    ------
    InputError
        If a name is unknown, or one of `parameters` is, or has a value that is invalid.
    MissingPackageError
        If a forecaster needs statsforecast, and it is not installed.

    Examples
    --------
    >>> from sktime_llm.evaluation import default_forecasters
    >>> list(default_forecasters(12, ["naive", "seasonal-naive"]))
    ['naive', 'seasonal-naive']
    """
    names = _DEFAULT_NAMES if names is None else list(names)
    unknown = [name for name in names if name not in forecaster_names()]
    if unknown or not names:
        raise InputError(
            f"Got the forecasters {', '.join(map(repr, unknown)) or 'none'}; expected "
            f"some of {', '.join(forecaster_names())}."
        )
    options: dict[str, Any] = {
        "backbone": backbone,
        "max_epochs": max_epochs,
        "device": device,
    }
    options |= {"random_state": random_state, "verbose": verbose}
    options["calibration_fraction"] = calibration_fraction
    given = {key: value for key, value in options.items() if value is not None}
    for name in _SAID_ELSEWHERE.keys() & (parameters or {}).keys():
        raise InputError(
            f"Got {name!r} among the further parameters, expected none that is set "
            f"elsewhere. {_SAID_ELSEWHERE[name]}"
        )
    given |= parameters or {}
    if parameters and not any(name in _LANGUAGE_MODELS for name in names):
        raise InputError(
            f"Got the parameters {', '.join(parameters)}, but none of "
            f"{', '.join(names)} is a language-model forecaster. Leave them out."
        )
    with library_warnings_off():
        return {name: _make(name, seasonal_period, given) for name in names}


def _make(name: str, seasonal_period: int, options: dict[str, Any]) -> "BaseForecaster":
    if name in _LANGUAGE_MODELS:
        class_name, mode = _LANGUAGE_MODELS[name]
        make = getattr(sktime_llm, class_name)
        intervals = "conformal" if "calibration_fraction" in options else None
        options = {"backbone_mode": mode, "intervals": intervals, **options}
        unknown = options.keys() - set(make.get_param_names())
        if unknown:
            raise InputError(
                f"{name} has no parameter {', '.join(map(repr, sorted(unknown)))}; it "
                f"has {', '.join(make.get_param_names())}."
            )
        forecaster = make(**options)
        check_parameters(
            forecaster.get_params(deep=False), forecaster._parameter_constraints
        )
        return forecaster
    if name in _STATISTICAL:
        return _make_statistical(name, seasonal_period)
    from sktime.forecasting.naive import NaiveForecaster

    return NaiveForecaster(sp=seasonal_period if name == "seasonal-naive" else 1)


def _make_statistical(name: str, seasonal_period: int) -> "BaseForecaster":
    if importlib.util.find_spec("statsforecast") is None:
        raise MissingPackageError(
            f"The forecaster {name!r} needs statsforecast. Install it with "
            f"`pip install sktime-llm[baselines]`, or choose among the forecasters "
            f"{', '.join(_CLASSES)}, naive and seasonal-naive."
        )
    import sktime.forecasting.statsforecast as module

    if name == "auto-arima" and seasonal_period > _MAX_ARIMA_SEASON:
        seasonal_period = 1
    class_name, parameter = _STATISTICAL[name]
    return getattr(module, class_name)(**{parameter: seasonal_period})
