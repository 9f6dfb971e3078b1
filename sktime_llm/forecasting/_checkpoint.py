"""Folders of checkpoints: what is written, and all that is checked before it is used.

A folder has `config.json`, two files of tensors and a model card. The configuration
has the SHA-256 of itself and of the tensors; nothing in a folder is run.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from sktime_llm._files import kept_beside, replacing_folder
from sktime_llm._version import __version__
from sktime_llm.errors import InputError, SavedForecasterError, SktimeLLMError

FORMAT = 1
NAME = "sktime-llm forecaster"
CONFIG, NETWORK, SERIES, CARD = (
    "config.json",
    "model.safetensors",
    "series.safetensors",
    "README.md",
)
FILES = (CONFIG, NETWORK, SERIES, CARD)
_TENSOR_FILES = (NETWORK, SERIES)
_ENTRIES = {"what", "format", "sktime-llm", "packages", "files"}
_ENTRIES |= {"class", "parameters", "backbone", "networks", "state"}
_MAX_HEADER, _MAX_CONFIG = 100 * 2**20, 512 * 2**20
_CONNECT_SECONDS = 5
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NUMPY_ONLY = {"U16": 2, "U32": 4, "U64": 8}
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


class TensorInfo(NamedTuple):
    """Type and shape of a tensor, as the header of its file tells them."""

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> "TensorInfo":
        """Return what a header says of a tensor."""
        names = {dtype: name for name, dtype in _DTYPES.items()}
        return cls(names[tensor.dtype], tuple(tensor.shape))

    @property
    def n_bytes(self) -> int:
        """Bytes of the tensor."""
        if self.dtype in _NUMPY_ONLY:
            return _NUMPY_ONLY[self.dtype] * math.prod(self.shape)
        return _DTYPES[self.dtype].itemsize * math.prod(self.shape)


class Checkpoint(NamedTuple):
    """A folder whose files are whole: its configuration, and what its tensors are."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, TensorInfo]

    def network_tensors(self) -> dict[str, Tensor]:
        """Read the tensors of the networks."""
        with explaining(self.folder):
            return safetensors.torch.load((self.folder / NETWORK).read_bytes())

    def series_arrays(self) -> dict[str, np.ndarray]:
        """Read the arrays of the series."""
        with explaining(self.folder):
            return safetensors.numpy.load((self.folder / SERIES).read_bytes())


@contextmanager
def explaining(folder: Path) -> Iterator[None]:
    """Turn what a file that is not whole, or not ours, leads to into an error."""
    try:
        yield
    except SavedForecasterError as error:
        if str(folder) in str(error):
            raise
        raise SavedForecasterError(f"{folder} cannot be loaded: {error}") from error
    except InputError as error:
        raise SavedForecasterError(
            f"{folder} has parameters that cannot be: {error} Save it again."
        ) from error
    except SktimeLLMError:
        raise
    except _MALFORMED as error:
        raise SavedForecasterError(
            f"{folder} is not a whole checkpoint ({type(error).__name__}: {error}). "
            "Fetch or save it again."
        ) from error


# writing


def write_checkpoint(
    path: str | Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    arrays: Mapping[str, np.ndarray],
    card: str,
) -> Path:
    """Write a folder beside and rename it at the end; return its path."""
    folder = Path(path)
    check_replaceable(folder)
    check_replaceable(kept_beside(folder), whole=False)
    on_cpu = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in tensors.items()
    }
    contiguous = {name: np.array(each, order="C") for name, each in arrays.items()}
    contents = {
        NETWORK: safetensors.torch.save(on_cpu, {"format": "pt"}),
        SERIES: safetensors.numpy.save(contiguous),
        CARD: card.encode(),
    }
    whole = {"what": NAME, "format": FORMAT, "sktime-llm": __version__, **config}
    whole["files"] = {
        name: hashlib.sha256(contents[name]).hexdigest() for name in _TENSOR_FILES
    }
    contents[CONFIG] = _dumps({"sha256": _digest(whole), **whole}).encode()
    with replacing_folder(folder) as beside:
        for name, content in contents.items():
            (beside / name).write_bytes(content)
    return folder


def check_replaceable(folder: Path, *, whole: bool = True) -> None:
    """Raise an InputError unless a folder is new, empty or a checkpoint.

    One that is not `whole` may be the rest of a checkpoint, whose removal was killed.
    """
    if not folder.exists():
        if folder.is_symlink():
            raise InputError(f"{folder} is a link to nothing. Remove it first.")
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, expected a folder. Name another one.")
    found = sorted(entry.name for entry in folder.iterdir())
    if not found:
        return
    others = [name for name in found if name not in FILES]
    if others or (whole and not _is_ours(folder)):
        shown = ", ".join((others or found)[:3])
        raise InputError(
            f"{folder} has files that are not of a checkpoint ({shown}), which would "
            "be lost. Name a new folder, or move them first."
        )


def _is_ours(folder: Path) -> bool:
    try:
        return bool(_read_json(folder / CONFIG)["what"] == NAME)
    except (OSError, *_MALFORMED):
        return False


def _dumps(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _digest(content: Mapping[str, Any]) -> str:
    plain = json.dumps(content, sort_keys=True, allow_nan=False, ensure_ascii=True)
    return hashlib.sha256(plain.encode()).hexdigest()


# reading


def read_checkpoint(name: str | Path, revision: str | None = None) -> Checkpoint:
    """Find a folder, or fetch it from the Hub, and check that its files are whole."""
    folder, root = _locate(name, revision)
    with explaining(folder):
        for file in FILES:
            _check_inside(folder / file, root, must_exist=file != CARD)
        config = _read_config(folder)
        headers = {}
        for file in _TENSOR_FILES:
            headers[file] = _read_header(folder / file)
            _check_sha256(folder / file, config["files"][file])
        return Checkpoint(folder, config, headers[NETWORK])


def _locate(name: str | Path, revision: str | None) -> tuple[Path, Path]:
    """Return a folder, and the folder that all of its files must be in."""
    if not isinstance(name, str | os.PathLike):
        raise InputError(
            f"got {name!r}, expected the path of a folder, or a name on the Hub."
        )
    folder = Path(name).expanduser()
    if not folder.exists() and kept_beside(folder).is_dir():
        folder = kept_beside(folder)  # a save was killed in the moment of the renames
    if folder.is_dir():
        return folder, folder.resolve()
    if folder.is_file():
        raise SavedForecasterError(
            f"{folder} is a file, expected a folder that save_pretrained() wrote. If "
            "save() wrote it, read it by sktime_llm.load()."
        )
    fetched = _fetch(str(name), revision)
    return fetched, fetched.parents[1].resolve()  # which also has the Hub's blobs


def _fetch(name: str, revision: str | None) -> Path:
    try:
        if not huggingface_hub.constants.HF_HUB_OFFLINE:
            # snapshot_download asks the same, but waits for an answer without a limit
            huggingface_hub.HfApi().model_info(
                name, revision=revision, timeout=_CONNECT_SECONDS
            )
        return Path(
            huggingface_hub.snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(FILES),
                etag_timeout=_CONNECT_SECONDS,
            )
        )
    except Exception as error:  # the HTTP client has errors of its own
        at = f" at revision {revision!r}" if revision else ""
        raise SavedForecasterError(
            f"{name!r}{at} is no folder here, and could not be fetched from the "
            f"Hugging Face Hub ({type(error).__name__}: {error}). Name a folder that "
            "save_pretrained() wrote. If it was fetched before, HF_HUB_OFFLINE=1 takes "
            "it from the Hub's cache on this machine."
        ) from error


def _check_inside(file: Path, root: Path, *, must_exist: bool) -> None:
    if file.is_symlink() and not file.resolve().is_relative_to(root):
        raise SavedForecasterError(
            f"{file} is a link out of its folder, which is never followed. Copy the "
            "file itself."
        )
    if must_exist and not file.is_file():
        raise SavedForecasterError(
            f"{file} does not exist; expected {', '.join(FILES)}, as save_pretrained() "
            "writes them."
        )


def _read_json(file: Path) -> Any:
    if file.stat().st_size > _MAX_CONFIG:
        raise SavedForecasterError(
            f"{file} has {file.stat().st_size} bytes, expected at most {_MAX_CONFIG}."
        )

    def refuse(text: str) -> None:
        raise ValueError(f"{text} is not JSON")

    return json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)


def _read_config(folder: Path) -> dict[str, Any]:
    config = _read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("what") != NAME:
        raise SavedForecasterError(
            f"{folder / CONFIG} is not of a forecaster of sktime-llm. Name a folder "
            "that save_pretrained() wrote."
        )
    if config.get("format") != FORMAT:
        raise SavedForecasterError(
            f"{folder} was written by sktime-llm {config.get('sktime-llm')} in format "
            f"{config.get('format')}; sktime-llm {__version__} reads format {FORMAT}. "
            "Install the version that wrote it, or fit the forecaster again."
        )
    expected = config.pop("sha256", None)
    if _digest(config) != expected:
        raise SavedForecasterError(
            f"{folder / CONFIG} was altered after it was written: its SHA-256 is "
            f"{_digest(config)}, expected {expected}. Fetch or save it again."
        )
    if unknown := sorted(config.keys() - _ENTRIES):
        raise SavedForecasterError(
            f"{folder / CONFIG} has the unknown entries {unknown}, expected some of "
            f"{sorted(_ENTRIES)}. Code that comes with a checkpoint is never run."
        )
    files = config["files"]
    if sorted(files) != sorted(_TENSOR_FILES):
        raise SavedForecasterError(
            f"{folder / CONFIG} names the files {sorted(files)}, expected "
            f"{sorted(_TENSOR_FILES)}: no other file is ever read."
        )
    return config


def _read_header(file: Path) -> dict[str, TensorInfo]:
    """Read what the tensors of a file are; every byte of the file must be one's."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise SavedForecasterError(
                f"{file} has {size} bytes and a header of {length}, so it is no whole "
                "safetensors file. Pickled weights are never loaded. Fetch or save it "
                "again."
            )
        header = json.loads(stream.read(length).decode())
    header.pop("__metadata__", None)
    infos, spans = {}, []
    for name, entry in header.items():
        shape = tuple(entry["shape"])
        if not all(type(n) is int and n >= 0 for n in shape):
            raise SavedForecasterError(f"{file} has {name} of shape {shape}.")
        infos[name] = TensorInfo(entry["dtype"], shape)
        start, end = entry["data_offsets"]
        if end - start != infos[name].n_bytes:
            raise SavedForecasterError(
                f"{file} has {end - start} bytes for {name}, expected "
                f"{infos[name].n_bytes} for {entry['dtype']} of shape {shape}."
            )
        spans.append((start, end))
    ends = [0]
    for start, end in sorted(spans):
        if start != ends[-1]:
            raise SavedForecasterError(f"{file} has tensors that overlap, or gaps.")
        ends.append(end)
    if ends[-1] != size - 8 - length:
        raise SavedForecasterError(
            f"{file} has {size - 8 - length} bytes of tensors, expected {ends[-1]}. "
            "Fetch or save it again."
        )
    return infos


def _check_sha256(file: Path, expected: str) -> None:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise SavedForecasterError(
            f"{file} was altered after it was written: its SHA-256 is "
            f"{digest.hexdigest()}, expected {expected}. Fetch or save it again."
        )
