"""Requests to the chat completions of an OpenAI-compatible endpoint.

The `openai` client (read at 3.57) limits neither the size of an error nor the time of
an attempt, keeps the key as an attribute, and waits before retries whatever happens
elsewhere. Here, httpx2 and tenacity run on an event loop, where a deadline, a failure
or an interrupt ends everything. One limit: the log of httpx2 shows the status line and
the headers of answers, with a key that a server puts there.
"""

import json
import logging
import os
import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from sktime_llm._version import __version__
from sktime_llm.errors import DescriptionError

_MAX_BYTES = 1 << 20
_MAX_QUOTED = 300
"""Characters of a server's message that an error quotes."""
_MIN_SECRET = 8
"""Length of the shortest key that no text may contain; "none" is no secret."""


class _Failure(Exception):
    """Why an attempt gave no text, and in how many seconds the server may give one."""

    def __init__(
        self, reason: str, retry: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(reason)
        self.retry, self.wait = retry, wait


class ChatCompletions(NamedTuple):
    """A client of one endpoint; the parameters are those of `EndpointDescriber`."""

    url: str
    api_key_env: str | None
    timeout: float
    max_retries: int
    backoff: float
    max_wait: float
    max_concurrency: int

    def problem_with_key(self) -> str | None:
        """Return why the key cannot be used, if so, without quoting it."""
        key = self._key()
        if self.api_key_env is not None and not key:
            return (
                f"no key for {self.url}: the environment variable "
                f"{self.api_key_env!r} is not set or empty. Set it, name another with "
                "api_key_env, or pass api_key_env=None for a server without keys."
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            return (
                f"the key in the environment variable {self.api_key_env!r} has "
                "characters that no key can have; expected printable ASCII."
            )
        return None

    def _key(self) -> str:
        return os.environ.get(self.api_key_env or "", "").strip()

    def complete_all(
        self, bodies: Mapping[int, Any], receive: Callable[[int, str], None]
    ) -> tuple[int, str] | None:
        """Send requests and pass on the number and the text of each as it comes.

        Return the number and the reason of the first failure, which stops the rest.
        """
        # the loop has a thread of its own, as the caller's may run another
        contents = {i: json.dumps(body).encode() for i, body in bodies.items()}
        with start_blocking_portal() as portal:
            return portal.call(self._complete_all, contents, receive)

    async def _complete_all(
        self, contents: Mapping[int, bytes], receive: Callable[[int, str], None]
    ) -> tuple[int, str] | None:
        failures: list[tuple[int, str]] = []
        slots = anyio.Semaphore(self.max_concurrency)
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: getattr(error, "retry", False)),
            stop=stop_after_attempt(self.max_retries + 1),
            wait=self._wait,
            before_sleep=before_sleep_log(logging.getLogger(__name__), logging.INFO),
            reraise=True,
        )

        async def complete(i: int, content: bytes) -> None:
            try:
                async with slots:
                    receive(i, await retrying.copy()(self._attempt, http, content))
            except (_Failure, OSError) as failure:
                failures.append((i, self._reason(failure)))
                group.cancel_scope.cancel()

        async with self._client() as http, anyio.create_task_group() as group:
            for i, content in contents.items():
                group.start_soon(complete, i, content)
        return failures[0] if failures else None

    def _client(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=None)
        try:
            return httpx2.AsyncClient(timeout=None, limits=limits)
        except (ImportError, ValueError) as error:
            raise DescriptionError(
                f"the proxy that the environment names cannot be used ({error}). Name "
                "another, or add the host to the variable no_proxy."
            ) from None

    def _wait(self, state: RetryCallState) -> float:
        assert state.outcome is not None
        asked: float | None = getattr(state.outcome.exception(), "wait", None)
        backoff = wait_exponential(multiplier=self.backoff, max=self.max_wait)
        return backoff(state) if asked is None else asked

    def _reason(self, failure: Exception) -> str:
        if getattr(failure, "retry", False):
            return (
                f"{self.max_retries + 1} attempts failed, the last with: {failure}. "
                "Try again later, or raise max_retries, backoff or timeout."
            )
        return f"{failure}."

    async def _attempt(self, http: httpx2.AsyncClient, content: bytes) -> str:
        """Post once; the reason of a failure can be shown to anyone."""
        key = self._key()
        try:
            text = _text_of(await self._post(http, content, key))
            if len(key) >= _MIN_SECRET and key in text:
                raise _Failure("the text quotes the key, so it is not kept")
        except _Failure as failure:
            reason = f"{self.url}: {_quotable(str(failure), key)}"
            raise _Failure(reason, failure.retry, failure.wait) from None
        return text

    async def _post(self, http: httpx2.AsyncClient, content: bytes, key: str) -> bytes:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"sktime-llm/{__version__}",
        }
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = http.stream("POST", self.url, content=content, headers=headers)
        answer = bytearray()
        try:
            with anyio.fail_after(self.timeout):
                async with request as response:
                    async for part in response.aiter_raw():
                        answer += part
                        if len(answer) > _MAX_BYTES:
                            break
        except TimeoutError:
            raise _Failure(f"no answer within {self.timeout:g} s", retry=True) from None
        except (httpx2.HTTPError, OSError, UnicodeError, anyio.EndOfStream) as error:
            raise _connection_failure(error) from None
        if not response.is_success:
            raise self._refusal(response, bytes(answer))
        if len(answer) > _MAX_BYTES:
            raise _Failure(f"the answer has more than {_MAX_BYTES} bytes")
        return bytes(answer)

    def _refusal(self, response: httpx2.Response, answer: bytes) -> _Failure:
        reason = f"HTTP {response.status_code} {response.reason_phrase}".strip()
        if message := _error_message(answer):
            reason = f"{reason}: {message}"
        if response.status_code != 429 and response.status_code < 500:
            return _Failure(f"the request was refused ({reason})")
        wait = _retry_after(response.headers.get("Retry-After"))
        if wait is not None and wait > self.max_wait:
            return _Failure(
                f"the server asks to wait {wait:.0f} s, which is more than "
                f"max_wait={self.max_wait:g}; try again later or raise it ({reason})"
            )
        return _Failure(reason, True, wait)


def _quotable(reason: str, key: str) -> str:
    """Hide a key that the server quotes, and replace unprintable characters."""
    text = " ".join(reason.split())
    text = re.sub(_in_any_form(key), "[key]", text) if key else text
    text = f"{text[:_MAX_QUOTED]}..." if len(text) > _MAX_QUOTED else text
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _in_any_form(key: str) -> str:
    r"""Return a pattern of a key, with characters escaped as in JSON (\/) or URLs."""
    return "".join(
        rf"(?:\\?{re.escape(c)}|(?i:\\u{ord(c):04x}|%{ord(c):02x}))" for c in key
    )


def _connection_failure(error: BaseException) -> _Failure:
    cause = error
    while (earlier := cause.__cause__ or cause.__context__) is not None:
        cause = earlier
    reason = f"{type(cause).__name__}: {cause}"
    wrong = isinstance(cause, OSError) and not isinstance(cause, ConnectionError)
    if wrong or isinstance(error, UnicodeError | httpx2.ProxyError):
        # such as the name of the host or its certificate
        return _Failure(f"cannot be reached ({reason})")
    return _Failure(reason, retry=True)


def _error_message(answer: bytes) -> str:
    """Return the server's error message: that in its JSON, or the plain text."""
    if len(answer) > _MAX_BYTES:
        return ""  # it may end within the key
    text = answer.decode("utf-8", errors="replace")
    try:
        error = json.loads(text)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError, RecursionError):
        return text


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from a number of them or a date; None if it is neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError, OSError):
            return None
    return max(0.0, seconds) if seconds < float("inf") else None


def _text_of(answer: bytes) -> str:
    """Take the text out of an answer, its white space as single spaces."""
    quoted = answer.decode("utf-8", errors="replace")
    try:
        choice = json.loads(answer)["choices"][0]
        text = choice["message"]["content"]
    except RecursionError:
        raise _Failure("the answer is nested too deeply") from None
    except ValueError as error:
        raise _Failure(f"the answer is not JSON ({error}): {quoted}") from None
    except (LookupError, TypeError):
        reason = f"the answer has no choices[0].message.content: {quoted}"
        raise _Failure(reason) from None
    if not isinstance(text, str) or not text.strip():
        finish = choice.get("finish_reason")
        known = finish if isinstance(finish, str) else None
        raise _Failure(
            f"the text is empty, finish_reason={known!r}; if that is 'length', raise "
            "max_tokens"
        )
    text = " ".join(text.split())
    if odd := [c for c in text if unicodedata.category(c) in ("Cc", "Cs")]:
        raise _Failure(
            f"the text has {len(odd)} control characters or halves of characters, such "
            f"as U+{ord(odd[0]):04X}; expected plain text"
        )
    return text
