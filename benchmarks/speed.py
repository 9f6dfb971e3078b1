"""Speed of the methods beside plain programs of the same papers, and beside the floor.

    python benchmarks/speed.py --method CALF --backbone gpt2-random --shape ETTh1-96

Windows a second in training and in forecasts, on one thread. Ours, the plain program
(``benchmarks/plain``) and a product of matrices take turns, and medians count; seconds
are those of the processor, or of the clock on a GPU. A step of training includes what
is computed of a window once, such as its text. The floor is the time of all operations
of a step, as PyTorch counts them, at the speed of the product in the same precision;
the plain program is in float32 beside any. Memory is what a process has at most in two
steps of training, above what it had before them. Data is random, as only its shape
matters; ``gpt2-random`` has the architecture of the first six layers of GPT-2, random
weights, and the tokenizer of the default backbone. A run that is already in the results
file is not repeated.
"""

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _records import RESULTS, provenance, run_missing
from plain.balm_tsf import PlainBALMTSF
from plain.calf import PlainCALF
from plain.llm_ts_net import PlainLLMTSNet
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoTokenizer, GPT2Config, GPT2Model
from transformers.utils.logging import disable_progress_bar

import sktime_llm
from sktime_llm.backbone.files import DEFAULT_BACKBONE, locate_backbone
from sktime_llm.training.config import TrainingConfig
from sktime_llm.training.rollout import roll_forward
from sktime_llm.training.sharing import Share
from sktime_llm.training.trainer import _Run
from sktime_llm.training.windows import Windows, WindowShape

METHODS = {
    "CALF": "CALFForecaster",
    "BALM-TSF": "BALMTSFForecaster",
    "LLM-TS Net": "LLMTSNetForecaster",
}
BACKBONES, PRECISIONS = ("minilm", "gpt2-random"), ("float32", "bfloat16")
# variates, context, horizon; windows in a batch, for BALM-TSF, of which each variate
# has a text, fewer
SHAPES = {
    "airline": (1, 36, 12, 32, 32),
    "ETTh1-96": (7, 96, 96, 32, 8),
    "ETTh1-512": (7, 512, 96, 32, 4),
    "ETTh1-720": (7, 96, 720, 32, 8),
    "sensors": (207, 12, 12, 4, 1),
    "traffic": (862, 96, 96, 4, 1),
}
N_LAYERS, PRODUCT = 6, 1024


def backbone_folder(name: str, folder: Path) -> Path:
    """Return the folder of a backbone, which is made if its weights are random."""
    if name == "minilm":
        return locate_backbone(DEFAULT_BACKBONE)
    torch.manual_seed(0)
    GPT2Model(GPT2Config(n_layer=N_LAYERS)).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(locate_backbone(DEFAULT_BACKBONE))
    tokenizer.save_pretrained(folder)
    return folder


class Ours:
    """A network of ours, with the steps of its training and its forecasts."""

    def __init__(self, settings: dict, folder: Path, values: torch.Tensor) -> None:
        _, length, horizon, *_ = SHAPES[settings["shape"]]
        self.values, self.shape = values, WindowShape(length, horizon)
        self.precision = settings["precision"]
        name = METHODS[settings["method"]]
        options = {"max_epochs": 1, "steps_per_epoch": 1, "verbose": 0}
        if name == "LLMTSNetForecaster":
            options |= {"language_model_steps": 1, "n_descriptions": 1}
        forecaster = getattr(sktime_llm, name)(
            context_length=length,
            prediction_length=horizon,
            backbone=str(folder),
            validation_fraction=0.0,
            random_state=0,
            device=settings["device"],
            precision=self.precision,
            **options,
        )
        rows = values[: length + horizon + 4].cpu().numpy().astype(float)
        y = pd.concat({"all": pd.DataFrame(rows)}, names=["series", "step"])
        if hasattr(forecaster, "subtract_last"):
            forecaster.subtract_last = False  # as in the plain programs
        self.network = forecaster.pretrain(y).pretrained_network_
        self.learning_rate = forecaster.learning_rate

    def step(self, starts: torch.Tensor) -> Callable[[], object]:
        """Return a step of training on windows that are new."""
        config = TrainingConfig(
            learning_rate=self.learning_rate,
            max_epochs=1,
            batch_size=len(starts),
            precision=self.precision,
        )
        run = _Run(self.network, self._windows(starts), None, config)
        indices = torch.arange(len(starts), device=starts.device)
        self.network.train()

        def step():
            run.training = self._windows(starts)
            run.training.compute_features(self.network)
            with self.network.training_context():
                run.train_step(indices, Share(1.0))

        return step

    def _windows(self, starts: torch.Tensor) -> Windows:
        return Windows(self.values, starts, self.shape)

    def forecast(self, starts: torch.Tensor) -> Callable[[], object]:
        """Return a forecast of windows."""
        context, _ = self._windows(starts).gather(torch.arange(len(starts)))
        self.network.eval()

        def forecast():
            return roll_forward(
                self.network,
                context,
                self.shape.prediction_length,
                batch_size=len(context),
                precision=self.precision,
            ).mean

        return forecast

    def flops(self, starts: torch.Tensor) -> tuple[int, int]:
        """Count the operations of a step of training, and of a forecast."""
        counts = []
        step, context = self.step(starts), self._windows(starts)
        with FlopCounterMode(display=False) as counter:
            step()
        counts.append(counter.get_total_flops())
        context, _ = context.gather(torch.arange(len(starts)))
        self.network.eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.network(context)
        return counts[0], counter.get_total_flops()


class Plain:
    """A plain program of a paper, trained and asked in the plain way."""

    def __init__(self, settings: dict, folder: Path, values: torch.Tensor) -> None:
        n_channels, length, horizon, *_ = SHAPES[settings["shape"]]
        self.values, self.length, self.horizon = values, length, horizon
        model = AutoModel.from_pretrained(folder).float()
        model.config.num_hidden_layers = N_LAYERS
        for layers in (
            m for m in model.modules() if isinstance(m, torch.nn.ModuleList)
        ):
            del layers[N_LAYERS:]
        if hasattr(model, "pooler"):
            model.pooler = None
        torch.manual_seed(0)
        if settings["method"] == "CALF":
            self.model = PlainCALF(model, 500, length, horizon)
        elif settings["method"] == "BALM-TSF":
            tokenizer, patch = AutoTokenizer.from_pretrained(folder), min(16, length)
            self.model = PlainBALMTSF(
                model, tokenizer, length, horizon, patch_length=patch
            )
        else:
            texts = torch.randn(n_channels, model.config.hidden_size)
            self.model = PlainLLMTSNet(texts, length, horizon)
        self.model.to(values.device)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained)

    def _batch(self, starts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        steps = torch.arange(self.length + self.horizon, device=starts.device)
        windows = self.values[starts[:, None] + steps]
        return windows[:, : self.length], windows[:, self.length :]

    def step(self, starts: torch.Tensor) -> Callable[[], object]:
        """Return a step of training."""
        self.model.train()

        def step():
            self.optimizer.zero_grad()
            self.model(*self._batch(starts)).backward()
            self.optimizer.step()

        return step

    def forecast(self, starts: torch.Tensor) -> Callable[[], object]:
        """Return a forecast of windows."""
        context, _ = self._batch(starts)
        self.model.eval()

        def forecast():
            with torch.no_grad():
                return self.model(context)

        return forecast


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the processor that a call takes; on a GPU of the clock."""
    if device.type != "cuda":
        started = time.process_time()
        call()
        return time.process_time() - started
    torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def take_turns(calls: dict, n_repeats: int, device: torch.device) -> dict[str, float]:
    """Return the median seconds of calls that take turns, after one round to warm."""
    seconds = {name: [] for name in calls}
    for i in range(n_repeats + 1):
        for name, call in calls.items():
            spent = seconds_of(call, device)
            if i:
                seconds[name].append(spent)
    return {name: statistics.median(each) for name, each in seconds.items()}


def make_values(settings: dict, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return random walks, (time, channel), and the starts of a batch of windows."""
    n_channels, length, horizon, *batches = SHAPES[settings["shape"]]
    batch = batches[settings["method"] == "BALM-TSF"]
    steps = np.random.default_rng(0).normal(size=(length + horizon + batch, n_channels))
    walks = steps.cumsum(axis=0) / len(steps) ** 0.5
    values = torch.from_numpy(walks.astype(np.float32)).to(device)
    return values, torch.arange(batch, device=device)


def measure_memory(settings: dict, who: str) -> float:
    """Return the MiB that two steps of training need, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--here", who, json.dumps(settings)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def memory_here(who: str, settings: dict, folder: Path) -> float:
    """Return the MiB that two steps of training need in this process."""
    device = torch.device(settings["device"])
    values, starts = make_values(settings, device)
    step = (Ours if who == "ours" else Plain)(settings, folder, values).step(starts)

    def two_steps() -> None:
        step()
        step()

    return peak_of(two_steps, device)


def peak_of(work: Callable[[], object], device: torch.device) -> float:
    """Return the MiB that some work needs at its peak, beside what there was before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = reset_peak()
    work()
    return status_of("VmHWM") - before


def reset_peak() -> float:
    """Let the peak of this process, on Linux, be what it has now; return that in MiB.

    Reading the weights takes more for a moment than some steps of training. What was
    freed since is given back first, so that it is not used again unseen.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return status_of("VmRSS")


def status_of(name: str) -> float:
    """Return MiB that Linux knows of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 2**10


def measure(settings: dict, n_repeats: int, folder: Path) -> dict:
    """Measure ours, the plain program and the floor."""
    device = torch.device(settings["device"])
    values, starts = make_values(settings, device)
    ours, plain = (kind(settings, folder, values) for kind in (Ours, Plain))
    dtype = getattr(torch, settings["precision"])
    a, b = torch.randn(2, PRODUCT, PRODUCT, device=device, dtype=dtype)
    record, flops = {}, ours.flops(starts)
    for what, n in zip(("training", "forecast"), flops, strict=True):
        name = "step" if what == "training" else "forecast"
        calls = {
            "ours": getattr(ours, name)(starts),
            "plain": getattr(plain, name)(starts),
        }
        seconds = take_turns({**calls, "product": lambda: a @ b}, n_repeats, device)
        floor = n / (2 * PRODUCT**3 / seconds["product"])
        record |= {
            f"{what}_windows_per_second": len(starts) / seconds["ours"],
            f"{what}_plain_windows_per_second": len(starts) / seconds["plain"],
            f"{what}_times_plain": seconds["plain"] / seconds["ours"],
            f"{what}_gflop": n / 1e9,
            f"{what}_times_floor": seconds["ours"] / floor,
        }
    for who in ("ours", "plain"):
        record[f"{who}_training_mib"] = measure_memory(settings, who)
    return {**record, "n_repeats": n_repeats, **provenance(device)}


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--backbone", nargs="+", choices=BACKBONES, default=BACKBONES)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--n-repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS / "speed.jsonl")
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    disable_progress_bar()
    torch.set_num_threads(1)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        parser.exit(0, f"skipped: --device {args.device}, but there is no CUDA GPU\n")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if args.here:
            settings = json.loads(args.here[1])
            found = backbone_folder(settings["backbone"], folder)
            print(memory_here(args.here[0], settings, found))
            return
        measure_all(args, folder)


def measure_all(args: argparse.Namespace, folder: Path) -> None:
    """Measure all methods, backbones and shapes, and print a line of each."""
    common = {"device": args.device, "precision": args.precision}
    runs = [
        {"method": method, "backbone": backbone, "shape": shape, **common}
        for backbone in args.backbone
        for shape in args.shape
        for method in args.method
    ]

    def measured(settings: dict) -> dict:
        found = backbone_folder(settings["backbone"], folder)
        return measure(settings, args.n_repeats, found)

    for record in run_missing(args.results, runs, measured, lambda run: run["method"]):
        where = f"{record['method']}, {record['backbone']}, {record['shape']}"
        print(f"{where}:", flush=True)
        for what in ("training", "forecast"):
            print(
                f"  {what:9}{record[f'{what}_windows_per_second']:9.1f} windows/s, "
                f"{record[f'{what}_times_plain']:5.2f} times plain, "
                f"{record[f'{what}_times_floor']:5.2f} times the floor",
                flush=True,
            )
        ours, plain = record["ours_training_mib"], record["plain_training_mib"]
        print(f"  memory {ours:.0f} MiB, plain {plain:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
