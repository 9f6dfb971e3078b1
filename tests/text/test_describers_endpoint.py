"""Descriptions over HTTP, against a server on this machine."""

import asyncio
import itertools
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from sklearn.base import clone

from sktime_llm import __version__
from sktime_llm.errors import DescriptionError, InputError
from sktime_llm.text._endpoint import TextCache
from sktime_llm.text.describers import EndpointDescriber

pytest.importorskip("httpx2")
pytest.importorskip("tenacity")

KEY = "sk-secret-0123456789"
SERIES = [np.arange(5.0), np.array([7.0, np.nan, 2.0]), np.zeros(12)]
NAMES = ["a", "b", "c"]


def completion(text, finish_reason="stop"):
    message = {"role": "assistant", "content": text}
    return {"choices": [{"message": message, "finish_reason": finish_reason}]}


class Endpoint(ThreadingHTTPServer):
    """Answers with what `answer(body, n)` returns: (status, content, headers).

    `n` counts the requests with the same prompt, from 0. By default the text is the
    prompt in capitals. A status of 0 is no answer but a series of bytes, which are sent
    as they come.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.base_url = f"http://127.0.0.1:{self.server_port}/v1"
        self.answer = lambda body, n: (200, completion(prompt_of(body).upper()), {})
        self.asked = []
        self.lock = threading.Lock()
        self.running = self.most_running = 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # the client hung up

    def close(self):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            n = sum(one["body"] == body for one in server.asked)
            asked = {"path": self.path, "body": body, "headers": dict(self.headers)}
            server.asked.append({**asked, "time": time.monotonic()})
            server.running += 1
            server.most_running = max(server.running, server.most_running)
        try:
            status, content, headers = server.answer(body, n)
        finally:
            with server.lock:
                server.running -= 1
        if status == 0:
            for part in content:
                self.wfile.write(part)
            return
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)


def prompt_of(body):
    return body["messages"][0]["content"]


def at_first(*answer):
    """Answer so once, then with a text."""
    return lambda body, n: answer if n == 0 else (200, completion("fine"), {})


def slowly(head, part=b"", pause=0.05):
    """Bytes that never end."""
    yield head
    while True:
        time.sleep(pause)
        yield part


@pytest.fixture
def endpoint():
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def make(endpoint, **options):
    quick = {"prompt": "{name}: {values}", "backoff": 0.01, "timeout": 10.0}
    return EndpointDescriber(endpoint.base_url, "m", **{**quick, **options})


def failure_of(describer, series=SERIES[:1], names=NAMES[:1]):
    with pytest.raises(DescriptionError) as caught:
        describer.describe(series, names)
    return str(caught.value)


def test_texts_are_in_the_order_of_the_series(endpoint):
    def answer(body, n):
        if prompt_of(body).startswith("a"):
            time.sleep(0.1)  # the first series is answered last
        return 200, completion(f" {prompt_of(body).upper()}\n\nYes. "), {}

    endpoint.answer = answer
    texts = make(endpoint).describe(SERIES, NAMES)
    assert texts[:2] == ["A: 0, 1, 2, 3, 4 Yes.", "B: 7, MISSING, 2 Yes."]
    assert texts[2].startswith("C: 0, 0,")
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize("slash", ["", "/"])
def test_request(endpoint, slash):
    endpoint.base_url += slash
    describer = make(endpoint, extra_body={"seed": 3}, max_tokens=9)
    describer.describe(SERIES[:1], ["a"])
    describer.set_params(temperature=None, max_tokens=None, extra_body=None)
    describer.describe(SERIES[:1], ["a"])
    asked, plain = endpoint.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["headers"]["Authorization"] == f"Bearer {KEY}"
    assert asked["headers"]["Content-Type"] == "application/json"
    assert asked["headers"]["User-Agent"] == f"sktime-llm/{__version__}"
    assert plain["body"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "a: 0, 1, 2, 3, 4"}],
    }
    own = {"temperature": 0.0, "max_tokens": 9, "seed": 3}
    assert asked["body"] == {**plain["body"], **own}


def test_inside_a_running_loop(endpoint):
    async def describe():
        return make(endpoint).describe(SERIES[:1], ["a"])

    assert asyncio.run(describe()) == ["A: 0, 1, 2, 3, 4"]


def test_without_the_extra(endpoint, monkeypatch):
    monkeypatch.delitem(sys.modules, "sktime_llm.text._chat_completions", False)
    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(ImportError, match=r"pip install sktime-llm\[endpoint\]"):
        make(endpoint).describe(SERIES)


@pytest.mark.parametrize(
    ("status", "header", "least"),
    [
        (429, "0.3", 0.3),
        (503, "a date in 2 s", 0.5),  # which has whole seconds
        (500, "soon", 0.01),
        (500, "nan", 0.01),
        (500, "inf", 0.01),
        (500, "Mon, 01 Jan 0001 00:00:00 -0000", 0.0),
        (500, "-3", 0.0),
    ],
)
def test_retry_after(endpoint, status, header, least):
    header = header.replace("a date in 2 s", formatdate(time.time() + 2, usegmt=True))
    endpoint.answer = at_first(status, b"", {"Retry-After": header})
    assert make(endpoint).describe(SERIES[:1]) == ["fine"]
    first, second = (one["time"] for one in endpoint.asked)
    assert least <= second - first < 5


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_until_retries_are_out(endpoint, status):
    endpoint.answer = lambda body, n: (status, b"down", {})
    message = failure_of(make(endpoint, max_retries=2))
    assert message.startswith("series 'a' is not described: 3 attempts failed, the la")
    assert f"chat/completions: HTTP {status} " in message
    assert ": down. Try again later" in message
    assert len(endpoint.asked) == 3


def test_server_that_asks_to_wait_too_long(endpoint):
    endpoint.answer = lambda body, n: (429, b"", {"Retry-After": "3600"})
    message = failure_of(make(endpoint, max_wait=5.0))
    assert "asks to wait 3600 s, which is more than max_wait=5; try again" in message
    assert "HTTP 429" in message
    assert len(endpoint.asked) == 1


def test_backoff_doubles_up_to_a_limit(endpoint):
    endpoint.answer = lambda body, n: (500, b"", {})
    failure_of(make(endpoint, max_retries=4, backoff=0.1, max_wait=0.3))
    waits = np.diff([one["time"] for one in endpoint.asked])
    assert (waits >= [0.1, 0.2, 0.3, 0.3]).all()
    assert waits[-1] < 0.75


@pytest.mark.parametrize(
    "status", [301, 302, 303, 307, 308, 400, 401, 403, 404, 407, 418]
)
def test_redirects_and_other_refusals_are_final(endpoint, status):
    elsewhere = Endpoint()
    headers = {"Location": f"{elsewhere.base_url}/chat/completions"}
    endpoint.answer = lambda body, n: (status, {"error": {"message": "no"}}, headers)
    message = failure_of(make(endpoint))
    elsewhere.close()
    assert f"the request was refused (HTTP {status} " in message
    assert message.endswith(": no).")
    assert len(endpoint.asked) == 1
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        lambda: slowly(b""),
        lambda: slowly(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Go\r\n\r\n"),
        lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
        lambda: slowly(b"HTTP/1.1 200 OK\r\n", b"X-Header: more\r\n"),
        lambda: slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
        lambda: slowly(b"HTTP/1.1 401 No\r\nContent-Length: 9999\r\n\r\n", b" "),
    ],
    ids=["silence", "slow 100", "fast 100", "headers", "body", "body of an error"],
)
def test_deadline_of_an_attempt(endpoint, answer):
    endpoint.answer = lambda body, n: at_first(0, answer(), {})(body, n)
    describer = make(endpoint, timeout=0.5)
    assert describer.describe(SERIES[:1]) == ["fine"]
    started = time.monotonic()
    message = failure_of(describer.set_params(max_retries=0), SERIES[1:2], ["b"])
    assert "series 'b' " in message
    assert "no answer within 0.5 s" in message
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "answer",
    [
        (200, b'{"choices"', {"Content-Length": 500}),
        (0, [b"HTTP/1.1 200 OK\r\nContent-Le"], {}),
        (0, [b"hello?\r\n\r\n"], {}),
        (0, [], {}),
    ],
    ids=["body", "headers", "not HTTP", "nothing"],
)
def test_answer_that_breaks_off(endpoint, answer):
    endpoint.answer = at_first(*answer)
    assert make(endpoint).describe(SERIES[:1]) == ["fine"]


@pytest.mark.parametrize(
    "address",
    [
        "http://nowhere.invalid/v1",
        f"http://{'a' * 70}/v1",
        "https://127.0.0.1:{port}/v1",
    ],
)
def test_address_that_cannot_be_reached(endpoint, address):
    endpoint.base_url = address.replace("{port}", str(endpoint.server_port))
    assert ": cannot be reached (" in failure_of(make(endpoint, backoff=30.0))


def test_nobody_listens(endpoint):
    endpoint.close()
    message = failure_of(make(endpoint, max_retries=1))
    assert "2 attempts failed" in message
    assert "ConnectionRefusedError" in message


def nested(depth, inner=b"1"):
    return b"[" * depth + inner + b"]" * depth


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Welcome!</html>", "is not JSON .*<html>Welcome!"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b"\x1b[2J\x00", "is not JSON .*\ufffd\\[2J\ufffd"),
        (b"9" * 5000, r"(has no choices|is not JSON)"),
        (nested(100_000), "is nested too deeply"),
        (b'{"choices": [' + nested(100_000) + b"]}", "is nested too deeply"),
        (b'{"error": ' + nested(400) + b"}", "has no choices"),
        ({"choices": []}, "has no choices"),
        ({"choices": {}}, "has no choices"),
        ({"choices": "abc"}, "has no choices"),
        ({"error": "odd"}, 'has no choices.*"odd"'),
        ({"error": {"code": 3}}, "has no choices"),
        (["choices"], "has no choices"),
        ({"choices": [{"text": "old"}]}, "has no choices"),
        (completion("  \n"), "the text is empty, finish_reason='stop'"),
        (completion(None, "length"), "finish_reason='length'.* raise max_tokens"),
        (completion(["a"], [[["b"]]]), "the text is empty, finish_reason=None"),
        (completion("a \ud83d b"), r"halves of characters, such as U\+D83D"),
        (completion("a \x1b[31m b\x00"), r"2 control characters .* U\+001B"),
        (b" " * (2 << 20), "more than 1048576 bytes"),
    ],
)
def test_answer_without_a_text(endpoint, tmp_path, status, content, message):
    endpoint.answer = lambda body, n: (status, content, {})
    if status == 404:
        message = r"the request was refused \(HTTP 404 Not Found"
    with pytest.raises(
        DescriptionError, match=f"series 'a' is not described: .*{message}"
    ) as caught:
        make(endpoint, cache_dir=tmp_path).describe(SERIES[:1], ["a"])
    assert len(endpoint.asked) == 1
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 450
    assert not any(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("status", "expected"),
    [("200 OK", "more than 1048576 bytes"), ("400 Bad", "(HTTP 400 Bad).")],
)
def test_no_more_is_read_than_the_limit(endpoint, status, expected):
    head = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = itertools.repeat(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    endpoint.answer = lambda body, n: (0, itertools.chain([head], chunks), {})
    assert expected in failure_of(make(endpoint))
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("limit", [1, 3])
def test_concurrency(endpoint, limit):
    def answer(body, n):
        time.sleep(0.05)
        return 200, completion("fine"), {}

    endpoint.answer = answer
    make(endpoint, max_concurrency=limit).describe([np.zeros(2)] * 12)
    assert endpoint.most_running == limit


def test_first_failure_stops_the_rest(endpoint):
    def answer(body, n):
        if prompt_of(body).startswith("1:"):
            return 400, b"bad", {}
        time.sleep(0.02)
        return 200, completion("fine"), {}

    endpoint.answer = answer
    describer = make(endpoint, max_concurrency=2)
    with pytest.raises(DescriptionError, match="series 1 is not described"):
        describer.describe([np.zeros(2)] * 100)
    assert len(endpoint.asked) < 20


def test_failure_ends_the_waits_of_others(endpoint):
    endpoint.answer = lambda body, n: (
        (500, b"", {}) if prompt_of(body).startswith("a") else (400, b"bad", {})
    )
    started = time.monotonic()
    with pytest.raises(DescriptionError, match="series 'b' is not described"):
        make(endpoint, backoff=30.0).describe(SERIES[:2], ["a", "b"])
    assert time.monotonic() - started < 10


_DESCRIBE_FOREVER = """
import signal
import sys
import numpy as np
from sktime_llm.text.describers import EndpointDescriber

# a shell lets what it runs in the background ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
options = {"api_key_env": None, "timeout": 300.0, "backoff": 300.0, "max_wait": 300.0}
describer = EndpointDescriber(sys.argv[1], "m", **options)
describer.describe([np.zeros(2)] * 3)
"""


@pytest.mark.parametrize("answer", ["100", "waiting for a retry"])
def test_interrupt_ends_it(endpoint, answer):
    endless = itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 500)
    endpoint.answer = lambda body, n: (
        (0, endless, {}) if answer == "100" else (500, b"", {})
    )
    command = [sys.executable, "-c", _DESCRIBE_FOREVER, endpoint.base_url]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not endpoint.asked and child.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, report = child.communicate(timeout=120)
    assert "KeyboardInterrupt" in report
    assert child.returncode != 0


def test_cache_hit_makes_no_request(endpoint, tmp_path, monkeypatch):
    describer = make(endpoint, cache_dir=tmp_path / "new" / "texts")
    texts = describer.describe(SERIES, NAMES)
    assert len(endpoint.asked) == 3
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert not any(KEY in path.read_text() + path.name for path in files)
    monkeypatch.delenv("OPENAI_API_KEY")  # nobody is asked, so no key is needed
    assert clone(describer).describe(SERIES[::-1], NAMES[::-1]) == texts[::-1]
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"temperature": 0.5},
        {"temperature": None},
        {"max_tokens": 7},
        {"extra_body": {"seed": 2}},
        {"prompt": "{values}"},
        {"n_values": 2},
        {"base_url": "localhost"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_cache_tells_requests_apart(endpoint, tmp_path, change):
    describer = make(endpoint, cache_dir=tmp_path, extra_body={"seed": 1})
    describer.describe(SERIES[:1], ["a"])
    if "base_url" in change:
        change = {"base_url": endpoint.base_url.replace("127.0.0.1", "localhost")}
    describer.set_params(**change).describe(SERIES[:1], ["a"])
    assert len(endpoint.asked) == 2


def test_cache_does_not_tell_how_it_was_asked_apart(endpoint, tmp_path, monkeypatch):
    make(endpoint, cache_dir=tmp_path).describe(SERIES[:1], ["a"])
    monkeypatch.setenv("OTHER", "another-key")
    changed = {"timeout": 3.0, "max_retries": 9, "max_concurrency": 1, "verbose": 0}
    other = make(endpoint, cache_dir=str(tmp_path), api_key_env="OTHER", **changed)
    other.describe(SERIES[:1], ["a"])
    assert len(endpoint.asked) == 1


def test_texts_before_a_failure_are_kept(endpoint, tmp_path):
    good = endpoint.answer
    endpoint.answer = lambda body, n: (
        (400, b"bad", {}) if prompt_of(body).startswith("c") else good(body, n)
    )
    describer = make(endpoint, cache_dir=tmp_path, max_concurrency=1)
    with pytest.raises(DescriptionError, match="series 'c'"):
        describer.describe(SERIES, NAMES)
    endpoint.answer = good
    describer.describe(SERIES, NAMES)
    assert [prompt_of(one["body"])[0] for one in endpoint.asked] == list("abcc")


@pytest.mark.parametrize("content", ['{"text"', "[]", "{}", "[" * 100_000])
def test_damaged_cache_is_an_error_that_names_the_file(endpoint, tmp_path, content):
    describer = make(endpoint, cache_dir=tmp_path)
    describer.describe(SERIES[:1], ["a"])
    (file,) = tmp_path.rglob("*.json")
    file.write_text(content)
    assert f"{file.name} cannot be read" in failure_of(describer)
    assert "choose another" in failure_of(describer.set_params(cache_dir=file))
    assert len(endpoint.asked) == 1


def test_cache_that_cannot_be_written_names_the_series(endpoint, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DescriptionError, match=r"series 'a' .*No space left"):
        make(endpoint, cache_dir=tmp_path).describe(SERIES[:1], ["a"])


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    cache = TextCache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.put("url", {"a": 1}, "text")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert cache.get("url", {"a": 1}) is None


_WRITE_AND_READ = """
import sys
from sktime_llm.text._endpoint import TextCache

cache = TextCache(sys.argv[1])
text = sys.argv[2] * 50_000
for _ in range(50):
    cache.put("url", {"a": 1}, text)
    found = cache.get("url", {"a": 1})
    assert len(found) == 50_000 and len(set(found)) == 1, found[:20]
"""


def test_several_processes_share_a_cache(tmp_path):
    workers = [
        subprocess.Popen([sys.executable, "-c", _WRITE_AND_READ, str(tmp_path), letter])
        for letter in "xyz"
    ]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("value", [None, "", "  "])
def test_missing_key(endpoint, monkeypatch, value):
    monkeypatch.delenv("OPENAI_API_KEY")
    if value is not None:
        monkeypatch.setenv("OPENAI_API_KEY", value)
    assert "'OPENAI_API_KEY' is not set or empty" in failure_of(make(endpoint))
    assert endpoint.asked == []


def test_key_is_read_when_it_is_needed(endpoint, monkeypatch):
    describer = make(endpoint, api_key_env="LATER")
    monkeypatch.setenv("LATER", "second-key\n")  # as a file's last line ends
    describer.describe(SERIES[:1])
    describer.set_params(api_key_env=None).describe(SERIES[:1])
    first, second = (one["headers"] for one in endpoint.asked)
    assert first["Authorization"] == "Bearer second-key"
    assert "Authorization" not in second


def everything_about(error):
    """Message, traceback with the package's local variables, causes, pickle."""
    while error.__traceback__.tb_frame.f_code.co_filename == __file__:
        error.__traceback__ = error.__traceback__.tb_next  # the tests know the key
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    report = "".join(report.format())
    assert "self = EndpointDescriber(" in report
    links = repr(error.__cause__) + repr(error.__context__)
    return report + links + repr(pickle.dumps(error)) + repr(error)


@pytest.mark.parametrize("key", [f"{KEY}\nX: 1", f"{KEY}é", f"{KEY} {KEY}"])
def test_key_that_cannot_be_sent_is_not_quoted(endpoint, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(DescriptionError, match="that no key can have") as caught:
        make(endpoint).describe(SERIES)
    assert KEY not in everything_about(caught.value)
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}),
        (401, f"{'x' * 290} {KEY}".encode()),  # cut in the middle of the key
        (401, b" " * ((1 << 20) - 12) + KEY.encode()),  # the same by the other limit
        (500, f"trace: Bearer {KEY}".encode()),
        (200, f"You sent Authorization: Bearer {KEY}".encode()),
        (200, {"echo": KEY}),
        (200, completion(f"Falls. Authorization: Bearer {KEY}")),
        (200, completion("", KEY)),
        (0, [f"HTTP/1.1 403 {KEY}\r\nContent-Length: 0\r\n\r\n".encode()]),
        (0, [f"{KEY} {KEY}\r\n\r\n".encode()]),
    ],
)
def test_key_is_nowhere(endpoint, tmp_path, caplog, capfd, status, content):
    endpoint.answer = lambda body, n: (status, content, {})
    caplog.set_level(logging.DEBUG)
    describer = make(endpoint, cache_dir=tmp_path, max_retries=1)
    with pytest.raises(DescriptionError, match="series 'a' is not") as caught:
        describer.describe(SERIES[:1], ["a"])
    sent = {one["headers"]["Authorization"] for one in endpoint.asked}
    assert sent == {f"Bearer {KEY}"}
    output = capfd.readouterr()
    logs = [r for r in caplog.records if not r.name.startswith("http")]  # not ours
    told = [
        *(record.getMessage() for record in logs),
        output.out + output.err,
        repr(describer) + repr(vars(describer)) + repr(pickle.dumps(describer)),
        everything_about(caught.value),
        *(path.read_text() for path in tmp_path.rglob("*.json")),
    ]
    assert KEY[:12] not in "\n".join(told)
    if status == 500:
        assert any("HTTP 500" in record.getMessage() for record in logs)


ESCAPES = [lambda c: c, lambda c: f"\\{c}", lambda c: f"\\u{ord(c):04X}"]
ESCAPES += [lambda c: f"\\u{ord(c):04x}", lambda c: f"%{ord(c):02X}"]


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_key_with_escaped_characters_is_not_quoted(endpoint, monkeypatch, escape):
    key = f"sk-ab/cd+{KEY}"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    quoted = "".join(c if c.isalnum() or c == "-" else escape(c) for c in key)
    content = f'{{"detail": "bad key {quoted}"}}'.encode()
    endpoint.answer = lambda body, n: (401, content, {})
    message = failure_of(make(endpoint))
    assert "bad key [key]" in message
    assert KEY not in message


def test_placeholder_for_a_key_may_be_a_word_of_the_text(endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    endpoint.answer = lambda body, n: (200, completion("Season: none."), {})
    assert make(endpoint).describe(SERIES[:1]) == ["Season: none."]


NO_URLS = ["localhost:8000", "file:///etc/passwd", "http://", "http://[::1/v1"]
NO_URLS += ["http://localhost:port/v1", "http://local host/v1", "http://a/v1\r\nX: y"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_values": 0}, "n_values=0, expected an integer of at least 1"),
        ({"max_concurrency": 0}, "max_concurrency=0, expected an integer of at least"),
        ({"timeout": 0}, "timeout=0, expected a number above 0"),
        ({"extra_body": {"stream": True}}, r"extra_body has the fields \['stream'\]"),
        ({"extra_body": {"seed": np.int64(1)}}, "extra_body=.* is no JSON .*by int"),
        ({"prompt": "{flow}"}, "fields \\['flow'\\]"),
        ({}, r"'flow \\udcff': its prompt has U\+DCFF"),
        *(({"base_url": url}, "expected an address such as") for url in NO_URLS),
    ],
)
def test_parameters_out_of_range(endpoint, options, message):
    describer = make(endpoint).set_params(**options)
    with pytest.raises(InputError, match=message):
        describer.describe(SERIES[:1], ["flow \udcff"])
    assert endpoint.asked == []


def test_scalars_of_numpy(endpoint):
    options = {"temperature": 0.5, "max_tokens": 9, "n_values": 4, "max_retries": 2}
    options |= {"timeout": 5.0, "backoff": 1.0, "max_wait": 2.0, "max_concurrency": 2}
    scalars = {name: np.asarray(value)[()] for name, value in options.items()}
    assert all(isinstance(value, np.generic) for value in scalars.values())
    expected = make(endpoint, **options).describe(SERIES)
    assert make(endpoint, **scalars).describe(SERIES) == expected
    bodies = [asked["body"] for asked in endpoint.asked]
    assert len(bodies) == 2 * len(SERIES)
    assert all(bodies.count(body) == 2 for body in bodies)


@pytest.mark.parametrize(
    "address",
    ["https://me:hidden@host/v1", "htp://hidden@host", "https://host/v1?key=hidden"],
)
def test_secrets_in_the_address_are_refused_and_not_quoted(address):
    with pytest.raises(InputError, match="user name, a query") as caught:
        EndpointDescriber(address, "m").describe(SERIES)
    assert "hidden" not in str(caught.value)


def test_proxy_of_the_environment_is_used(endpoint, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{endpoint.server_port}")
    monkeypatch.setenv("no_proxy", "")
    describer = make(endpoint).set_params(base_url="http://far-away.invalid/v1")
    assert describer.describe(SERIES[:1], ["a"]) == ["A: 0, 1, 2, 3, 4"]
    assert endpoint.asked[0]["path"] == "http://far-away.invalid/v1/chat/completions"
    monkeypatch.setenv("http_proxy", "gopher://me:hidden@127.0.0.1")
    message = failure_of(describer)
    assert "the proxy that the environment names cannot be used" in message
    assert "hidden" not in message
