"""BALM-TSF as an sktime forecaster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sktime_llm.backbone.files import DEFAULT_BACKBONE
from sktime_llm.forecasting._alignment import AlignmentReport, report_alignment
from sktime_llm.forecasting._balm_tsf import CONSTRAINTS, build_network
from sktime_llm.forecasting._base import BaseLLMForecaster
from sktime_llm.forecasting._inspecting import contexts
from sktime_llm.networks.balm_tsf import BALMTSFNetwork
from sktime_llm.training.callbacks import Callback
from sktime_llm.training.windows import WindowShape

DEFAULT_CONTEXT = 512


class BALMTSFForecaster(BaseLLMForecaster):
    """BALM-TSF: forecast from patches, and from statistics that a language model reads.

    Each variate of a window is a series of its own. Its patches are embedded as tokens.
    Its statistics (minimum, maximum, median, trend, lags of highest autocorrelation)
    are written as a sentence, which a frozen language model reads together with learned
    prompts. The embedding of the text is rescaled to that of the patches, a contrastive
    loss aligns both, and one linear head forecasts from both [1]_. Only the prompts,
    the patch embedding, the temperature and the head are trained.

    One network is trained on all series of a panel or hierarchy. The frozen weights of
    the language model are shared in a process; only the trained ones are saved.

    Missing values (NaN) count in no loss or statistic; the network sees the last
    observed value, however old, with a flag. The statistics in words are those of the
    filled window. Covariates (`X`) change nothing; a warning says so.

    Parameters
    ----------
    context_length : int, optional
        Time steps that the network sees. None uses 512, as published, or, of data with
        fewer than 1,500 values in total, twice `prediction_length`, from 24 to 96; but
        at most half of the rows that the longest series has left for training windows:
        where nearly all are context, there is little to learn from. A length that does
        not fit is clipped in the same way, with a warning.
    prediction_length : int, optional
        Time steps forecast at once; longer horizons are rolled forward. None uses the
        largest step of `fh` in fit, else 6 years, 8 quarters, 18 months, 13 weeks, 14
        days, 48 hours or 24 other steps; at most a quarter of the longest series.
    backbone : str, default="sentence-transformers/all-MiniLM-L6-v2"
        Encoder or decoder of transformers with safetensors weights: its name on the
        Hugging Face Hub, such as ``"openai-community/gpt2"``, or a local folder in the
        Hub's layout. ``"tiny-random"`` and ``"tiny-random-decoder"`` are for tests.
    backbone_mode : str, default="pretrained"
        ``"pretrained"``, or an ablation: ``"random"`` (frozen random weights),
        ``"none"`` (no model), ``"attention"`` or ``"transformer"`` (one layer trained
        from scratch).
    n_backbone_layers : int, optional
        Layers to keep, from the first. None keeps six, or all of fewer.
    revision : str, optional
        Branch, tag or commit of the backbone on the Hub.
    quantization : {"8bit", "4bit"}, optional
        Bits of the frozen weights, by bitsandbytes (the extra ``[quantized]``): less
        memory, for more arithmetic. None keeps them float32, as what trains always is.
    patch_length : int, optional
        Time steps per patch, at most the context's; more are clipped, with a warning.
        None uses 16, or all of a shorter context.
    patch_stride : int, default=8
        Time steps between the starts of two patches.
    d_model : int, default=32
        Width of a patch before it is projected to the width of the backbone.
    d_ff : int, optional
        Leading features of each token that the head sees, at most the backbone's width;
        more are clipped, with a warning. None uses 128, or all of a narrower backbone.
    dropout : float, default=0.1
        Dropout rate of the patches and of the forecast.
    prompt_length : int, optional
        Learned prompt tokens, at least 2. None follows the published rule: patches
        times `prediction_length` / `context_length`, at most the number of patches.
    prompt_order : {"text-first", "prompts-first"}, default="text-first"
        ``"prompts-first"`` is the published order. With ``"text-first"`` the prompts
        attend to the text but not the text to them, so that it runs without gradient.
    text_style : {"short", "published"}, default="short"
        The sentence: ``"published"`` has the numbers in full; ``"short"`` says the same
        in a quarter of the tokens, with numbers in whole tenths.
    n_lags : int, default=5
        Lags of highest autocorrelation in the sentence, up to half the context; 0 for
        none.
    text_cache_gigabytes : float, default=2.0
        Device memory, in gigabytes, in which training keeps the states of texts for
        ``prompt_order="text-first"``. Texts beyond it are read again in every epoch,
        with the same results.
    balance_text : bool, default=True
        Whether states of the text are rescaled to the deviation of the patches; without
        it, an ablation, one of the two may drown the other.
    task_loss : {"mae", "mse", "smooth_l1"}, default="mse"
        Distance between forecast and truth. Published: MSE.
    alignment_loss_weight : float, default=1.0
        Weight of the contrastive loss.
    init_temperature : float, default=0.07
        Temperature of the contrastive loss before training; it is learned.
    subtract_last : bool, optional
        Whether windows are relative to their last value, not, as published, their mean.
        None: if `fit` begins with one series of fewer than 1,500 values in all columns.
        Errors of such series of M1 are 6 % lower with it, those of Tourism the same.
    learning_rate : float, default=0.01
        Highest learning rate. Published: 0.002 to 0.02; on ETTh1 the public code trains
        at 4e-4, as it makes a schedule and never steps it.
    max_epochs : int, default=20
        Maximum passes over the training windows. Published: 100, a patience of 10.
    batch_size : int, optional
        Windows per step, and series computed at once in predict. None uses 1/32 of the
        training windows, from 16 to 256, and no more than 2,048 variates in total, each
        of which is a text to read.
    patience : int or None, default=10
        Epochs without a lower validation loss before training stops; None does not stop
        early. The weights of the best epoch are kept in any case.
    validation_fraction : float, optional
        Share of each series, from its end, that chooses the best epoch instead of
        training; at least `prediction_length` rows. 0 keeps the last epoch. None uses
        0.1 if that gives at least 32 validation windows in total, else 0.
    missing : {"error", "mask"}, default="error"
        How to treat rows that a regular index leaves out, also between two updates: as
        an error, or as missing values. NaN always is a missing value.
    intervals : {"conformal", "quantiles"} or None, default="conformal"
        How `predict_interval` and the like get their bounds: from errors on rows that
        are held out (split conformal prediction); from quantiles that the network
        forecasts, trained by the pinball loss beside its own; or not at all.
    calibration_fraction : float, optional
        Share of each series, from its end, that calibrates the intervals instead of
        being trained or validated on; at least `prediction_length` rows. None uses 0.1
        if that gives at least 32 windows over all series, else 0: no intervals.
    optimizer : {"adam", "adamw"}, default="adam"
        Optimizer.
    weight_decay : float, default=0.0
        Weight decay of the optimizer.
    lr_schedule : {"cosine", "one-cycle", "step", "constant"}, default="one-cycle"
        Learning rate over time; ``"step"`` halves it after every epoch. In `update`
        it is a constant fifth of `learning_rate`, with ``"one-cycle"`` a 25th.
    cosine_epochs : int, default=20
        Epochs in which the cosine schedule falls to 1e-8, before it rises again.
    gradient_clip : float, optional
        Maximum norm of the gradient; None does not clip.
    ema_decay : float, optional
        Share of itself that an exponential moving average of the weights keeps in a
        step; the average forecasts instead of the last weights. With 0.99, errors of
        CALF on ETTh1 are up to 2 % lower. None, as published: no average.
    steps_per_epoch : int, optional
        Maximum steps per epoch, which then sees a random part of the windows.
    max_validation_windows : int, optional
        Maximum windows to validate an epoch on, evenly spread; None takes all.
    standardize : bool, default=True
        Whether to standardize each series by its training part, or a column that is
        constant there by all its rows, so that all count alike in the loss. If False,
        one number divides all: the root mean square of their deviations.
    fine_tune_epochs : int, default=0
        Epochs that `fit` trains after `pretrain`, or from a `checkpoint`; 0 forecasts
        zero-shot.
    update_epochs : int, default=1
        Epochs that `update` trains, on the windows that end in the new rows.
    checkpoint : str or Path, optional
        A folder that `save_pretrained` wrote, or its name on the Hub: `fit` starts from
        its network, as after `pretrain`. Parameters that shape the network must be
        those of the checkpoint; None takes them from there.
    callbacks : list of Callback, optional
        Objects that are told of every epoch: see `sktime_llm.callbacks.Callback`.
    resume : str or Path, optional
        A folder, in which `fit` and `pretrain` keep the state of their training after
        every epoch. The same fit of the same data goes on from it, to the digit; it
        needs an integer `random_state`. The folder stays; remove it for another fit.
    random_state : int, RandomState instance or None, default=None
        Seed. The same integer gives the same forecasts on the same machine.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``; ``"auto"`` is a GPU if there
        is one, else the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the computation; what trains is always float32. ``"auto"`` is
        bfloat16 on GPUs that support it, else float32.
    verbose : int, default=1
        0 is silent; 1 shows a progress bar on a terminal if training takes long; 2 also
        logs every epoch, which ``logging.basicConfig(level="INFO")`` shows.

    Attributes
    ----------
    network_ : BALMTSFNetwork
        The trained network.
    history_ : pandas.DataFrame
        One row per epoch: losses, rate, seconds, if it was the best, and the ``stage``.
    context_length_, prediction_length_ : int
        Lengths in use.
    pretrained_network_, pretrain_history_, pretrained_covariates_
        After `pretrain`: what later fits start from, its history and its covariates.

    Raises
    ------
    InputError
        In fit, if the data or a parameter is invalid.
    SeriesTooShortError
        In fit, if not even one training window fits into the data.
    BackboneNotFoundError
        In fit, if the backbone is neither on this machine nor on the Hub.
    DeviceNotAvailableError
        In fit, if this machine does not have the device or the precision.
    TrainingDivergedError
        In fit, if the loss becomes infinite or NaN.
    OutOfMemoryError
        In fit and predict, if the device has too little memory for a batch.
    ResumeError
        In fit, if the folder `resume` has the state of another fit.
    KeyboardInterrupt
        In fit, pretrain and update, by Ctrl-C. The best epoch so far is kept; before
        the first is complete, nothing is: fit leaves the forecaster unfitted.

    Notes
    -----
    Published are ``context_length=512, subtract_last=False, text_style="published",
    prompt_order="prompts-first"``, and ``backbone="openai-community/gpt2"``, of which
    six layers are kept. docs/methods.md of the repository lists all departures, and
    what they do to accuracy.

    Parallel fits, in threads or processes, forecast as serial ones: docs/hardware.md.

    References
    ----------
    .. [1] S. Zhou et al. (2025). BALM-TSF: Balanced Multimodal Alignment for LLM-Based
       Time Series Forecasting. CIKM. arXiv 2509.00622.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from sktime_llm import BALMTSFForecaster
    >>> y = load_airline()
    >>> forecaster = BALMTSFForecaster(backbone="tiny-random", max_epochs=1)
    >>> y_pred = forecaster.fit(y, fh=[1, 2, 3]).predict()
    >>> len(y_pred)
    3
    """

    _default_context = DEFAULT_CONTEXT
    _max_variates = 2048  # each is a text that the language model reads
    _parameter_constraints = CONSTRAINTS
    _test_params = (
        {"patch_length": 2, "patch_stride": 2, "d_model": 4, "d_ff": 8},
        {"prompt_order": "prompts-first"},
    )

    def __init__(
        self,
        context_length: int | None = None,
        prediction_length: int | None = None,
        backbone: str = DEFAULT_BACKBONE,
        backbone_mode: str = "pretrained",
        n_backbone_layers: int | None = None,
        revision: str | None = None,
        quantization: str | None = None,
        patch_length: int | None = None,
        patch_stride: int = 8,
        d_model: int = 32,
        d_ff: int | None = None,
        dropout: float = 0.1,
        prompt_length: int | None = None,
        prompt_order: str = "text-first",
        text_style: str = "short",
        n_lags: int = 5,
        text_cache_gigabytes: float = 2.0,
        balance_text: bool = True,
        task_loss: str = "mse",
        alignment_loss_weight: float = 1.0,
        init_temperature: float = 0.07,
        subtract_last: bool | None = None,
        learning_rate: float = 0.01,
        max_epochs: int = 20,
        batch_size: int | None = None,
        patience: int | None = 10,
        validation_fraction: float | None = None,
        missing: str = "error",
        intervals: str | None = "conformal",
        calibration_fraction: float | None = None,
        optimizer: str = "adam",
        weight_decay: float = 0.0,
        lr_schedule: str = "one-cycle",
        cosine_epochs: int = 20,
        gradient_clip: float | None = None,
        ema_decay: float | None = None,
        steps_per_epoch: int | None = None,
        max_validation_windows: int | None = None,
        standardize: bool = True,
        fine_tune_epochs: int = 0,
        update_epochs: int = 1,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[Callback] | None = None,
        resume: str | Path | None = None,
        random_state: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        verbose: int = 1,
    ) -> None:
        self.context_length = context_length
        self.prediction_length = prediction_length
        self.backbone = backbone
        self.backbone_mode = backbone_mode
        self.n_backbone_layers = n_backbone_layers
        self.revision = revision
        self.quantization = quantization
        self.patch_length = patch_length
        self.patch_stride = patch_stride
        self.d_model = d_model
        self.d_ff = d_ff
        self.dropout = dropout
        self.prompt_length = prompt_length
        self.prompt_order = prompt_order
        self.text_style = text_style
        self.n_lags = n_lags
        self.text_cache_gigabytes = text_cache_gigabytes
        self.balance_text = balance_text
        self.task_loss = task_loss
        self.alignment_loss_weight = alignment_loss_weight
        self.init_temperature = init_temperature
        self.subtract_last = subtract_last
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.missing = missing
        self.intervals = intervals
        self.calibration_fraction = calibration_fraction
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.cosine_epochs = cosine_epochs
        self.gradient_clip = gradient_clip
        self.ema_decay = ema_decay
        self.steps_per_epoch = steps_per_epoch
        self.max_validation_windows = max_validation_windows
        self.standardize = standardize
        self.fine_tune_epochs = fine_tune_epochs
        self.update_epochs = update_epochs
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.resume = resume
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.verbose = verbose
        super().__init__()

    def _build_network(self, shape: WindowShape) -> BALMTSFNetwork:
        return build_network(self, shape)

    def _validation_loss(self) -> str:
        return self.task_loss

    def inspect_alignment(
        self, y: Any = None, *, stride: int | None = None
    ) -> AlignmentReport:
        """Show how texts and series match, on windows of given data.

        Parameters
        ----------
        y : series in any format of sktime, optional
            With the columns of fit. None takes the most recent window of each series of
            fit and update.
        stride : int, optional
            Time steps between windows of `y`. None takes `prediction_length_`.

        Returns
        -------
        AlignmentReport
            Texts, embeddings, scales, similarities and temperature;
            `sktime_llm.plotting.plot_alignment` draws it.

        Raises
        ------
        InputError
            If `y` has other columns than in fit, or a series shorter than a context.
        """
        self.check_is_fitted()
        windows, labels = contexts(self, y, stride)
        network: Any = self.network_
        return report_alignment(network, windows, labels)
