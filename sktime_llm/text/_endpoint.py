"""Descriptions by a language model behind an OpenAI-compatible HTTP endpoint."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sktime_llm._files import replacing
from sktime_llm._progress import progress_bar
from sktime_llm._validation import STRING, VERBOSE, instance_of, integer, plain, real
from sktime_llm.errors import DescriptionError, InputError, MissingPackageError
from sktime_llm.text._description_prompt import (
    DEFAULT_PROMPT,
    check_prompt,
    make_prompt,
)
from sktime_llm.text._interface import Describer, NamedSeries

_OWN_FIELDS = ("messages", "model", "stream")


@dataclass(eq=False, repr=False)
class EndpointDescriber(Describer):
    """Ask a language model behind an OpenAI-compatible HTTP endpoint.

    Each description is one request to ``{base_url}/chat/completions``; LLM-TS Net asks
    for up to `n_descriptions` of every variate. Statistics and
    averages of the data go to the host of `base_url` and to no other: redirects are not
    followed. The key is read from the environment for each request. It is not kept and
    not part of an error, a log, a pickle or the cache; a text that quotes it is an
    error.

    Parameters
    ----------
    base_url : str
        Such as ``"https://api.openai.com/v1"`` or ``"http://localhost:8000/v1"``. Over
        plain ``http`` the key is sent unencrypted.
    model : str
        Name of the model at the endpoint.
    api_key_env : str, optional, default="OPENAI_API_KEY"
        Environment variable that holds the key; None for a server without keys.
    prompt : str, optional
        Template of the prompt, as in `GenerationDescriber`.
    n_values : int, default=48
        Number of means of equal parts of the span that the prompt holds.
    temperature : float, optional, default=0.0
        Sent if not None. Also at 0 an endpoint may answer differently each time.
    max_tokens : int, optional, default=256
        Longest answer in tokens, sent if not None.
    extra_body : mapping, optional
        More fields of the request, such as ``{"seed": 1}``.
    timeout : float, default=60.0
        Maximum seconds of an attempt, from the connection to the end of the answer.
    max_retries : int, default=3
        Attempts after a time-out, a broken connection, or status 429 or 5xx.
    backoff : float, default=1.0
        Seconds before the first retry, doubled for each further one, unless the server
        sends ``Retry-After``.
    max_wait : float, default=60.0
        Maximum seconds before a retry; it is an error if the server asks for more.
    max_concurrency : int, default=4
        Maximum number of concurrent requests.
    cache_dir : str or path, optional
        Folder that keeps texts by the content of the request, without the key, also
        those that arrived before a failure. Cached texts are not requested again.
    verbose : int, default=1
        1 shows a progress bar on a terminal if it takes long, 0 shows none.

    Raises
    ------
    InputError, MissingPackageError
        By `describe`, if a parameter is out of range, or the extra ``[endpoint]`` is
        not installed.
    DescriptionError
        By `describe`, if the key is missing or a series gets no text.

    Notes
    -----
    Source: LLM-TS Net, arXiv 2408.14387, has Llama2-70B describe the series.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_llm.text.describers import EndpointDescriber
    >>> describer = EndpointDescriber(
    ...     "http://localhost:8000/v1", "Qwen/Qwen3-4B", api_key_env=None
    ... )
    >>> describer.describe([np.arange(20.0)], ["flow"])  # doctest: +SKIP
    ['The series rises steadily from 0 to 19 ...']
    """

    base_url: str
    model: str
    _: KW_ONLY
    api_key_env: str | None = "OPENAI_API_KEY"
    prompt: str = DEFAULT_PROMPT
    n_values: int = 48
    temperature: float | None = 0.0
    max_tokens: int | None = 256
    extra_body: Mapping[str, Any] | None = None
    timeout: float = 60.0
    max_retries: int = 3
    backoff: float = 1.0
    max_wait: float = 60.0
    max_concurrency: int = 4
    cache_dir: "str | os.PathLike[str] | None" = None
    verbose: int = 1

    _parameter_constraints = {
        "base_url": STRING,
        "model": STRING,
        "api_key_env": STRING | None,
        "prompt": STRING,
        "n_values": integer(1),
        "temperature": real(0) | None,
        "max_tokens": integer(1) | None,
        "extra_body": instance_of(Mapping) | None,
        "timeout": real(above=0),
        "max_retries": integer(0),
        "backoff": real(0),
        "max_wait": real(0),
        "max_concurrency": integer(1),
        "cache_dir": instance_of(str, os.PathLike, expected="a path") | None,
        "verbose": VERBOSE,
    }

    def _describe(self, series: Sequence[NamedSeries]) -> list[str]:
        check_prompt(self.prompt)
        clash = sorted(set(self.extra_body or {}).intersection(_OWN_FIELDS))
        if clash:
            raise InputError(
                f"extra_body has the fields {clash}; expected none of "
                f"{list(_OWN_FIELDS)}, which are set elsewhere or cannot be."
            )
        try:
            json.dumps(self.extra_body and dict(self.extra_body))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"extra_body={self.extra_body} is no JSON ({error}); expected plain "
                "values. Turn numbers of numpy into those of Python, as by int()."
            ) from None
        url = _completions_url(self.base_url)
        cache = TextCache(self.cache_dir)
        bodies = [self._body(one) for one in series]
        texts = [cache.get(url, body) for body in bodies]
        missing = {i: bodies[i] for i, text in enumerate(texts) if text is None}
        if missing:
            bar = progress_bar(len(missing), "describing", "series", self.verbose)

            def receive(i: int, text: str) -> None:
                cache.put(url, bodies[i], text)
                texts[i] = text
                bar.update()

            with bar:
                failure = self._ask(url, missing, receive)
            # raised here, the error holds no frame in which the key could be found
            if failure is not None:
                i, reason = failure
                raise DescriptionError(
                    f"series {series[i].name!r} is not described: {reason}"
                )
        return [text for text in texts if text is not None]

    def _ask(
        self, url: str, bodies: Mapping[int, Any], receive: Callable[[int, str], None]
    ) -> tuple[int, str] | None:
        try:
            from sktime_llm.text._chat_completions import ChatCompletions
        except ImportError as error:
            raise MissingPackageError(
                "EndpointDescriber needs httpx2 and tenacity. Install them with "
                "`pip install sktime-llm[endpoint]`."
            ) from error
        own = {name: plain(getattr(self, name)) for name in ChatCompletions._fields[1:]}
        client = ChatCompletions(url, **own)
        if problem := client.problem_with_key():
            raise DescriptionError(problem)
        return client.complete_all(bodies, receive)

    def _body(self, series: NamedSeries) -> dict[str, Any]:
        prompt = make_prompt(self.prompt, series, self.n_values)
        optional = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            **{k: plain(value) for k, value in optional.items() if value is not None},
            **(self.extra_body or {}),
        }


def _completions_url(base_url: str) -> str:
    """Return the address to post to; neither password nor query may be in it."""
    if set(base_url) & set("@?#"):  # not quoted: it may hold a key
        raise InputError(
            "base_url has a user name, a query or a fragment; expected none. Put the "
            "key into the environment variable that api_key_env names."
        )
    try:
        parts = urlsplit(base_url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises if it is not a number
    except ValueError:
        is_http = False
    if not (is_http and re.fullmatch("[!-~]+", base_url)):
        raise InputError(
            f"base_url={base_url!r}, expected an address such as "
            "'https://api.openai.com/v1' or 'http://localhost:8000/v1'."
        )
    return base_url.rstrip("/") + "/chat/completions"


class TextCache:
    """A folder of texts, for several processes at once; None keeps nothing."""

    def __init__(self, folder: "str | os.PathLike[str] | None") -> None:
        self._folder = folder

    def get(self, url: str, body: Mapping[str, Any]) -> str | None:
        """Return the text that answers a request, or None."""
        if (file := self._file(url, body)) is None:
            return None
        try:
            return str(json.loads(file.read_text(encoding="utf-8"))["text"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise DescriptionError(
                f"the cached description {file} cannot be read ({error!r}). Delete "
                "this file, or choose another cache_dir."
            ) from error

    def put(self, url: str, body: Mapping[str, Any], text: str) -> None:
        """Keep the text that answers a request."""
        if (file := self._file(url, body)) is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as beside, beside.open("w", encoding="utf-8") as stream:
            json.dump({"text": text}, stream, ensure_ascii=False)

    def _file(self, url: str, body: Mapping[str, Any]) -> Path | None:
        if self._folder is None:
            return None
        content = json.dumps({"url": url, "body": body}, sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        return Path(self._folder).expanduser() / digest[:2] / f"{digest}.json"
