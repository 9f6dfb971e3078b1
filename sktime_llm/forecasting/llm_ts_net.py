"""LLM-TS Net as an sktime forecaster."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from sktime_llm._validation import BOOLEAN, Constraint, instance_of, integer, one_of
from sktime_llm.backbone.adapters import ADAPTER_CONSTRAINTS, AdapterConfig
from sktime_llm.backbone.files import DEFAULT_BACKBONE
from sktime_llm.backbone.make import make_backbone
from sktime_llm.errors import InputError
from sktime_llm.forecasting._base import BaseLLMForecaster
from sktime_llm.forecasting._describing import (
    Describing,
    describe_series,
    tune_encoder,
)
from sktime_llm.forecasting._known import KnownSeries
from sktime_llm.forecasting._parameters import RATE, SHARED_CONSTRAINTS, WEIGHT
from sktime_llm.forecasting._training import SeriesSplit
from sktime_llm.layers.prompt_pool import usage_counts
from sktime_llm.networks.llm_ts_net import LLMTSNetwork
from sktime_llm.text.describers import Describer
from sktime_llm.text.description_embeddings import DescriptionEmbeddings
from sktime_llm.text.encoder import DescriptionEncoder
from sktime_llm.training.config import MAX_BATCH_SIZE, NLL
from sktime_llm.training.windows import WindowShape

_TOKENS_OF_A_CONTEXT = 12
_VARIATES_OF_A_BATCH = 4096
_POINTWISE = ("mae", "mse", "smooth_l1")


def _may_be_texts(value: object) -> bool:
    return isinstance(value, (Mapping, Sequence, pd.Series)) and not isinstance(
        value, str
    )


class LLMTSNetForecaster(BaseLLMForecaster):
    """LLM-TS Net: forecast many variates, with their trends described in words.

    A describer puts the trend of every variate into words, from its training part. A
    small language model is fine-tuned on these descriptions by LoRA-AMR and embeds each
    of them. The tokens of a window, preceded by prompts from a learned pool, pass
    through grouped-query attention over time and over variates; each variate then
    attends to the descriptions, and a head forecasts [1]_. Neither training nor
    forecasting runs the language model again.

    Missing values (NaN) are accepted. They count in no loss or statistic, and the
    network sees the last observed value, however old, with a flag. Time steps left out
    between two updates are missing values, too.

    One network is trained on all series of a panel or hierarchy. ``update(y_new,
    update_params=False)`` describes and embeds series that fit did not see, so that
    `predict` can forecast them. The frozen weights of the language model are loaded
    once per process and shared; only the trained weights and the embeddings are saved,
    cloned and pickled. A saved forecaster forecasts without the language model, and
    needs it only in an update with new series.

    Parameters
    ----------
    context_length : int, optional
        Time steps that the network sees. None uses twice `prediction_length`, but at
        least 24 and at most 96, and at most half of the rows that the longest series
        has left for training windows. A length that does not fit is clipped, with a
        warning. Published: 12.
    prediction_length : int, optional
        Time steps forecast at once; longer horizons are forecast by rolling forward.
        None uses the largest step of `fh` in fit, or 24 without `fh`, but at most a
        quarter of the longest series.
    backbone : str, default="sentence-transformers/all-MiniLM-L6-v2"
        Language model: any encoder or decoder of transformers with safetensors weights,
        by its name on the Hugging Face Hub, such as the published
        ``"openai-community/gpt2"``, or as a local folder in the Hub's layout.
        ``"tiny-random"`` (an encoder) and ``"tiny-random-decoder"`` are for tests.
    backbone_mode : str, default="pretrained"
        ``"pretrained"``, or an ablation that measures how much the language model
        gains: ``"random"`` has the same architecture with frozen random weights;
        ``"none"``, no model; ``"attention"`` and ``"transformer"``, one layer trained
        from scratch.
    n_backbone_layers : int, optional
        Layers to keep, from the first. None keeps six, as published, or all if there
        are fewer.
    revision : str, optional
        Branch, tag or commit of the backbone on the Hub.
    describer : "template" or Describer, default="template"
        Puts series into words; see `sktime_llm.text.describers`. The template needs no
        language model and no internet.
    descriptions : mapping or sequence of str, optional
        Your own descriptions instead, one for each variate: in order, or by column; in
        a panel by series, or by (series, column) if there are several columns. A pandas
        Series is a mapping from its index.
    language_model_steps : int, default=50
        Steps, each of 16 descriptions, that fine-tune the language model; 0 for none.
    lora_rank : int, default=16
        Rank of the LoRA-AMR adapters on the attention's projections, even. Published:
        16, 32 or 64.
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
        log-likelihood, which enables `predict_interval`, `predict_quantiles`,
        `predict_var` and `predict_proba`.
    learning_rate : float, default=1e-3
        Highest learning rate.
    max_epochs : int, default=20
        Maximum number of passes over the training windows.
    batch_size : int, optional
        Windows per step, and series computed at once in predict. None uses 1/32 of the
        training windows, but at least 16 and at most 256, and no more than 4,096
        variates in total: 19 windows of 207 variates.
    patience : int or None, default=10
        Epochs without a lower validation loss before training stops; None does not stop
        early. The weights of the best epoch are kept in any case.
    validation_fraction : float, optional
        Share of each series, from its end, that is not trained on and chooses the best
        epoch; at least `prediction_length` rows. 0 holds out nothing and keeps the last
        epoch. None uses 0.1 if that gives at least 32 validation windows over all
        series, else 0.
    optimizer : {"adam", "adamw"}, default="adam"
        Optimizer.
    weight_decay : float, default=0.0
        Weight decay of the optimizer.
    lr_schedule : {"cosine", "one-cycle", "step", "constant"}, default="cosine"
        Learning rate over time; ``"step"`` halves it after every epoch.
    cosine_epochs : int, default=20
        Epochs in which the cosine schedule falls to 1e-8, before it rises again.
    gradient_clip : float, optional
        Maximum norm of the gradient; None does not clip.
    steps_per_epoch : int, optional
        Maximum number of steps per epoch, which then sees a random part of the windows.
    standardize : bool, default=True
        Whether to standardize each series by its training part, so that all count alike
        in the loss; a column that is constant in the training part is scaled by all its
        rows. Otherwise all series are divided by one number, the root mean square of
        their deviations, and larger ones count more.
    fine_tune_epochs : int, default=0
        Epochs that `fit` trains after `pretrain`; 0 forecasts zero-shot.
    update_epochs : int, default=1
        Epochs that `update` trains, on the windows that end in the new rows.
    random_state : int, RandomState instance or None, default=None
        Seed. The same integer gives the same forecasts on the same machine. The global
        random state stays as it was.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``; ``"auto"`` is a GPU if there
        is one, else the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the computation; weights are always float32. ``"auto"`` is bfloat16
        on GPUs that support it, else float32.
    verbose : int, default=1
        0 is silent; 1 shows a progress bar on a terminal if training takes more than
        two seconds; 2 also logs every epoch to the logger ``sktime_llm``.

    Attributes
    ----------
    network_ : LLMTSNetwork
        The trained network.
    history_ : pandas.DataFrame
        One row per epoch: losses, learning rate, seconds, whether it was the best, and
        the ``stage``, ``"fit"`` or ``"update"``.
    context_length_, prediction_length_ : int
        Lengths in use.
    pretrained_network_, pretrain_history_
        After `pretrain`: the network that every later `fit` starts from, and its
        history.
    descriptions_ : pandas.Series of str
        Description of every series and variate.
    language_model_losses_ : list of float
        Loss of every step that fine-tuned the language model, in nats per token; after
        `pretrain`, in `pretrain`.

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
    KeyboardInterrupt
        In fit, pretrain and update, by Ctrl-C. If an epoch is complete, the best
        weights so far are kept and the forecaster can be used; otherwise it is as
        before the call.
    DescriptionError
        In fit, if a series could not be described.

    Notes
    -----
    There is no public code. What the paper leaves open, and how it is done here, is
    listed in docs/methods.md of the repository.

    Fits in parallel threads share PyTorch's random numbers and are not reproducible;
    fits in parallel processes (``backend="loky"``) are. On a GPU, tune with
    ``backend=None``: every loky worker loads its own backbone.

    References
    ----------
    .. [1] "LLM-TS Net" (2024). arXiv 2408.14387.

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

    _tags = {
        "capability:missing_values": True,
        "capability:pred_int": True,
        "pretrain:fitted_params": [
            "pretrained_network_",
            "pretrain_history_",
            "language_model_losses_",
        ],
    }

    _parameter_constraints = SHARED_CONSTRAINTS | {
        "describer": one_of("template") | instance_of(Describer),
        "descriptions": Constraint("a mapping or a sequence of str", _may_be_texts)
        | None,
        "language_model_steps": integer(0),
        "lora_rank": ADAPTER_CONSTRAINTS["lora_rank"],
        "lora_alpha": ADAPTER_CONSTRAINTS["lora_alpha"],
        "text_fusion": BOOLEAN,
        "prompt_pool": BOOLEAN,
        "intra_series_attention": BOOLEAN,
        "inter_series_attention": BOOLEAN,
        "n_prompts": integer(1),
        "prompt_length": integer(1),
        "n_selected_prompts": integer(0),
        "selection_loss_weight": WEIGHT,
        "patch_length": integer(1) | None,
        "d_model": integer(1),
        "n_heads": integer(1),
        "n_kv_heads": integer(1),
        "d_ff": integer(1),
        "n_blocks": integer(1),
        "dropout": RATE,
        "task_loss": one_of(*_POINTWISE),
        "uncertainty": BOOLEAN,
    }

    def __init__(
        self,
        context_length: int | None = None,
        prediction_length: int | None = None,
        backbone: str = DEFAULT_BACKBONE,
        backbone_mode: str = "pretrained",
        n_backbone_layers: int | None = None,
        revision: str | None = None,
        describer: str | Describer = "template",
        descriptions: Mapping[Hashable, str] | Sequence[str] | None = None,
        language_model_steps: int = 50,
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
        optimizer: str = "adam",
        weight_decay: float = 0.0,
        lr_schedule: str = "cosine",
        cosine_epochs: int = 20,
        gradient_clip: float | None = None,
        steps_per_epoch: int | None = None,
        standardize: bool = True,
        fine_tune_epochs: int = 0,
        update_epochs: int = 1,
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
        self.describer = describer
        self.descriptions = descriptions
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
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.cosine_epochs = cosine_epochs
        self.gradient_clip = gradient_clip
        self.steps_per_epoch = steps_per_epoch
        self.standardize = standardize
        self.fine_tune_epochs = fine_tune_epochs
        self.update_epochs = update_epochs
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.verbose = verbose
        super().__init__()

    def __dynamic_tags__(self) -> None:
        """Only a forecaster of uncertainty gives intervals."""
        self.set_tags(**{"capability:pred_int": bool(self.uncertainty)})

    # making the network

    def _build_network(self, shape: WindowShape, n_channels: int) -> LLMTSNetwork:
        self._check_prompts_and_rank()
        descriptions = None
        if self.text_fusion:
            tuning = AdapterConfig(
                lora_rank=self.lora_rank,
                lora_alpha=self.lora_alpha,
                lora_dropout=0.0,
                reduced_memory=True,
            )
            backbone = make_backbone(self._backbone_choice(), tuning)
            descriptions = DescriptionEmbeddings(DescriptionEncoder(backbone))
        patch_length = self.patch_length or -(
            -shape.context_length // _TOKENS_OF_A_CONTEXT
        )
        return LLMTSNetwork(
            descriptions,
            context_length=shape.context_length,
            prediction_length=shape.prediction_length,
            patch_length=patch_length,
            d_model=self.d_model,
            n_heads=self.n_heads,
            n_kv_heads=self.n_kv_heads,
            d_ff=self.d_ff,
            n_blocks=self.n_blocks,
            n_prompts=self.n_prompts if self.prompt_pool else 0,
            prompt_length=self.prompt_length,
            n_selected=self.n_selected_prompts,
            intra_series=self.intra_series_attention,
            inter_series=self.inter_series_attention,
            dropout=self.dropout,
            task_loss=self.task_loss,
            selection_loss_weight=self.selection_loss_weight,
            uncertainty=self.uncertainty,
        )

    def _check_prompts_and_rank(self) -> None:
        if self.text_fusion and self.lora_rank % 2:
            raise InputError(
                f"lora_rank={self.lora_rank}, expected an even number: LoRA-AMR trains "
                "a matrix of half that width."
            )
        if self.prompt_pool and not 1 <= self.n_selected_prompts <= self.n_prompts:
            raise InputError(
                f"n_selected_prompts={self.n_selected_prompts}, expected between 1 and "
                f"n_prompts={self.n_prompts}."
            )
        if self.prompt_pool and self.n_prompts == 1 and self.selection_loss_weight:
            raise InputError(
                f"n_prompts=1 with selection_loss_weight={self.selection_loss_weight}, "
                "expected n_prompts of at least 2, or selection_loss_weight=0."
            )

    def _validation_loss(self) -> str:
        return NLL if self.uncertainty else self.task_loss

    def _max_batch_size(self, n_channels: int) -> int:
        return max(1, min(MAX_BATCH_SIZE, _VARIATES_OF_A_BATCH // n_channels))

    # describing series

    def _register_series(
        self,
        network: Any,
        split: SeriesSplit,
        columns: pd.Index,
        *,
        known: KnownSeries | None = None,
        trains: bool = False,
    ) -> pd.Series | None:
        embedded = network.descriptions
        if embedded is None:
            return None
        how = Describing(
            self.describer, self.descriptions, self.language_model_steps, self._seed
        )
        old = None if known is None else known.descriptions
        names = () if old is None else old.index
        new = describe_series(how, split.training_parts, columns, names)
        if old is None and (losses := tune_encoder(how, embedded, new)) is not None:
            self.language_model_losses_ = losses
        embedded.add(
            new.tolist(),
            len(columns),
            n_known=0 if known is None else len(known.numbers),
            names=new.index.tolist(),
        )
        if not trains:
            embedded.freeze()
        return new if old is None else pd.concat([old, new])

    @property
    def descriptions_(self) -> pd.Series:
        """Descriptions of every series and variate, in a fit with `text_fusion`."""
        known = vars(self).get("_known")
        if known is None or known.descriptions is None:
            raise AttributeError("descriptions_: fit with text_fusion=True first")
        return known.descriptions

    # inspection

    def inspect_prompts(self, y: Any = None, *, stride: int | None = None) -> Any:
        """Show which prompts of the pool are chosen, on windows of given data.

        Parameters
        ----------
        y : series in any format of sktime, optional
            With the columns of fit. None takes the most recent window of each series of
            fit and update.
        stride : int, optional
            Time steps between windows of `y`. None takes `prediction_length_`.

        Returns
        -------
        chosen : pandas.DataFrame
            Numbers of the prompts, best first; a row for every series, last time of a
            window, and variate.
        counts : pandas.Series
            How often each prompt of the pool was chosen.

        Raises
        ------
        InputError
            If there is no pool, or `y` has other columns than in fit.
        """
        self.check_is_fitted()
        network: Any = self.network_
        if network.pool is None:
            raise InputError("prompt_pool=False, expected True: there is no pool.")
        contexts, labels = self._contexts(y, stride)
        features = {}
        if contexts.last_observed is not None:
            features["last_observed"] = contexts.last_observed
        at_once = self._prediction_batch_size()
        with torch.inference_mode():
            parts = [
                network.select(
                    contexts.values[at], {name: v[at] for name, v in features.items()}
                ).indices.flatten(0, 1)
                for start in range(0, len(contexts.values), at_once)
                for at in [slice(start, start + at_once)]
            ]
        chosen = torch.cat(parts)
        counts = usage_counts(chosen, len(network.pool.keys)).cpu().numpy()
        return (
            pd.DataFrame(chosen.cpu().numpy(), index=labels),
            pd.Series(counts, name="chosen"),
        )

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's tests: of an encoder and of a decoder."""
        small = {
            "context_length": 4,
            "prediction_length": 2,
            "language_model_steps": 1,
            "lora_rank": 2,
            "n_prompts": 3,
            "patch_length": 2,
            "d_model": 4,
            "n_heads": 2,
            "n_kv_heads": 1,
            "d_ff": 4,
            "n_blocks": 1,
            "max_epochs": 1,
            "random_state": 0,
            "verbose": 0,
        }
        return [
            {**small, "backbone": "tiny-random", "validation_fraction": 0.0},
            {
                **small,
                "backbone": "tiny-random-decoder",
                "uncertainty": True,
                "steps_per_epoch": 2,
                "fine_tune_epochs": 1,
            },
        ]
