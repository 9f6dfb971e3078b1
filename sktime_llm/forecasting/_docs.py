"""Parameters that all forecasters have, described once."""

import inspect
from typing import TypeVar

T = TypeVar("T", bound=type)

_SHARED = {
    "prediction_length": """\
prediction_length : int, optional
    Time steps forecast at once; longer horizons are forecast by rolling forward.
    None takes the largest step of `fh` in fit, or 24, at most a quarter of the
    longest series.""",
    "backbone": """\
backbone : str, default="sentence-transformers/all-MiniLM-L6-v2"
    The language model: a name on the Hugging Face Hub, such as the published
    ``"openai-community/gpt2"``; a local folder in the Hub's layout; or, for tests,
    ``"tiny-random"`` (an encoder) and ``"tiny-random-decoder"``. Any encoder or
    decoder of transformers, with safetensors weights.
backbone_mode : str, default="pretrained"
    ``"pretrained"``, or an ablation that shows what the language model is worth:
    ``"random"``, the same architecture with random frozen weights; ``"none"``, no
    model; ``"attention"`` or ``"transformer"``, one layer trained from scratch.
n_backbone_layers : int, optional
    Layers kept. None keeps the first six, as published, or all if there are fewer.
revision : str, optional
    Branch, tag or commit of the backbone on the Hub.""",
    "batch_size": """\
batch_size : int, optional
    Windows a step, and series computed at once in predict. None is one 32nd of the
    training windows, at least 16 and at most 256.""",
    "training": """\
patience : int or None, default=10
    Epochs without a lower validation loss before training stops. The weights of the
    best epoch are kept in any case.
validation_fraction : float, optional
    Share of each series, from its end, that chooses the epoch and is not trained
    on; at least `prediction_length` rows. 0 for none: then the last epoch is kept.
    None is 0.1 where that makes at least 32 validation windows over all series,
    else 0.
optimizer : {"adam", "adamw"}, default="adam"
    Optimizer.
weight_decay : float, default=0.0
    Weight decay of the optimizer.""",
    "lr_schedule": """\
lr_schedule : {"cosine", "one-cycle", "step", "constant"}, default=<lr_schedule>
    Learning rate over time; ``"step"`` halves it every epoch.
cosine_epochs : int, default=20
    Epochs in which the cosine schedule falls to 1e-8; then it rises again.
gradient_clip : float, optional
    Largest norm of the gradient.
steps_per_epoch : int, optional
    Bound on the steps of an epoch, which then sees a random part of the windows.
standardize : bool, default=True
    Whether each series is standardized by its training part before training, so
    that all count alike in the loss; a column that stands still there, by all its
    rows. Otherwise all are divided by one number, the root mean square of their
    deviations, so that they count by their size, and losses are in that unit.
fine_tune_epochs : int, default=0
    Epochs that `fit` trains after `pretrain`; 0 forecasts zero-shot, until an
    `update` trains.
update_epochs : int, default=1
    Epochs that `update` trains, on the windows that end in the new rows.
random_state : int, RandomState instance or None, default=None
    Seed. The same integer gives the same forecasts on the same machine; a
    RandomState moves on from fit to fit. The process's random state is left as it
    was.
device : str, default="auto"
    ``"auto"`` is a GPU if there is one, else the CPU; or ``"cpu"``, ``"cuda"``,
    ``"cuda:1"``, ``"mps"``.
precision : {"auto", "float32", "bfloat16"}, default="auto"
    What is computed in; ``"auto"`` is bfloat16 on GPUs that have it. Weights are
    always float32.
verbose : int, default=1
    0 is silent; 1 shows a progress bar on a terminal if training takes more than
    two seconds; 2 also logs every epoch to the logger ``sktime_llm``.""",
    "attributes": """\
network_ : <network>
    The trained network.
history_ : pandas.DataFrame
    One row per epoch: losses, learning rate, seconds, which was the best, and
    whether of ``stage`` ``"fit"`` or ``"update"``.
context_length_, prediction_length_ : int
    Lengths in use.
pretrained_network_, pretrain_history_
    After `pretrain`: what every later fit starts from, and how it was trained.""",
    "raises": """\
InputError
    In fit, if data or a parameter cannot be.
SeriesTooShortError
    In fit, if not one training window fits.
BackboneNotFoundError
    In fit, if the backbone is neither on this machine nor on the Hub.
DeviceNotAvailableError
    In fit, if the device does not exist.
TrainingDivergedError
    In fit, if the loss is not finite.
KeyboardInterrupt
    In fit, pretrain and update, if interrupted by Ctrl-C. Once an epoch is
    complete, the best weights so far are kept, and the forecaster can be used;
    before, it is as it was without the call, or not fitted.""",
    "threads": """\
In parallel threads two fits share PyTorch's random numbers and are not
reproducible; in processes (``backend="loky"``) they are. On a GPU, tune with
``backend=None``: every worker of loky loads a backbone of its own.""",
}


def document_shared(**words: str):  # type: ignore[no-untyped-def]
    """Fill a class's docstring: ``<<name>>`` on its own line is a shared description.

    Parameters
    ----------
    **words : str
        What stands for ``<word>`` inside the descriptions.
    """

    def fill(cls: T) -> T:
        text = inspect.getdoc(cls) or ""
        for name, description in _SHARED.items():
            text = text.replace(f"<<{name}>>", description)
        for word, value in words.items():
            text = text.replace(f"<{word}>", value)
        cls.__doc__ = text
        return cls

    return fill
