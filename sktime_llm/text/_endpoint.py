"""Descriptions by a language model behind an OpenAI-compatible HTTP endpoint."""

import os
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from sktime_llm._progress import progress_bar
from sktime_llm.errors import DescriptionError, InputError
from sktime_llm.text._chat_completions import (
    ChatCompletions,
    Patience,
    RequestFailedError,
    completions_url,
)
from sktime_llm.text._description_prompt import (
    DEFAULT_PROMPT,
    check_prompt,
    make_prompt,
)
from sktime_llm.text._interface import Describer, NamedSeries
from sktime_llm.text._text_cache import TextCache

_OWN_FIELDS = ("messages", "model", "stream")


class EndpointDescriber(Describer):
    """Ask a language model behind an OpenAI-compatible HTTP endpoint.

    Each series is one request to ``{base_url}/chat/completions``. Statistics and
    averages of the data leave this machine, to the host that `base_url` names and to no
    other: redirects are not followed. The key is read from the environment for each
    request, and is neither kept nor part of an error, a log, a pickle or the cache.

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
        Seconds to wait for the connection, and for each part of the answer.
    max_retries : int, default=3
        Attempts after the first, where an attempt ended in a time-out, a broken
        connection, or status 429 or 5xx.
    backoff : float, default=1.0
        Seconds before the first retry, doubled for each further one. A ``Retry-After``
        of the server counts instead.
    max_wait : float, default=60.0
        Most seconds before a retry. It is an error if the server asks for more.
    max_concurrency : int, default=4
        Most requests at the same time.
    cache_dir : str or path, optional
        Folder that keeps the texts by the content of the request: base URL, model,
        prompt and all that is sent, but not the key. What is there is not asked again,
        in any process. Texts that came before a failure are kept, too.
    verbose : int, default=1
        1 shows a progress bar on a terminal if it takes long, 0 shows none.

    Raises
    ------
    InputError
        By `describe`, if a parameter is out of range.
    DescriptionError
        By `describe`, if the key is missing, or a series has no text in the end, with
        its name and the reason.

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

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str | None = "OPENAI_API_KEY",
        prompt: str = DEFAULT_PROMPT,
        n_values: int = 48,
        temperature: float | None = 0.0,
        max_tokens: int | None = 256,
        extra_body: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
        max_retries: int = 3,
        backoff: float = 1.0,
        max_wait: float = 60.0,
        max_concurrency: int = 4,
        cache_dir: "str | os.PathLike[str] | None" = None,
        verbose: int = 1,
    ) -> None:
        self.base_url = base_url
        self.model = model
        self.api_key_env = api_key_env
        self.prompt = prompt
        self.n_values = n_values
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.extra_body = extra_body
        self.timeout = timeout
        self.max_retries = max_retries
        self.backoff = backoff
        self.max_wait = max_wait
        self.max_concurrency = max_concurrency
        self.cache_dir = cache_dir
        self.verbose = verbose

    def _describe(self, series: Sequence[NamedSeries]) -> list[str]:
        self._check_parameters()
        url = completions_url(self.base_url)
        cache = TextCache(self.cache_dir)
        bodies = [self._body(one) for one in series]
        texts = [cache.get({"url": url, "body": body}) for body in bodies]
        missing = [i for i, text in enumerate(texts) if text is None]
        if missing:
            patience = Patience(
                self.timeout, self.max_retries, self.backoff, self.max_wait
            )
            client = ChatCompletions(url, self.api_key_env, patience)
            client.check_key()

            def ask(i: int, stop: threading.Event) -> None:
                text = client.complete(bodies[i], stop)
                cache.put({"url": url, "body": bodies[i]}, text)
                texts[i] = text

            self._ask_all(ask, missing, [one.name for one in series])
        return [text for text in texts if text is not None]

    def _ask_all(
        self,
        ask: Callable[[int, threading.Event], None],
        indices: Sequence[int],
        names: Sequence[Hashable],
    ) -> None:
        """Ask in parallel; the first failure stops the rest and is raised."""
        stop = threading.Event()
        failure: tuple[Hashable, str] | None = None
        with (
            progress_bar(len(indices), "describing", "series", self.verbose) as bar,
            ThreadPoolExecutor(self.max_concurrency) as pool,
        ):
            futures = {pool.submit(ask, i, stop): names[i] for i in indices}
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.update()
            except (RequestFailedError, OSError) as error:  # OSError: of the cache
                failure = futures[future], str(error)
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
        # raised out here, it holds no frame or cause in which the key could be found
        if failure is not None:
            name, reason = failure
            raise DescriptionError(f"series {name!r} is not described: {reason}")

    def _body(self, series: NamedSeries) -> dict[str, Any]:
        prompt = make_prompt(self.prompt, series, self.n_values)
        optional = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            **{name: value for name, value in optional.items() if value is not None},
            **(self.extra_body or {}),
        }

    def _check_parameters(self) -> None:
        check_prompt(self.prompt)
        least = {
            "n_values": 1, "max_retries": 0, "backoff": 0, "max_wait": 0,
            "max_concurrency": 1, "temperature": 0, "max_tokens": 1,
        }  # fmt: skip
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise InputError(f"{name}={value}, expected {bound} or more.")
        if self.timeout <= 0:
            raise InputError(f"timeout={self.timeout}, expected more than 0 seconds.")
        clash = sorted(set(self.extra_body or {}).intersection(_OWN_FIELDS))
        if clash:
            raise InputError(
                f"extra_body has the fields {clash}; expected none of "
                f"{list(_OWN_FIELDS)}, which are set elsewhere or cannot be."
            )
