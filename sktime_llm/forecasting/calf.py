"""CALF as an sktime forecaster."""

import warnings
from typing import Any

from sktime_llm.backbone._module import Backbone
from sktime_llm.backbone.adapters import Tuning
from sktime_llm.backbone.files import DEFAULT_BACKBONE
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.backbone.word_embeddings import principal_word_embeddings
from sktime_llm.errors import ClippedParameterWarning, InputError
from sktime_llm.forecasting._base import BaseLLMForecaster
from sktime_llm.networks.calf import CALFNetwork, TextualBranch
from sktime_llm.training.losses import check_distance
from sktime_llm.training.windows import WindowShape

PUBLISHED_EMBEDDINGS = 500
_POINTWISE = ("mae", "mse", "smooth_l1")


class CALFForecaster(BaseLLMForecaster):
    """Forecaster that fine-tunes a pretrained language model across modalities.

    TODO
    """

    def __init__(
        self,
        context_length: int | None = None,
        prediction_length: int | None = None,
        backbone: str = DEFAULT_BACKBONE,
        backbone_mode: str = "pretrained",
        n_backbone_layers: int | None = None,
        revision: str | None = None,
        lora_rank: int = 8,
        lora_alpha: float = 32,
        lora_dropout: float = 0.1,
        n_principal_embeddings: int | None = None,
        n_heads: int | None = None,
        d_ff: int = 2048,
        dropout: float = 0.1,
        task_loss: str = "mae",
        consistency_loss: str = "mae",
        feature_loss: str = "mae",
        consistency_loss_weight: float = 1.0,
        feature_loss_weight: float = 0.01,
        seasonal_period: int = 1,
        learning_rate: float = 5e-4,
        max_epochs: int = 100,
        batch_size: int = 256,
        patience: int | None = 10,
        validation_fraction: float = 0.1,
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
        self.seasonal_period = seasonal_period
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

    def _build_network(self, shape: WindowShape, n_channels: int) -> CALFNetwork:
        self._check_losses(shape)
        choice = BackboneChoice(
            name=self.backbone,
            revision=self.revision,
            n_layers=self.n_backbone_layers,
            mode=self.backbone_mode,
            random_seed=self._backbone_seed(),
        )
        tuning = Tuning(
            lora_rank=self.lora_rank,
            lora_alpha=self.lora_alpha,
            lora_dropout=self.lora_dropout,
            layer_norms=True,
            position_embeddings=True,
        )
        time_backbone = make_backbone(choice, tuning)
        n_heads = self.n_heads or time_backbone.n_heads
        if time_backbone.hidden_size % n_heads:
            raise InputError(
                f"n_heads={n_heads}, expected a divisor of {time_backbone.hidden_size},"
                " the width of the backbone."
            )
        textual = None
        if self.consistency_loss_weight or self.feature_loss_weight:
            text_backbone = make_backbone(choice, Tuning(position_embeddings=True))
            k = self._n_principal(text_backbone)
            embeddings = principal_word_embeddings(text_backbone, k)
            textual = TextualBranch(text_backbone, embeddings, n_heads)
        return CALFNetwork(
            time_backbone,
            textual,
            context_length=shape.context_length,
            prediction_length=shape.prediction_length,
            n_channels=n_channels,
            n_heads=n_heads,
            d_ff=self.d_ff,
            dropout=self.dropout,
            task_loss=self.task_loss,
            consistency_loss=self.consistency_loss,
            feature_loss=self.feature_loss,
            consistency_loss_weight=self.consistency_loss_weight,
            feature_loss_weight=self.feature_loss_weight,
            seasonal_period=self.seasonal_period,
        )

    def _check_losses(self, shape: WindowShape) -> None:
        percent = (*_POINTWISE, "smape")
        check_distance(self.task_loss, "task_loss", percent)
        check_distance(self.consistency_loss, "consistency_loss", (*percent, "mase"))
        check_distance(self.feature_loss, "feature_loss", _POINTWISE)
        if self.consistency_loss == "mase" and not (
            1 <= self.seasonal_period < shape.context_length
        ):
            raise InputError(
                f"seasonal_period={self.seasonal_period}, expected between 1 and "
                f"{shape.context_length - 1}, below the context length, for "
                "consistency_loss='mase'."
            )

    def _n_principal(self, backbone: Backbone) -> int:
        most = backbone.hidden_size - 1
        if self.n_principal_embeddings is None:
            return min(PUBLISHED_EMBEDDINGS, most)
        if self.n_principal_embeddings > most:
            warnings.warn(
                f"n_principal_embeddings={self.n_principal_embeddings}, but a backbone "
                f"of width {backbone.hidden_size} has only {most}; all are used.",
                ClippedParameterWarning,
                stacklevel=2,
            )
        return min(self.n_principal_embeddings, most)

    def _validation_loss(self) -> str:
        return "smape" if self.task_loss == "smape" else "mse"

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
            "d_ff": 8,
            "max_epochs": 1,
            "random_state": 0,
            "verbose": 0,
        }
        return [
            {**small, "backbone": "tiny-random", "validation_fraction": 0.0},
            {
                **small,
                "backbone": "tiny-random-decoder",
                "lora_rank": 2,
                "feature_loss_weight": 0.0,
                "steps_per_epoch": 2,
                "fine_tune_epochs": 1,
            },
        ]
