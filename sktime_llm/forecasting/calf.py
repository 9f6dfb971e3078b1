"""CALF as an sktime forecaster."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sktime_llm.backbone.files import DEFAULT_BACKBONE
from sktime_llm.forecasting import _calf
from sktime_llm.forecasting._base import BaseLLMForecaster
from sktime_llm.forecasting._calf_report import CrossModalReport, report_cross_modal
from sktime_llm.forecasting._checkpoint import TensorInfo
from sktime_llm.forecasting._inspecting import contexts, rows_seen
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.networks.calf import CALFNetwork
from sktime_llm.training.callbacks import Callback
from sktime_llm.training.windows import WindowShape


class CALFForecaster(BaseLLMForecaster):
    """CALF: forecast with a language model that is fine-tuned across modalities.

    Each variate of a window becomes one token. The first layers of a pretrained
    language model, adapted by LoRA, read the tokens, and a linear head forecasts. In
    training, a second, frozen copy of the same layers reads the series expressed in
    words (principal word embeddings), and two losses pull the copies together: one on
    their hidden states and one on their forecasts [1]_. Only the first copy forecasts.

    One network is trained on all series of a panel or hierarchy. The frozen weights of
    the language model are shared in a process; only the trained ones are saved.
    Missing values (NaN) count in no loss or statistic; the network sees the last
    observed value, however old, with a flag. Covariates (`X`) are one token each, of
    their past and, where it is known, their future.

    Parameters
    ----------
    context_length : int, optional
        Time steps that the network sees. None uses twice `prediction_length`, from 24
        to 96, but at most half of the rows that the longest series has left for
        training windows. A length that does not fit is clipped, with a warning.
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
    lora_rank : int, default=8
        Rank of the LoRA adapters on the query, key and value projections; 0 for none.
    lora_alpha : float, default=32
        The adapters are scaled by ``lora_alpha / lora_rank``.
    lora_dropout : float, default=0.1
        Dropout rate of the adapters' input.
    n_principal_embeddings : int, optional
        Principal word embeddings, at most the width of the backbone minus one; more are
        clipped, with a warning. None uses 500, as published, or as many as there are.
    n_heads : int, optional
        Heads of the variate encoder and the cross-attention. None uses the backbone's.
    d_ff : int, optional
        Feed-forward width of the variate encoder. None uses 8/3 of the backbone's: the
        published 2048 for GPT-2, 1024 for the default backbone.
    dropout : float, default=0.1
        Dropout rate of the variate encoder.
    task_loss : {"mae", "mse", "smooth_l1", "smape"}, default="mae"
        Distance between forecast and truth. Published for M4: ``"smape"``, with
        ``"mase"`` and ``"smooth_l1"`` as the other two and ``standardize=False``.
    consistency_loss : {"mae", "mse", "smooth_l1", "smape", "mase"}, default="mse"
        Distance of the copies' forecasts. Published: MAE (errors on M1 +1 to +3 %).
    feature_loss : {"mae", "mse", "smooth_l1"}, default="mae"
        Distance between the projected hidden states of the two copies.
    consistency_loss_weight : float, default=1.0
        Weight of `consistency_loss`. If both are 0 (few-shot), there is no second copy.
    feature_loss_weight : float, default=0.01
        Weight of `feature_loss`.
    residual_in_features : bool, default=False
        Whether the last state in the feature loss has the residual, as in public code.
    seasonal_period : int, default=1
        Time steps per season, for ``consistency_loss="mase"`` only.
    subtract_last : bool, default=False
        Whether windows are relative to their last value, not, as published, their mean.
        With it errors of single series of M1 are 7 % lower, those of ETTh1 8 % higher.
    keep_textual_branch : bool, default=False
        Whether `fit` keeps the second copy, as `pretrain` does. If not, `update` trains
        by `task_loss` alone, as published for few data, and a saved file is smaller.
    learning_rate : float, default=5e-4
        Highest learning rate.
    projection_learning_rate : float, optional
        Constant rate, in `update` a fifth of it, of the variate encoder's attention,
        the cross-attention and the projections in the feature loss: 70 % of the trained
        weights by default. None trains them as all others. Public code: 1e-4.
    max_epochs : int, default=20
        Maximum passes over the windows. Published: 100, a patience of 10.
    batch_size : int, optional
        Windows per step, and series computed at once in predict. None uses 1/32 of the
        training windows, from 16 to 256.
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
    network_ : CALFNetwork
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
    The network is as published; docs/methods.md lists which defaults are not. The
    published long-term setting is ``context_length=96, batch_size=256, max_epochs=100,
    consistency_loss="mae", backbone="openai-community/gpt2"``, in the public code also
    ``projection_learning_rate=1e-4, residual_in_features=True``.

    Parallel fits, in threads or processes, forecast as serial ones: docs/hardware.md.

    References
    ----------
    .. [1] P. Liu et al. (2025). CALF: Aligning LLMs for Time Series Forecasting via
       Cross-modal Fine-Tuning. AAAI. arXiv 2403.07300.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from sktime_llm import CALFForecaster
    >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
    >>> len(forecaster.fit(load_airline(), fh=[1, 2, 3]).predict())
    3
    """

    _tags = {"capability:exogenous": True, "capability:non_contiguous_X": False}
    _parameter_constraints = _calf.CONSTRAINTS
    _test_params = {"d_ff": 8}, {"lora_rank": 2, "feature_loss_weight": 0.0}

    def __init__(
        self,
        context_length: int | None = None,
        prediction_length: int | None = None,
        backbone: str = DEFAULT_BACKBONE,
        backbone_mode: str = "pretrained",
        n_backbone_layers: int | None = None,
        revision: str | None = None,
        quantization: str | None = None,
        lora_rank: int = 8,
        lora_alpha: float = 32,
        lora_dropout: float = 0.1,
        n_principal_embeddings: int | None = None,
        n_heads: int | None = None,
        d_ff: int | None = None,
        dropout: float = 0.1,
        task_loss: str = "mae",
        consistency_loss: str = "mse",
        feature_loss: str = "mae",
        consistency_loss_weight: float = 1.0,
        feature_loss_weight: float = 0.01,
        residual_in_features: bool = False,
        seasonal_period: int = 1,
        subtract_last: bool = False,
        keep_textual_branch: bool = False,
        learning_rate: float = 5e-4,
        projection_learning_rate: float | None = None,
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
        self.lora_rank = lora_rank
        self.lora_alpha = lora_alpha
        self.lora_dropout = lora_dropout
        self.n_principal_embeddings = n_principal_embeddings
        self.n_heads = n_heads
        self.d_ff = d_ff
        self.dropout = dropout
        self.task_loss = task_loss
        self.consistency_loss = consistency_loss
        self.feature_loss = feature_loss
        self.consistency_loss_weight = consistency_loss_weight
        self.feature_loss_weight = feature_loss_weight
        self.residual_in_features = residual_in_features
        self.seasonal_period = seasonal_period
        self.subtract_last = subtract_last
        self.keep_textual_branch = keep_textual_branch
        self.learning_rate = learning_rate
        self.projection_learning_rate = projection_learning_rate
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

    def inspect_alignment(
        self, y: Any = None, *, stride: int | None = None
    ) -> CrossModalReport:
        """Show how near training brought series to words, on windows of given data.

        Parameters
        ----------
        y : series in any format of sktime, optional
            With the columns of fit. None takes the rows of fit and update.
        stride : int, optional
            Steps between windows. None takes `prediction_length_`.

        Returns
        -------
        CrossModalReport
            Distances from words, and with `keep_textual_branch` the cross-attention and
            similarity of both branches; `plotting.plot_cross_modal` draws it.

        Raises
        ------
        InputError
            If `y` has other columns than in fit, a series shorter than a context, or
            too few windows, or if fit was given covariates.

        Examples
        --------
        >>> from sktime.datasets import load_airline
        >>> from sktime_llm import CALFForecaster
        >>> forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1)
        >>> report = forecaster.fit(load_airline(), fh=[1, 2, 3]).inspect_alignment()
        >>> list(report.distances)
        ['wasserstein', 'wasserstein_chance', 'kl', 'kl_chance']
        """
        self.check_is_fitted()
        windows, labels = contexts(self, rows_seen(self, y), stride)
        return report_cross_modal(self, windows, labels, self._prediction_batch_size())

    def _build_network(self, shape: WindowShape) -> CALFNetwork:
        return _calf.build_network(self, shape)

    def _rebuild_network(
        self, shape: WindowShape, tensors: Mapping[str, TensorInfo]
    ) -> CALFNetwork:
        return _calf.build_network(self, shape, names=tensors.keys())

    def _drop_unneeded(self, network: ForecastNetwork) -> None:
        assert isinstance(network, CALFNetwork)
        if not self.keep_textual_branch:
            network.textual = None

    def _restore_dropped(self, network: ForecastNetwork) -> None:
        _calf.restore_textual_branch(self, network)

    def _needs_level(self) -> bool:
        return "smape" in (self.task_loss, self.consistency_loss)

    def _validation_loss(self) -> str:
        return "smape" if self.task_loss == "smape" else "mse"
