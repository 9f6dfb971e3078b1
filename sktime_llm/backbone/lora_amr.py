"""LoRA-AMR: low-rank adaptation that keeps half as wide an activation, and no input.

``docs/lora_amr.md`` has the method, its choices and its use. peft builds and dispatches
its own LoRA layers, and only what is inside ``lora_A`` and ``lora_B`` is replaced:

================  =======================  ==================================
in the paper      in peft's layer          what it is
================  =======================  ==================================
B                 ``lora_A[name].weight``  buffer (r, in)
D                 ``lora_B[name].D``       buffer (r / 2, r)
C                 ``lora_B[name].C``       parameter (out, r / 2), trained
A = C D           ``lora_B[name].weight``  computed when merging (out, r)
================  =======================  ==================================

Importing this module adds the method ``"LORA_AMR"`` to peft's tables of methods; it
changes nothing else, and importing :mod:`sktime_llm` does not import it.
"""

from dataclasses import MISSING, dataclass, fields
from enum import Enum
from typing import Any, NoReturn

from peft import LoraConfig, LoraModel, PeftConfig
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional

from sktime_llm._validation import (
    BOOLEAN,
    Constraint,
    check_parameters,
    integer,
    one_of,
    plain,
    real,
)
from sktime_llm.backbone.adapters import attention_options
from sktime_llm.errors import InputError

_SUPPORTED_OPTIONS = frozenset(field.name for field in fields(PeftConfig)) | {
    "alpha_pattern", "bias", "exclude_modules", "fan_in_fan_out", "init_lora_weights",
    "layer_replication", "layers_pattern", "layers_to_transform", "lora_alpha",
    "lora_dropout", "modules_to_save", "r", "rank_pattern", "runtime_config",
    "target_modules", "trainable_token_indices", "use_rslora",
}  # fmt: skip
"""Of LoRA's options, those that mean the same here; others must keep their default."""


class LoraAmrType(str, Enum):
    """Name of the method in peft's tables, as those in ``peft.PeftType``."""

    LORA_AMR = "LORA_AMR"


@dataclass
class LoraAmrConfig(LoraConfig):
    """What to adapt with LoRA-AMR, and how; used like ``peft.LoraConfig``.

    Parameters
    ----------
    r : int, default=8
        Rank of the frozen matrix B, an even number of at least 2. The update of a
        weight has rank ``r / 2``.
    target_modules : list of str or str
        Names of the linear layers to adapt, by their ends, or a regular expression.
        Layers may be ``torch.nn.Linear``, transformers' ``Conv1D``, and the quantized
        layers that peft's LoRA supports.
    lora_alpha : int, default=8
        The update is scaled by ``lora_alpha / r``; with ``use_rslora`` by
        ``lora_alpha / sqrt(r)``.
    lora_dropout : float, default=0.0
        Dropout rate on the low-rank activation ``D B x``.
    init_lora_weights : bool or "gaussian", default=True
        How peft draws B: True for its uniform, "gaussian" for its normal
        distribution; C is zero. With False, C is random too.
    **options
        The other options of ``peft.LoraConfig`` that concern where adapters go and
        what else trains: ``rank_pattern``, ``alpha_pattern``, ``exclude_modules``,
        ``layers_to_transform``, ``modules_to_save``, ``bias``, ...

    Raises
    ------
    InputError
        If a rank is odd or below 2, or an option has no meaning for LoRA-AMR.

    Examples
    --------
    >>> from peft import get_peft_model
    >>> from torch import nn
    >>> from sktime_llm.backbone.lora_amr import LoraAmrConfig
    >>> network = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> config = LoraAmrConfig(r=4, target_modules=["0", "2"])
    >>> model = get_peft_model(network, config)
    >>> [name for name, p in model.named_parameters() if p.requires_grad]
    ['base_model.model.0.lora_B.default.C', 'base_model.model.2.lora_B.default.C']
    >>> model.merge_and_unload()
    Sequential(
      (0): Linear(in_features=16, out_features=16, bias=True)
      (1): ReLU()
      (2): Linear(in_features=16, out_features=4, bias=True)
    )
    """

    def __post_init__(self) -> None:
        """Check the options."""
        for field in fields(self):
            factory = field.default_factory
            default = field.default if factory is MISSING else factory()
            value = getattr(self, field.name)
            if field.name not in _SUPPORTED_OPTIONS and value != default:
                raise InputError(
                    f"{field.name}={value!r}, expected {default!r}: LoRA-AMR cannot be "
                    "combined with this option of LoRA. Leave it out, or use "
                    "peft.LoraConfig."
                )
        check_parameters(vars(self), _CONSTRAINTS)
        for name, rank in (self.rank_pattern or {}).items():
            _RANK.check(f"rank_pattern[{name!r}]", rank)
        self.r = plain(self.r)
        super().__post_init__()
        self.peft_type = LoraAmrType.LORA_AMR


_RANK = Constraint(
    "an even whole number of at least 2: LoRA-AMR trains a matrix of half that width",
    lambda rank: integer(2).accepts(rank) and plain(rank) % 2 == 0,
)
_CONSTRAINTS = {
    "r": _RANK,
    "lora_alpha": real(above=0),
    "lora_dropout": real(0, below=1),
    "init_lora_weights": BOOLEAN | one_of("gaussian"),
}


def attention_config(
    model: nn.Module, *, rank: int = 16, alpha: float = 32, dropout: float = 0.0
) -> LoraAmrConfig:
    """Return the configuration that adapts every query, key and value projection.

    The model is one of transformers; the update is scaled by ``alpha / rank``.
    """
    return LoraAmrConfig(**attention_options(model, rank, alpha, dropout))


class FrozenDown(nn.Module):
    """The frozen first factor, B of the paper, (..., in) to (..., r).

    It is a buffer, so that neither peft, when it switches adapters, nor an optimizer
    can ever train it.
    """

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Keeps nothing for backward but the weight."""
        return functional.linear(inputs, self.weight)


class ReducedUp(nn.Module):
    """The second factor, ``C D``, (..., r) to (..., out), with dropout between.

    `weight`, (out, r / 2), is the first value of C, which trains.
    """

    D: Tensor

    def __init__(self, rank: int, weight: Tensor, dropout: nn.Module) -> None:
        super().__init__()
        matrix = weight.new_empty(rank // 2, rank)
        self.register_buffer("D", nn.init.normal_(matrix, std=rank**-0.5))
        self.C = nn.Parameter(weight)
        self.dropout = dropout
        self.bias = None  # where peft's layers look for the option lora_bias

    @property
    def weight(self) -> Tensor:
        """The whole factor, (out, r), from which peft's layers compute the update."""
        return self.C @ self.D

    def forward(self, inputs: Tensor) -> Tensor:
        """Keeps (..., r / 2) for backward."""
        reduced = self.dropout(functional.linear(inputs, self.D))
        return functional.linear(reduced, self.C)


class LoraAmrModel(LoraModel):
    """peft's LoRA tuner, with LoRA-AMR's factors in its layers."""

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        made = (peft_config, adapter_name, target, target_name, parent, current_key)
        super()._create_and_replace(*made, parameter_name=parameter_name)
        _reduce(parent.get_submodule(target_name), adapter_name, current_key)

    def _cast_adapter_dtype(
        self, adapter_name: str, autocast_adapter_dtype: bool = True
    ) -> None:
        """Let the frozen factors, which peft does not see, follow the trained one."""
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)
        for module in self.modules():
            if isinstance(module, LoraLayer) and adapter_name in module.lora_B:
                up: Any = module.lora_B[adapter_name]
                module.lora_A[adapter_name].to(up.C.dtype)
                up.to(up.C.dtype)

    def add_weighted_adapter(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: sums of adapters with different frozen factors have no such form."""
        raise InputError(
            "add_weighted_adapter was called on LoRA-AMR adapters, whose frozen "
            "factors differ; expected adapters of LoRA. Activate several with "
            "base_model.set_adapter([...]), or merge them one after another."
        )


def _reduce(layer: Any, adapter_name: str, layer_name: str) -> None:
    """Turn peft's new LoRA adapter of a layer into one of LoRA-AMR, in place."""
    base = layer.get_base_layer()
    parts = layer.lora_A
    linear = adapter_name in parts and isinstance(parts[adapter_name], nn.Linear)
    # attention that computes its projections itself would bypass the factors
    if not linear or isinstance(base, nn.MultiheadAttention):
        raise InputError(
            f"target module {layer_name!r} is a {type(base).__name__}, expected a "
            "linear layer. Name only linear layers in target_modules, or use "
            "peft.LoraConfig."
        )
    down, up = layer.lora_A[adapter_name].weight, layer.lora_B[adapter_name].weight
    rank, dropout = len(down), layer.lora_dropout[adapter_name]
    # the columns are zero, or random if the configuration says so, and C is alike
    weight = up.detach()[:, : rank // 2].clone()
    layer.lora_A[adapter_name] = FrozenDown(down.detach())
    layer.lora_B[adapter_name] = ReducedUp(rank, weight, dropout)
    layer.lora_dropout[adapter_name] = nn.Identity()


# peft's own function adds only methods with built-in names
_NAME: Any = LoraAmrType.LORA_AMR
PEFT_TYPE_TO_CONFIG_MAPPING[_NAME] = LoraAmrConfig
PEFT_TYPE_TO_TUNER_MAPPING[_NAME] = LoraAmrModel
PEFT_TYPE_TO_PREFIX_MAPPING[_NAME] = LoraAmrModel.prefix
