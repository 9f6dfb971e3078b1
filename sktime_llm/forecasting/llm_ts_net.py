"""LLM-TS Net as an sktime forecaster."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from sktime_llm.backbone.files import DEFAULT_BACKBONE
from sktime_llm.forecasting._llm_ts_net import LLMTSNetMethod
from sktime_llm.text.describers import Describer
from sktime_llm.training.callbacks import Callback


class LLMTSNetForecaster(LLMTSNetMethod):
    """LLM-TS Net: forecast many variates, with their trends described in words.

    A describer puts the trend of every variate into words, as of a few times. A small
    language model is fine-tuned on these descriptions by LoRA-AMR and embeds them once.
    The tokens of a window, preceded by prompts from a learned pool, pass through
    grouped-query attention over time and over variates; each variate then attends to
    the last descriptions before, through a gate of ours, and a head forecasts [1]_.

    Missing values (NaN) count in no loss or statistic; the network sees the last
    observed value, however old, with a flag.

    Covariates (`X`) are further series of the attention over variates, each of its past
    and, where it is known, its future: docs/covariates.md of the repository.

    One network is trained on all series of a panel or hierarchy. An update describes
    series that fit did not see, so that `predict` forecasts them. The frozen weights of
    the language model are loaded once per process and shared; they are not saved, and a
    saved forecaster needs them only to describe new series.

    Parameters
    ----------
    context_length : int, optional
        Time steps that the network sees. None uses twice `prediction_length`, from 24
        to 96, but at most half of the rows that the longest series has left for
        training windows. A length that does not fit is clipped, with a warning.
        Published: 12.
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
    describer : "template" or Describer, default="template"
        Puts series into words; see `sktime_llm.text.describers`.
    descriptions : mapping or sequence of str, optional
        Your own descriptions instead, one for each variate: in order, or by column; in
        a panel by series, or by (series, column) if there are several columns. Measure
        whether they help: words that say what a series is raised errors by 14 % on M3's
        yearly series and by 8 % on the quarterly ones.
    n_descriptions : int, default=8
        How often each series is described, at times from its first context to its end;
        less often where that makes more than 8,192 texts, but at least twice. A window
        gets the last description before its target. Your own are for all windows.
    language_model_steps : int, default=10
        Steps, each of 16 descriptions, that fine-tune the language model; 0 for none.
        On M1, 50 take twice as long or more and forecast no better.
    lora_rank : int, default=16
        Even rank of the LoRA-AMR adapters on the attention's projections.
    lora_alpha : float, default=32
        The adapters are scaled by ``lora_alpha / lora_rank``.
    text_fusion : bool, default=True
        Whether to use descriptions; if False, no language model is loaded.
    prompt_pool : bool, default=True
        Whether to use a pool of prompts.
    intra_series_attention, inter_series_attention : bool, default=True
        Whether to attend over time within each variate, and over variates.
    n_prompts : int, default=16
        Prompts in the pool.
    prompt_length : int, default=1
        Tokens per prompt.
    n_selected_prompts : int, default=2
        Prompts selected for each variate.
    selection_loss_weight : float, default=0.1
        Weight of a loss that keeps the whole pool in use.
    level_input : bool, default=False
        Whether tokens also get the level of their window: its last value, relative to
        the training part of the series, or in zero-shot forecasts to the rows of `fit`.
        Windows are relative to it, so a jam looks like a free road. Not published. It
        lowered the MAE of road traffic by 6 % an hour ahead and 1 % a quarter of an
        hour ahead. Only for series that stay in a range: on M3, where series trend, the
        sMAPE of held-out blocks was 27 to 70 % higher (both one seed, without text).
    patch_length : int, optional
        Time steps per token. None makes at most 12 tokens of a context.
    d_model : int, default=64
        Width of the tokens.
    n_heads : int, default=4
        Query heads.
    n_kv_heads : int, default=2
        Key and value heads, which query heads share.
    d_ff : int, default=128
        Feed-forward width.
    n_blocks : int, default=2
        Blocks of attention over time, then over variates.
    dropout : float, default=0.1
        Dropout rate.
    task_loss : {"mae", "mse", "smooth_l1"}, default="mae"
        Distance between forecast and truth. Published: MAE.
    uncertainty : bool, default=False
        Whether to forecast a Gaussian (U-LLM-TS Net), trained by its negative
        log-likelihood, from which `predict_interval` and the like take their bounds,
        instead of `intervals`.
    learning_rate : float, default=1e-3
        Highest learning rate.
    max_epochs : int, default=20
        Maximum passes over the training windows.
    batch_size : int, optional
        Windows per step, and series computed at once in predict. None uses 1/32 of the
        training windows, from 16 to 256, and no more than 4,096 variates in total.
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
    past_covariates : sequence of column names, default=()
        Columns of `X` whose future is not known. All others have to be in the `X` of
        `predict` at every step up to the last one that is forecast.
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
    lr_schedule : {"cosine", "one-cycle", "step", "constant"}, default="cosine"
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
    network_ : LLMTSNetwork
        The trained network.
    history_ : pandas.DataFrame
        One row per epoch: losses, rate, seconds, if it was the best, and the ``stage``.
    context_length_, prediction_length_ : int
        Lengths in use.
    pretrained_network_, pretrain_history_, pretrained_covariates_
        After `pretrain`: what later fits start from, its history and its covariates.
    descriptions_ : pandas.Series of str
        Description of every series and variate.
    language_model_losses_ : list of float
        Loss of every step that fine-tuned the language model, in nats per token.

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
    DescriptionError
        In fit, if a series could not be described.

    Notes
    -----
    docs/methods.md of the repository lists what the paper leaves open.

    Parallel fits, in threads or processes, forecast as serial ones: docs/hardware.md.

    References
    ----------
    .. [1] S. S. Srinivas et al. (2024). Reprogramming Foundational Large Language
       Models (LLMs) for Enterprise Adoption for Spatio-Temporal Forecasting
       Applications. arXiv 2408.14387.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from sktime_llm import LLMTSNetForecaster
    >>> y = load_airline()
    >>> forecaster = LLMTSNetForecaster(
    ...     backbone="tiny-random", language_model_steps=1, d_model=8, max_epochs=1
    ... )
    >>> y_pred = forecaster.fit(y, fh=[1, 2, 3]).predict()
    >>> len(y_pred)
    3
    """

    def __init__(
        self,
        context_length: int | None = None,
        prediction_length: int | None = None,
        backbone: str = DEFAULT_BACKBONE,
        backbone_mode: str = "pretrained",
        n_backbone_layers: int | None = None,
        revision: str | None = None,
        quantization: str | None = None,
        describer: str | Describer = "template",
        descriptions: Mapping[Hashable, str] | Sequence[str] | None = None,
        n_descriptions: int = 8,
        language_model_steps: int = 10,
        lora_rank: int = 16,
        lora_alpha: float = 32,
        text_fusion: bool = True,
        prompt_pool: bool = True,
        intra_series_attention: bool = True,
        inter_series_attention: bool = True,
        n_prompts: int = 16,
        prompt_length: int = 1,
        n_selected_prompts: int = 2,
        selection_loss_weight: float = 0.1,
        level_input: bool = False,
        patch_length: int | None = None,
        d_model: int = 64,
        n_heads: int = 4,
        n_kv_heads: int = 2,
        d_ff: int = 128,
        n_blocks: int = 2,
        dropout: float = 0.1,
        task_loss: str = "mae",
        uncertainty: bool = False,
        learning_rate: float = 1e-3,
        max_epochs: int = 20,
        batch_size: int | None = None,
        patience: int | None = 10,
        validation_fraction: float | None = None,
        missing: str = "error",
        past_covariates: Sequence[Hashable] = (),
        intervals: str | None = "conformal",
        calibration_fraction: float | None = None,
        optimizer: str = "adam",
        weight_decay: float = 0.0,
        lr_schedule: str = "cosine",
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
        self.describer = describer
        self.descriptions = descriptions
        self.n_descriptions = n_descriptions
        self.language_model_steps = language_model_steps
        self.lora_rank = lora_rank
        self.lora_alpha = lora_alpha
        self.text_fusion = text_fusion
        self.prompt_pool = prompt_pool
        self.intra_series_attention = intra_series_attention
        self.inter_series_attention = inter_series_attention
        self.n_prompts = n_prompts
        self.prompt_length = prompt_length
        self.n_selected_prompts = n_selected_prompts
        self.selection_loss_weight = selection_loss_weight
        self.level_input = level_input
        self.patch_length = patch_length
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads
        self.d_ff = d_ff
        self.n_blocks = n_blocks
        self.dropout = dropout
        self.task_loss = task_loss
        self.uncertainty = uncertainty
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.missing = missing
        self.past_covariates = past_covariates
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
