"""One request to an OpenAI-compatible endpoint, with bounded retries."""

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, IncompleteRead
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sktime_llm._version import __version__
from sktime_llm.errors import DescriptionError, InputError

_log = logging.getLogger(__name__)

_TOO_MANY_REQUESTS, _SERVER_ERRORS = 429, range(500, 600)
_MAX_BYTES = 1 << 20
_MAX_QUOTED = 300
"""Characters of a server's message that an error quotes."""


class RequestFailedError(Exception):
    """Why there is no text; holds nothing secret, and no more than its message."""


class _RetryableError(Exception):
    """What may pass by itself; `wait` is how long the server asks to wait, seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How long to wait, and how often to try again.

    Parameters
    ----------
    timeout : float
        Seconds to wait for the connection, and for each part of the answer.
    max_retries : int
        Attempts after the first.
    backoff : float
        Seconds before the first retry; doubled each time.
    max_wait : float
        Most seconds before a retry, also where the server asks for more.
    """

    timeout: float
    max_retries: int
    backoff: float
    max_wait: float


def completions_url(base_url: str) -> str:
    """Give the address of an endpoint's chat completions.

    Raises
    ------
    InputError
        If it is not an HTTP address, or one with a password or a query, which may be
        secret and would be seen in errors.
    """
    if set(base_url) & set("@?#"):  # not quoted: it may hold a key
        raise InputError(
            "base_url has a user name, a query or a fragment; expected none. Put the "
            "key into the environment variable that api_key_env names."
        )
    if not _is_http(base_url):
        raise InputError(
            f"base_url={base_url!r}, expected an address such as "
            "'https://api.openai.com/v1' or 'http://localhost:8000/v1'."
        )
    return base_url.rstrip("/") + "/chat/completions"


def _is_http(address: str) -> bool:
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises if it is none
    except ValueError:
        return False
    # http.client refuses other characters
    writable = address.isascii() and address.isprintable() and " " not in address
    return parts.scheme in ("http", "https") and bool(parts.hostname) and writable


class ChatCompletions:
    """A client of one endpoint; several threads may use it at once.

    Parameters
    ----------
    url : str
        Where requests are posted to.
    api_key_env : str, optional
        Environment variable of the key, which is read for each request and never kept.
        None sends no key.
    patience : Patience
        Time limits and retries.
    """

    def __init__(self, url: str, api_key_env: str | None, patience: Patience) -> None:
        self.url = url
        self.api_key_env = api_key_env
        self.patience = patience
        self._opener = build_opener(_NoRedirect)

    def check_key(self) -> None:
        """Check that the environment has a key that can be sent.

        Raises
        ------
        DescriptionError
            If not; the message does not quote the key.
        """
        if problem := self._problem_of_the_key():
            # from a frame that has no key, which some reports of errors would show
            raise DescriptionError(problem)

    def _problem_of_the_key(self) -> str | None:
        key = self._key()
        if self.api_key_env is not None and not key:
            return (
                f"no key for {self.url}: the environment variable "
                f"{self.api_key_env!r} is not set or empty. Set it, name another with "
                "api_key_env, or pass api_key_env=None for a server without keys."
            )
        if not (key.isascii() and key.isprintable()):
            return (
                f"the key in the environment variable {self.api_key_env!r} has "
                "characters that no HTTP header can hold; expected printable ASCII."
            )
        return None

    def complete(self, body: Mapping[str, Any], stop: threading.Event) -> str:
        """Give the text that answers a request.

        Parameters
        ----------
        body : mapping
            The request, ready for JSON.
        stop : Event
            Ends the waiting for a retry when it is set.

        Raises
        ------
        RequestFailedError
            If there is none, with the reason.
        """
        data = json.dumps(body).encode()
        attempts = self.patience.max_retries + 1
        for attempt in range(1, attempts + 1):
            try:
                return _text_of(self._post(data))
            except RequestFailedError as failure:
                raise self._failed(self._quotable(failure)) from None
            except _RetryableError as failure:
                reason, wait = self._quotable(failure), failure.wait
            if attempt == attempts:
                break
            delay = self._delay(attempt, wait, reason)
            _log.info(
                "%s: %s; attempt %d of %d in %.1f s",
                self.url, reason, attempt + 1, attempts, delay,
            )  # fmt: skip
            if stop.wait(delay):
                raise self._failed(f"{reason}; stopped, as another series failed")
        raise self._failed(
            f"{attempts} attempts failed, the last with: {reason}. Try again later, or "
            "raise max_retries, backoff or timeout"
        )

    def _failed(self, reason: str) -> RequestFailedError:
        return RequestFailedError(f"{self.url}: {reason}.")

    def _quotable(self, failure: Exception) -> str:
        """Hide the key where a server quotes it, then cut what is too long."""
        text, key = " ".join(str(failure).split()), self._key()
        if key:
            text = text.replace(key, "[key]")
        return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."

    def _delay(self, attempt: int, asked: float | None, reason: str) -> float:
        limit = self.patience.max_wait
        if asked is None:
            return min(limit, self.patience.backoff * 2 ** (attempt - 1))
        if asked > limit:
            raise self._failed(
                f"{reason}, and the server asks to wait {asked:.0f} s, which is more "
                f"than max_wait={limit:g}. Try again later or raise max_wait"
            )
        return asked

    def _key(self) -> str:
        if self.api_key_env is None:
            return ""
        return os.environ.get(self.api_key_env, "").strip()

    def _post(self, data: bytes) -> bytes:
        """Post once; give the answer of a success."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"sktime-llm/{__version__}",
        }
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        request = Request(self.url, data, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self.patience.timeout) as response:
                answer: bytes = response.read(_MAX_BYTES + 1)
                _check_complete(answer, response.headers.get("Content-Length"))
        except HTTPError as error:
            raise _http_failure(error) from None
        except (OSError, HTTPException) as error:
            raise self._connection_failure(error) from None
        if len(answer) > _MAX_BYTES:
            raise RequestFailedError(f"the answer has more than {_MAX_BYTES} bytes")
        return answer

    def _connection_failure(self, error: Exception) -> Exception:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, TimeoutError):
            return _RetryableError(f"no answer within {self.patience.timeout:g} s")
        reason = f"{type(cause).__name__}: {cause}"
        if isinstance(cause, (ConnectionError, HTTPException)):
            return _RetryableError(reason)
        return RequestFailedError(f"cannot be reached ({reason})")


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: the key is for the host that the user named alone."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _check_complete(answer: bytes, announced: str | None) -> None:
    # http.client does so only if it is asked for all there is
    if announced is not None and announced.isdecimal():
        absent = min(int(announced), _MAX_BYTES) - len(answer)
        if absent > 0:
            raise IncompleteRead(answer, absent)


def _http_failure(error: HTTPError) -> Exception:
    try:
        content = error.read(_MAX_BYTES)
    except (OSError, HTTPException):
        content = b""
    finally:
        error.close()
    reason = f"HTTP {error.code} {error.reason}".strip()
    quoted = _error_message(content)
    if quoted:
        reason = f"{reason}: {quoted}"
    if error.code == _TOO_MANY_REQUESTS or error.code in _SERVER_ERRORS:
        return _RetryableError(reason, _retry_after(error.headers.get("Retry-After")))
    return RequestFailedError(f"the request was refused ({reason})")


def _error_message(content: bytes) -> str:
    """Quote what a server says is wrong: the message in its JSON, or the plain text."""
    text = content.decode("utf-8", errors="replace")
    try:
        error = json.loads(text)["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        pass
    return str(text)


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from a number of them or a date; None if it is neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds < float("inf") else None


def _text_of(answer: bytes) -> str:
    """Take the text out of an answer.

    Raises
    ------
    RequestFailedError
        If it is not JSON, has no choices, or the text is empty.
    """
    quoted = answer.decode("utf-8", errors="replace")
    try:
        content = json.loads(answer)
    except ValueError as error:
        raise RequestFailedError(
            f"the answer is not JSON ({error}): {quoted}"
        ) from None
    try:
        choice = content["choices"][0]
        text = choice["message"]["content"]
    except (LookupError, TypeError):
        raise RequestFailedError(
            f"the answer has no choices[0].message.content: {quoted}"
        ) from None
    if not isinstance(text, str) or not text.strip():
        raise RequestFailedError(
            f"the text is empty, finish_reason={choice.get('finish_reason')!r}; if "
            "that is 'length', raise max_tokens"
        )
    return " ".join(text.split())
