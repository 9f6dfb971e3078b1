"""Texts on disk, by the content of the request that they answer."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from sktime_llm._files import replacing
from sktime_llm.errors import DescriptionError


class TextCache:
    """A folder of texts, for several processes at once; None keeps nothing."""

    def __init__(self, folder: "str | os.PathLike[str] | None") -> None:
        self.folder = None if folder is None else Path(folder).expanduser()

    def get(self, request: dict[str, Any]) -> str | None:
        """Return the text that answers a request, or None."""
        if self.folder is None:
            return None
        file = self._file(request)
        try:
            return str(json.loads(file.read_text(encoding="utf-8"))["text"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise DescriptionError(
                f"the cached description {file} cannot be read ({error!r}). Delete "
                "this file, or choose another cache_dir."
            ) from error

    def put(self, request: dict[str, Any], text: str) -> None:
        """Keep a text."""
        if self.folder is None:
            return
        file = self._file(request)
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as beside, beside.open("w", encoding="utf-8") as stream:
            json.dump({"text": text}, stream, ensure_ascii=False)

    def _file(self, request: dict[str, Any]) -> Path:
        assert self.folder is not None
        content = json.dumps(request, sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        return self.folder / digest[:2] / f"{digest}.json"
