"""How LLM-TS Net's network is built, told of series, and looked into."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from sktime_llm._validation import BOOLEAN, Constraint, instance_of, integer, one_of
from sktime_llm.backbone.adapters import ADAPTER_CONSTRAINTS, AdapterConfig
from sktime_llm.backbone.make import make_backbone
from sktime_llm.errors import InputError
from sktime_llm.forecasting._base import BaseLLMForecaster
from sktime_llm.forecasting._checkpoint import TensorInfo
from sktime_llm.forecasting._describing import describe_series
from sktime_llm.forecasting._inspecting import check_no_covariates, contexts
from sktime_llm.forecasting._known import KnownSeries, Registered
from sktime_llm.forecasting._llm_ts_net_report import (
    AttentionReport,
    report_attention,
)
from sktime_llm.forecasting._parameters import COLUMNS, RATE, SHARED_CONSTRAINTS, WEIGHT
from sktime_llm.forecasting._training import SeriesSplit
from sktime_llm.networks.llm_ts_net import LLMTSNetwork
from sktime_llm.text.describers import Describer
from sktime_llm.text.encoder import (
    DescriptionEmbeddings,
    DescriptionEncoder,
    PackedEncoder,
)
from sktime_llm.training.config import NLL
from sktime_llm.training.windows import WindowShape

_MAX_TOKENS = 12
"""Maximum number of tokens of a context, if `patch_length` is None."""


def _may_be_texts(value: object) -> bool:
    is_collection = isinstance(value, Mapping | Sequence | pd.Series)
    return is_collection and not isinstance(value, str)


CONSTRAINTS = SHARED_CONSTRAINTS | {
    "past_covariates": COLUMNS,
    "describer": one_of("template") | instance_of(Describer),
    "descriptions": Constraint("a mapping or a sequence of str", _may_be_texts) | None,
    "n_descriptions": integer(1),
    "language_model_steps": integer(0),
    "lora_rank": ADAPTER_CONSTRAINTS["lora_rank"],
    "lora_alpha": ADAPTER_CONSTRAINTS["lora_alpha"],
    "text_fusion": BOOLEAN,
    "level_input": BOOLEAN,
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
    "task_loss": one_of("mae", "mse", "smooth_l1"),
    "uncertainty": BOOLEAN,
}

TAGS: dict[str, Any] = {
    "capability:exogenous": True,
    "capability:non_contiguous_X": False,
    "pretrain:fitted_params": [
        "pretrained_network_",
        "pretrain_history_",
        "pretrained_covariates_",
        "language_model_losses_",
    ],
}
"""sktime's tags, where they are not those of the base class."""

TEST_PARAMS: tuple[dict[str, Any], dict[str, Any]] = (
    {
        "language_model_steps": 1,
        "lora_rank": 2,
        "n_prompts": 3,
        "patch_length": 2,
        "d_model": 4,
        "n_heads": 2,
        "n_kv_heads": 1,
        "d_ff": 4,
        "n_blocks": 1,
    },
    {"uncertainty": True},
)


class LLMTSNetMethod(BaseLLMForecaster):
    """What LLM-TS Net does differently; its parameters are `LLMTSNetForecaster`'s."""

    _tags = TAGS
    _max_variates = 4096
    _parameter_constraints = CONSTRAINTS
    _test_params = TEST_PARAMS

    def _validation_loss(self) -> str:
        return NLL if self.uncertainty else self.task_loss

    def _build_network(self, shape: WindowShape) -> LLMTSNetwork:
        return build_network(self, shape)

    def _rebuild_network(
        self, shape: WindowShape, tensors: Mapping[str, TensorInfo]
    ) -> LLMTSNetwork:
        descriptions = None
        if self.text_fusion:
            embeddings = tensors["descriptions.embeddings"]
            width = embeddings.shape[2]
            encoder = PackedEncoder(
                self._backbone_choice(), tuning_of(self), width, {}, {}
            )
            descriptions = DescriptionEmbeddings(encoder)
            descriptions.embeddings = torch.zeros(embeddings.shape)
        return build_network(self, shape, descriptions)

    def _register_series(
        self,
        network: Any,
        split: SeriesSplit,
        columns: pd.Index,
        *,
        known: KnownSeries | None = None,
        trains: bool = False,
    ) -> Registered:
        if network.descriptions is None:
            return super()._register_series(network, split, columns, known=known)
        registered, losses = register_series(
            self, network, split, columns, known, trains=trains
        )
        if losses is not None:
            self.language_model_losses_ = losses
        return registered

    @property
    def descriptions_(self) -> pd.Series:
        """Descriptions of every series and variate, in a fit with `text_fusion`."""
        known = vars(self).get("_known")
        if known is None or known.descriptions is None:
            raise AttributeError("descriptions_: fit with text_fusion=True first")
        return known.descriptions

    def inspect_alignment(
        self, y: Any = None, *, stride: int | None = None
    ) -> AttentionReport:
        """Show which prompts, descriptions and sensors windows of given data look at.

        Parameters
        ----------
        y : series in any format of sktime, optional
            With the columns of fit, and with `text_fusion` series that fit or update
            saw. None takes the most recent window of each series.
        stride : int, optional
            Time steps between windows of `y`. None takes `prediction_length_`.

        Returns
        -------
        AttentionReport
            Prompts that are taken from the pool, attention to descriptions, and
            attention to other variates; `sktime_llm.plotting.plot_attention` draws it.

        Raises
        ------
        InputError
            If `y` has other columns than in fit, a series shorter than a context, or
            one that was not described; or if fit was given covariates.

        Examples
        --------
        >>> from sktime_llm import LLMTSNetForecaster
        >>> from sktime_llm.datasets import load_dataset
        >>> y = load_dataset("us_change").y
        >>> forecaster = LLMTSNetForecaster(
        ...     backbone="tiny-random", language_model_steps=2, max_epochs=1
        ... )
        >>> report = forecaster.fit(y, fh=[1, 2, 3]).inspect_alignment()
        >>> report.text_attention.shape
        (5, 5)
        """
        self.check_is_fitted()
        check_no_covariates(self._known)
        windows, labels = contexts(self, y, stride)
        network: Any = self.network_
        batch_size = self._prediction_batch_size()
        return report_attention(network, self._known, windows, labels, batch_size)


def tuning_of(forecaster: Any) -> AdapterConfig:
    """Return what of the language model is tuned."""
    return AdapterConfig(
        lora_rank=forecaster.lora_rank,
        lora_alpha=forecaster.lora_alpha,
        lora_dropout=0.0,
        reduced_memory=True,
    )


def build_network(
    forecaster: Any,
    shape: WindowShape,
    descriptions: DescriptionEmbeddings | None = None,
) -> LLMTSNetwork:
    """Build the untrained network from the parameters of a forecaster.

    Without `descriptions` their language model is made, if there is `text_fusion`.
    """
    if forecaster.uncertainty and forecaster.intervals == "quantiles":
        raise InputError(
            'uncertainty=True and intervals="quantiles", expected one of both: '
            "quantiles are those of the Gaussian, or the network's own."
        )
    _check_prompts_and_rank(forecaster)
    if forecaster.text_fusion and descriptions is None:
        tuning = tuning_of(forecaster)
        backbone = make_backbone(forecaster._backbone_choice(), tuning)
        descriptions = DescriptionEmbeddings(DescriptionEncoder(backbone))
    patch_length = forecaster.patch_length or -(-shape.context_length // _MAX_TOKENS)
    return LLMTSNetwork(
        descriptions,
        context_length=shape.context_length,
        prediction_length=shape.prediction_length,
        patch_length=patch_length,
        d_model=forecaster.d_model,
        n_heads=forecaster.n_heads,
        n_kv_heads=forecaster.n_kv_heads,
        d_ff=forecaster.d_ff,
        n_blocks=forecaster.n_blocks,
        n_prompts=forecaster.n_prompts if forecaster.prompt_pool else 0,
        prompt_length=forecaster.prompt_length,
        n_selected=forecaster.n_selected_prompts,
        level_input=forecaster.level_input,
        intra_series=forecaster.intra_series_attention,
        inter_series=forecaster.inter_series_attention,
        dropout=forecaster.dropout,
        task_loss=forecaster.task_loss,
        selection_loss_weight=forecaster.selection_loss_weight,
        uncertainty=forecaster.uncertainty,
        quantiles=forecaster.intervals == "quantiles",
    )


def _check_prompts_and_rank(forecaster: Any) -> None:
    if forecaster.text_fusion and forecaster.lora_rank % 2:
        raise InputError(
            f"lora_rank={forecaster.lora_rank}, expected an even number: LoRA-AMR "
            "trains a matrix of half that width."
        )
    if not forecaster.prompt_pool:
        return
    n_prompts, n_selected = forecaster.n_prompts, forecaster.n_selected_prompts
    if not 1 <= n_selected <= n_prompts:
        raise InputError(
            f"n_selected_prompts={n_selected}, expected between 1 and "
            f"n_prompts={n_prompts}."
        )
    if n_prompts == 1 and forecaster.selection_loss_weight:
        raise InputError(
            "n_prompts=1 with selection_loss_weight="
            f"{forecaster.selection_loss_weight}, expected n_prompts of at least 2, or "
            "selection_loss_weight=0."
        )


def register_series(
    forecaster: Any,
    network: Any,
    split: SeriesSplit,
    columns: pd.Index,
    known: KnownSeries | None,
    *,
    trains: bool,
) -> tuple[Registered, list[float] | None]:
    """Describe series, and let a network read the descriptions, in place.

    Return the latest descriptions of all series, also of those known before, what was
    read now, and the losses of fine-tuning the language model, if it was fine-tuned.
    """
    embedded = network.descriptions
    old = None if known is None else known.descriptions
    new = describe_series(forecaster, split, columns, () if old is None else old.index)
    losses = None
    encoder: DescriptionEncoder = embedded.encoder
    if old is None and any(p.requires_grad for p in encoder.parameters()):
        known_texts = new.until(split.n_training_rows)
        losses = encoder.tune(
            known_texts.tolist(),
            n_steps=forecaster.language_model_steps,
            seed=forecaster._seed(),
            names=known_texts.index.tolist(),
        )
    n_known = 0 if known is None else len(embedded.embeddings)
    names = new.texts.index.tolist()
    embedded.add(new.texts.tolist(), len(columns), n_known=n_known, names=names)
    if not trains:
        embedded.freeze()
    latest = new.latest()
    descriptions = latest if old is None else pd.concat([old, latest])
    registered = Registered(new.numbers(split, n_known), descriptions, new.texts)
    return registered, losses
