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
from sktime_llm.forecasting._describing import DescribingMixin
from sktime_llm.forecasting._docs import document_shared
from sktime_llm.forecasting._parameters import RATE, SHARED_CONSTRAINTS, WEIGHT
from sktime_llm.forecasting._predicting import VarianceMixin
from sktime_llm.forecasting._training import MAX_BATCH
from sktime_llm.layers.prompt_pool import usage_counts
from sktime_llm.networks.llm_ts_net import LLMTSNetwork
from sktime_llm.text.describers import Describer
from sktime_llm.text.description_embeddings import DescriptionEmbeddings
from sktime_llm.text.encoder import DescriptionEncoder
from sktime_llm.training.trainer import NLL
from sktime_llm.training.windows import WindowShape

_TOKENS_OF_A_CONTEXT = 12
_VARIATES_OF_A_BATCH = 4096
_POINTWISE = ("mae", "mse", "smooth_l1")


def _may_be_texts(value: object) -> bool:
    return isinstance(value, (Mapping, Sequence, pd.Series)) and not isinstance(
        value, str
    )


@document_shared(lr_schedule='"cosine"', network="LLMTSNetwork")
class LLMTSNetForecaster(DescribingMixin, VarianceMixin, BaseLLMForecaster):
    """LLM-TS Net: forecast many variates, with their trends described in words.

    A describer puts the trend of every variate into words, from its training part. A
    small language model is fine-tuned on the descriptions by LoRA-AMR, and gives one
    constant embedding for each. The tokens of a window, with prompts from a learned
    pool in front, pass grouped-query attention over time and over variates; each
    variate then attends to the descriptions, and a head forecasts [1]_. Neither
    training nor forecasting runs the language model again.

    Missing values (NaN) are accepted: they do not count in any loss or statistic, and
    the network sees the last value before them, however long ago, with a flag. Time
    steps left out between two updates are missing values, too.

    One network is trained on all series of a panel or hierarchy. Series that fit did
    not see are described and embedded by ``update(y_new, update_params=False)``; then
    `predict` forecasts them as well. Frozen weights of the language model are loaded
    once per process and shared; what is saved, cloned and pickled are the trained
    weights and the embeddings. To forecast from a saved forecaster no language model
    is needed, and to update it only for series that it does not know.

    Parameters
    ----------
    context_length : int, optional
        Time steps the network sees. None takes twice `prediction_length`, but at least
        24 and at most 96, and at most half of what the longest series leaves beside
        forecast and validation. One that does not fit is clipped, with a warning.
        Published: 12.
    <<prediction_length>>
    <<backbone>>
    describer : "template" or Describer, default="template"
        What puts series into words; see `sktime_llm.text.describers`. The template
        needs no model and no network.
    descriptions : mapping or sequence of str, optional
        Descriptions of your own instead, one for each variate: in their order, or by
        column; in a panel by series, or by (series, column) if there are several
        columns. A pandas Series is a mapping from its index.
    language_model_steps : int, default=50
        Steps, of 16 descriptions, in which the language model is fine-tuned; 0 for
        none.
    lora_rank : int, default=16
        Rank of the LoRA-AMR adapters on the attention's projections, even. Published:
        16, 32 or 64.
    lora_alpha : float, default=32
        The adapters are scaled by ``lora_alpha / lora_rank``.
    text_fusion : bool, default=True
        Whether there are descriptions at all; without, no language model is loaded.
    prompt_pool : bool, default=True
        Whether there is a pool of prompts.
    intra_series_attention, inter_series_attention : bool, default=True
        Whether there is attention over time within a variate, and over variates.
    n_prompts : int, default=16
        Prompts in the pool.
    prompt_length : int, default=1
        Tokens of a prompt.
    n_selected_prompts : int, default=2
        Prompts that a variate takes.
    selection_loss_weight : float, default=0.1
        Weight of a loss that keeps the whole pool in use.
    patch_length : int, optional
        Time steps of a token. None makes at most 12 tokens of a context.
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
        Distance of forecast and truth; published: MAE.
    uncertainty : bool, default=False
        Whether to forecast a Gaussian (U-LLM-TS Net), trained by its negative
        log-likelihood; then there are ``predict_interval``, ``predict_quantiles``,
        ``predict_var`` and ``predict_proba``.
    learning_rate : float, default=1e-3
        Learning rate at its highest.
    max_epochs : int, default=20
        Most passes over the training windows.
    batch_size : int, optional
        Windows a step, and series computed at once in predict. None is one 32nd of the
        training windows, at least 16 and at most 256, but no more than have 4,096
        variates together: of 207 variates, 19 windows.
    <<training>>
    <<lr_schedule>>

    Attributes
    ----------
    <<attributes>>
    descriptions_ : pandas.Series of str
        What was told of every series and variate.
    language_model_losses_ : list of float
        Loss of every step of fine-tuning the language model, in nats per token; after
        ``pretrain``, of that.

    Raises
    ------
    DescriptionError
        In fit, if a series could not be described.
    <<raises>>

    Notes
    -----
    No public code exists. Where the paper leaves a choice, this is ours:

    - Windows are taken relative to their last values, in a scale that variates share
      (root mean square of the differences). A token is a linear
      map of `patch_length` steps and their flags.
    - Prompts are weighted by their softmax over the whole pool, and a loss, as large
      as the mutual information of variate and prompt is small, keeps the pool in use.
      ``history_["pool_in_use"]`` is the share in use, by the perplexity of choices.
    - The language model predicts words by a linear map, which trains, and its own word
      embeddings, since few small models come with a head for their first layers.
    - Pooling of the descriptions' tokens is trained with the forecast, on constant
      token states.
    - Each variate attends to the descriptions of all, and its own is added to its
      query.
    - The loss, and the distance by which epochs are chosen, are of series that are
      standardized, each by its own training part; published is the MAE in the data's
      units. With ``standardize=False`` it is that, up to a constant.
    - A gap that reaches back beyond the window is filled with the last value before it.
    - The variance has a part in units of the scale, and one in those of the scaled
      series: what follows a window that hardly moves is not certain. The
      epoch is then chosen by the likelihood, too.
    - The variance of steps that are rolled forward adds that of the last step before.

    <<threads>>

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

    def _largest_batch(self, n_channels: int) -> int:
        return max(1, min(MAX_BATCH, _VARIATES_OF_A_BATCH // n_channels))

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
        recent = self._recent_contexts(y, stride or self.prediction_length_)
        features = {} if recent.before is None else {"last_observed": recent.before}
        at_once = self.batch_size or self._largest_batch(recent.values.shape[2])
        with torch.inference_mode():
            parts = [
                network.select(
                    recent.values[at], {name: v[at] for name, v in features.items()}
                ).indices.flatten(0, 1)
                for start in range(0, len(recent.values), at_once)
                for at in [slice(start, start + at_once)]
            ]
        chosen = torch.cat(parts)
        counts = usage_counts(chosen, len(network.pool.keys)).cpu().numpy()
        return (
            pd.DataFrame(chosen.cpu().numpy(), index=recent.labels),
            pd.Series(counts, name="chosen"),
        )

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give parameter sets for sktime's tests: an encoder and a decoder.

        Parameters
        ----------
        parameter_set : str, default="default"
            There is only the default.
        """
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
