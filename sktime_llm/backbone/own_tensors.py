"""The tensors of a module that are its own, and not those of a shared backbone."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from sktime_llm.backbone._module import Backbone, LanguageModelBackbone
from sktime_llm.errors import SavedForecasterError


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return by name what trains, and persistent buffers; frozen weights are left out.

    They are the module's, not copies.
    """
    models = {
        f"{prefix}.model." if prefix else "model.": one
        for prefix, one in module.named_modules()
        if isinstance(one, LanguageModelBackbone)
    }
    others = {
        name: tensor
        for name, tensor in _persistent(module)
        if not name.startswith(tuple(models))
    }
    return others | {
        f"{prefix}{name}": tensor
        for prefix, one in models.items()
        for name, tensor in one.trained_state().items()
    }


def _persistent(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for prefix, one in module.named_modules():
        start = f"{prefix}." if prefix else ""
        for name, parameter in one.named_parameters(recurse=False):
            yield start + name, parameter.detach()
        for name, buffer in one.named_buffers(recurse=False):
            if name not in one._non_persistent_buffers_set:
                yield start + name, buffer


def frozen_names(module: nn.Module) -> list[str]:
    """Return the names of the module's own parameters that do not train."""
    own = own_tensors(module)
    named = module.named_parameters()
    return sorted(name for name, p in named if name in own and not p.requires_grad)


@torch.no_grad()
def fill(
    module: nn.Module, tensors: Mapping[str, Tensor], frozen: list[str] | None = None
) -> None:
    """Copy tensors into a module of the same structure; `frozen` names do not train."""
    own = own_tensors(module)
    wrong = sorted(
        name
        for name in own.keys() | tensors.keys()
        if name not in own
        or name not in tensors
        or own[name].shape != tensors[name].shape
        or own[name].dtype != tensors[name].dtype
    )
    if wrong:
        raise SavedForecasterError(
            f"{len(wrong)} tensors are missing, too many or of another shape: "
            f"{', '.join(wrong[:3])}... Install the versions of transformers and peft "
            "that the forecaster was saved with, or fit again."
        )
    for name, tensor in own.items():
        tensor.copy_(tensors[name])
    for name, parameter in module.named_parameters():
        if name in own:
            parameter.requires_grad_(frozen is not None and name not in frozen)


def fingerprints_of(module: nn.Module) -> dict[str, dict[str, str]]:
    """Return what each backbone in a module has used and does not own, by its name."""
    return {name: one.fingerprints() for name, one in _backbones(module)}


def check_fingerprints(
    module: nn.Module, saved: Mapping[str, Mapping[str, str]]
) -> None:
    """Raise a BackboneCorruptedError if a backbone is not as it was when saved."""
    for name, one in _backbones(module):
        one._check_fingerprints(saved[name])


def _backbones(module: nn.Module) -> Iterator[tuple[str, Backbone]]:
    for name, one in module.named_modules():
        if isinstance(one, Backbone):
            yield name, one
