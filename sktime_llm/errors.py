"""The errors and warnings that are the package's own; a leaf that anyone may import."""

from collections.abc import Sequence


class SktimeLLMWarning(UserWarning):
    """Base of every warning that the package gives."""


class ClippedParameterWarning(SktimeLLMWarning):
    """A parameter does not fit the data or the backbone, and was clipped."""


class FewWindowsWarning(SktimeLLMWarning):
    """Intervals are calibrated on too few windows for a level."""


class ShortSeriesWarning(SktimeLLMWarning):
    """Some of the series are shorter than a window, and were padded at their start."""


class PretrainingLostWarning(SktimeLLMWarning):
    """A pretrained forecaster was reset, and would be trained from new weights."""


class ConstantSeriesWarning(SktimeLLMWarning):
    """Some of the series never change; nothing can be learned from them."""


class UndefinedScoreWarning(SktimeLLMWarning):
    """A score has no value for some series or times, and is the mean of the others."""


class EmptySeriesWarning(SktimeLLMWarning):
    """Some of the variates have no value at all; not even their level is known."""


class OutlierWarning(SktimeLLMWarning):
    """One value dwarfs all others of its series."""


class AmbiguousNumbersWarning(SktimeLLMWarning):
    """Numbers with three decimals in a table may be thousands."""


class LaterRowsDroppedWarning(SktimeLLMWarning):
    """An update ended before the last rows that were known, which are dropped."""


class UnusedCovariatesWarning(SktimeLLMWarning):
    """Covariates were given to a forecaster that does not use them."""


class DivergingForecastWarning(SktimeLLMWarning):
    """Forecasts have left the range of the data."""


class DeviceChangedWarning(SktimeLLMWarning):
    """A saved forecaster was loaded on another device than it was made for."""


class SktimeLLMError(Exception):
    """Base of every error that the package raises."""


class InputError(SktimeLLMError, ValueError):
    """Data or a parameter that the package cannot work with."""


class SeriesTooShortError(InputError):
    """Not one training window fits into the data."""


class DataFormatError(InputError, TypeError):
    """Data that are not in a format that sktime takes, or whose rows are not sorted."""


class ColumnTypeError(InputError, TypeError):
    """A column that does not hold numbers."""


class MissingPackageError(SktimeLLMError, ImportError):
    """A package that the installation does not need, but what was asked for does."""


class ForecasterFailedError(SktimeLLMError, RuntimeError):
    """A forecaster failed in a comparison; its own error is the cause."""


class WorkerDiedError(SktimeLLMError, RuntimeError):
    """A process of an engine ended from outside; what was written before is kept."""


class DeviceNotAvailableError(SktimeLLMError, RuntimeError):
    """The device or precision that was asked for does not exist here."""


class BackboneNotFoundError(SktimeLLMError, OSError):
    """The pretrained model is in none of the places where it is looked for."""


class BackboneCorruptedError(SktimeLLMError, OSError):
    """The files of a pretrained model are not what they should be."""


class UnsupportedBackboneError(InputError):
    """A model whose architecture cannot serve as a backbone."""


class SavedForecasterError(SktimeLLMError, RuntimeError):
    """A file is not a saved forecaster, or is of a version that cannot be read."""


class NoIntervalsError(SktimeLLMError, NotImplementedError):
    """The forecaster, or the parameters it has, forecast no intervals."""


class ForecastDivergedError(SktimeLLMError, RuntimeError):
    """A forecast is infinite or NaN."""


class TrainingDivergedError(SktimeLLMError, RuntimeError):
    """The loss became infinite or NaN during training."""


class ResumeError(SktimeLLMError, ValueError):
    """The folder to resume from has the state of another training, or of none."""


class OutOfMemoryError(SktimeLLMError, RuntimeError):
    """The device has not enough memory for a step of training or a forecast."""


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped from outside, and the best weights so far were kept.

    Like KeyboardInterrupt it is no Exception, so it is not a `SktimeLLMError`. It has
    the `records` of the complete epochs.
    """

    def __init__(self, message: str, records: Sequence[dict[str, float]] = ()) -> None:
        super().__init__(message)
        self.records = records


class DescriptionError(SktimeLLMError, RuntimeError):
    """A series could not be put into words; the message says which one and why."""
