"""LoRA-AMR: low-rank adaptation that keeps half as wide an activation, and no input.

LoRA adapts a frozen weight ``W0`` as ``W0 + scaling * A B`` and trains both factors, so
that backward needs the layer's whole input ``x``. LoRA-AMR (low-rank adaptation with
activation-memory reduction) writes the second factor as ``A = C D``, freezes ``B`` and
``D`` at random values and trains ``C`` alone::

    W0 x  +  scaling * C D B x        B (r, in)   D (r / 2, r)   C (out, r / 2)

All that ``C`` needs for its gradient is ``D B x``, of width ``r / 2``. The frozen
``W0`` needs nothing of ``x`` either, so nothing else is kept. ``C`` starts as zero, so
training starts from the pretrained model; afterwards the product is merged into ``W0``.

Any user of peft can apply it to any model, as LoRA: :class:`LoraAmrConfig` goes where a
``LoraConfig`` would. peft builds and dispatches its own LoRA layers (``Linear``,
``Conv1D``, quantized ones), and only what is inside ``lora_A`` and ``lora_B`` is
replaced:

================  =======================  ==================================
in the paper      in peft's layer          what it is
================  =======================  ==================================
B                 ``lora_A[name].weight``  buffer (r, in)
D                 ``lora_B[name].D``       buffer (r / 2, r)
C                 ``lora_B[name].C``       parameter (out, r / 2), trained
A = C D           ``lora_B[name].weight``  computed when merging (out, r)
================  =======================  ==================================

Importing this module adds the method ``"LORA_AMR"`` to peft's tables of methods, which
``get_peft_model``, ``inject_adapter_in_model`` and ``PeftModel.from_pretrained`` read;
it changes nothing else, and importing :mod:`sktime_llm` does not import it.

Notes
-----
``D B`` is not folded into one matrix, though that would be the same function. Computed
in every forward, it would be kept for backward by every layer; computed once, it would
have to be renewed after each load, cast and move. Applying two matrices costs no
memory, and at rank r at most ``r / (2 * out)`` more arithmetic than the layer itself.

Dropout acts on ``D B x``, not on ``x`` as in LoRA: its mask is ``r / 2`` wide too.

``D`` has entries of variance ``1 / r``, which keeps the variance of ``B x``. The paper
leaves this choice open. As one factor trains instead of two, LoRA-AMR learns more
slowly than LoRA at the same learning rate, and wants a higher one, some four times.

References
----------
.. [1] "LLM-TS Net", arXiv:2408.14387, 2024.
"""

from dataclasses import MISSING, Field, dataclass, fields
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
from transformers.pytorch_utils import Conv1D

from sktime_llm._validation import (
    BOOLEAN,
    Constraint,
    check_parameters,
    integer,
    one_of,
    plain,
    real,
)
from sktime_llm.backbone.architecture import attention_projection_names
from sktime_llm.errors import InputError

_SUPPORTED_OPTIONS = frozenset(field.name for field in fields(PeftConfig)) | {
    "alpha_pattern",
    "bias",
    "exclude_modules",
    "fan_in_fan_out",
    "init_lora_weights",
    "layer_replication",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "modules_to_save",
    "r",
    "rank_pattern",
    "runtime_config",
    "target_modules",
    "trainable_token_indices",
    "use_rslora",
}
"""Of LoRA's options, those that mean the same here; others must keep their default."""


class LoraAmrType(str, Enum):
    """Name of the method in peft's tables, as ``peft.PeftType`` has the built-in."""

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

    Notes
    -----
    Saving with ``save_pretrained`` needs peft 0.21 or newer: before, peft saved none
    but the methods that it brings. All else works from peft 0.18 on.

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
            self._check_option(field)
        check_parameters(vars(self), _CONSTRAINTS)
        for name, rank in (self.rank_pattern or {}).items():
            _RANK.check(f"rank_pattern[{name!r}]", rank)
        self.r = plain(self.r)
        super().__post_init__()
        self.peft_type = LoraAmrType.LORA_AMR

    def _check_option(self, field: Field) -> None:
        if field.name in _SUPPORTED_OPTIONS:
            return
        factory = field.default_factory
        default = field.default if factory is MISSING else factory()
        value = getattr(self, field.name)
        if value != default:
            raise InputError(
                f"{field.name}={value!r}, expected {default!r}: LoRA-AMR cannot be "
                "combined with this option of LoRA. Leave it out, or use "
                "peft.LoraConfig."
            )


def _is_even(rank: Any) -> bool:
    return integer(2).accepts(rank) and rank % 2 == 0


_RANK = Constraint(
    "an even whole number of at least 2: LoRA-AMR trains a matrix of half that width",
    _is_even,
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
    """Configuration that adapts every query, key and value projection of a model.

    Parameters
    ----------
    model : nn.Module
        A transformers model, with or without a head.
    rank : int, default=16
        Rank of B; even.
    alpha : float, default=32
        The update is scaled by ``alpha / rank``.
    dropout : float, default=0.0
        Dropout rate on the low-rank activation.

    Returns
    -------
    LoraAmrConfig
        For ``peft.get_peft_model`` or ``peft.inject_adapter_in_model``.

    Raises
    ------
    InputError
        If the rank is odd or below 2.
    UnsupportedBackboneError
        If no projection is recognized.

    Examples
    --------
    >>> from peft import get_peft_model
    >>> from transformers import BertConfig, BertForMaskedLM
    >>> from sktime_llm.backbone.lora_amr import attention_config
    >>> tiny = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2,
    ...                   num_attention_heads=2, intermediate_size=32)
    >>> model = BertForMaskedLM(tiny)
    >>> model = get_peft_model(model, attention_config(model, rank=4))
    >>> model.get_nb_trainable_parameters()[0]  # 2 layers, 3 projections, (16, 4 / 2)
    192
    """
    names = attention_projection_names(model)
    scaled_by: Any = alpha  # peft declares an int, and works with any number
    return LoraAmrConfig(
        r=rank,
        lora_alpha=scaled_by,
        lora_dropout=dropout,
        target_modules=names,
        fan_in_fan_out=isinstance(model.get_submodule(names[0]), Conv1D),
    )


class FrozenDown(nn.Module):
    """The frozen first factor, from the width of the layer to the rank.

    A buffer, not a parameter, so that neither peft, when it switches adapters, nor an
    optimizer can ever train it.

    Parameters
    ----------
    weight : Tensor of shape (r, in)
        The paper's B.
    """

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """From (..., in) to (..., r); keeps nothing for backward but the weight."""
        return functional.linear(inputs, self.weight)


class ReducedUp(nn.Module):
    """The second factor, ``C D``, of which C trains, from the rank to the outputs.

    Parameters
    ----------
    rank : int
        Rank r of the first factor.
    weight : Tensor of shape (out, r / 2)
        First value of C.
    dropout : nn.Module
        Dropout layer between D and C.
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
        """From (..., r) to (..., out); keeps (..., r / 2) for backward."""
        return functional.linear(
            self.dropout(functional.linear(inputs, self.D)), self.C
        )


class LoraAmrModel(LoraModel):
    """peft's LoRA tuner, with LoRA-AMR's factors in its layers.

    Made by ``peft.get_peft_model`` and ``peft.inject_adapter_in_model`` from a
    :class:`LoraAmrConfig`; it has the methods of ``peft.LoraModel``.
    """

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
        super()._create_and_replace(
            peft_config,
            adapter_name,
            target,
            target_name,
            parent,
            current_key,
            parameter_name=parameter_name,
        )
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
        """Refuse: sums of adapters with different frozen factors have no LoRA-AMR form.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError(
            "add_weighted_adapter was called on LoRA-AMR adapters, whose frozen "
            "factors differ; expected adapters of LoRA. Activate several with "
            "base_model.set_adapter([...]), or merge them one after another."
        )


def _reduce(layer: Any, adapter_name: str, layer_name: str) -> None:
    """Turn peft's new LoRA adapter of a layer into one of LoRA-AMR, in place."""
    base = layer.get_base_layer()
    linear = adapter_name in layer.lora_A and isinstance(
        layer.lora_A[adapter_name], nn.Linear
    )
    # an attention that computes its projections itself would bypass the factors
    if not linear or isinstance(base, nn.MultiheadAttention):
        raise InputError(
            f"target module {layer_name!r} is a {type(base).__name__}, expected a "
            "linear layer. Name only linear layers in target_modules, or use "
            "peft.LoraConfig."
        )
    down, up = layer.lora_A[adapter_name].weight, layer.lora_B[adapter_name].weight
    rank = len(down)
    # the columns are zero, or random if the configuration says so, and C is alike
    reduced = ReducedUp(
        rank, up.detach()[:, : rank // 2].clone(), layer.lora_dropout[adapter_name]
    )
    layer.lora_A[adapter_name] = FrozenDown(down.detach())
    layer.lora_B[adapter_name] = reduced
    layer.lora_dropout[adapter_name] = nn.Identity()


def _register() -> None:
    """Add the method to peft's tables; peft's function takes built-in names only."""
    name: Any = LoraAmrType.LORA_AMR
    PEFT_TYPE_TO_CONFIG_MAPPING[name] = LoraAmrConfig
    PEFT_TYPE_TO_TUNER_MAPPING[name] = LoraAmrModel
    PEFT_TYPE_TO_PREFIX_MAPPING[name] = LoraAmrModel.prefix


_register()
