"""The training loop that all networks share."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm

from sktime_llm._devices import RandomStream, autocast, explaining_memory
from sktime_llm._progress import progress_bar
from sktime_llm._threads import threads_for
from sktime_llm.errors import InputError, TrainingDivergedError, TrainingInterrupted
from sktime_llm.layers.dropout import drop_in_blocks
from sktime_llm.layers.losses import DISTANCES
from sktime_llm.networks._interface import ForecastNetwork, ForecastOutput
from sktime_llm.training.averaging import WeightAverage, fill_in
from sktime_llm.training.callbacks import Callback
from sktime_llm.training.config import NLL, OPTIMIZERS, TrainingConfig
from sktime_llm.training.processes import (
    connect,
    from_main_process,
    on_main_process,
)
from sktime_llm.training.resuming import Resume, go_on, state_of
from sktime_llm.training.rollout import flops_of
from sktime_llm.training.schedules import make_schedule
from sktime_llm.training.sharing import Share, part_of
from sktime_llm.training.windows import Windows

_log = logging.getLogger(__name__)
_CHECK_LOSS_EVERY = 20


def train(
    network: ForecastNetwork,
    training: Windows,
    validation: Windows | None,
    config: TrainingConfig,
    *,
    stage: str = "fit",
    callbacks: Sequence[Callback] = (),
    resume: Resume | None = None,
) -> list[dict[str, float]]:
    """Train a network in place, and leave it with the weights of its best epoch.

    Only parameters that require a gradient change. Without validation windows the last
    epoch is the best. Under ``accelerate launch`` the processes share every batch, and
    all end with the same weights. `callbacks` hear of the `stage` and of its epochs.
    With `resume`, the state is written after every epoch, and training continues from
    a state that is there, to the digit.

    Return one record an epoch: ``epoch`` (from 1), ``loss`` and its parts (means over
    training windows), ``validation_loss`` (NaN without validation), ``learning_rate``,
    ``seconds``, and ``best``, 1 for the epoch whose weights were kept. Raise a
    TrainingDivergedError if a loss is not finite, a TrainingInterrupted if interrupted
    after an epoch was complete, and a KeyboardInterrupt if before. An error in a
    callback, or in writing the state, is the cause of a TrainingInterrupted.
    """
    run = _Run(network, training, validation, config, stage, callbacks, resume)
    with explaining_memory(run.batch_size, training.shape.context_length):
        return run.fit_and_tell()


@dataclass
class _Run:
    """One training run: fit_and_tell, fit_loop, run_epoch, train_step and validate."""

    network: ForecastNetwork
    training: Windows
    validation: Windows | None
    config: TrainingConfig
    stage: str = "fit"
    callbacks: Sequence[Callback] = ()
    resume: Resume | None = None

    def __post_init__(self) -> None:
        network, training, config = self.network, self.training, self.config
        self.device = training.starts.device
        self.trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self.accelerator = connect()
        self.optimizer = OPTIMIZERS[config.optimizer](
            self._parameter_groups(),  # type: ignore[call-arg]
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.batch_size = config.batch_size_for(len(training))
        n_steps = math.ceil(len(training) / self.batch_size)
        self.n_steps = min(n_steps, config.steps_per_epoch or n_steps)
        self.schedule = make_schedule(config, self.optimizer, self.n_steps)
        self.model: nn.Module = network
        # every process has to draw the same order of windows
        seed = from_main_process(config.seed)
        self.order = torch.Generator().manual_seed(seed)
        drop_in_blocks(network)
        self.dropout = RandomStream(seed + self.accelerator.process_index, self.device)
        self._hold_projection_rate()
        if self.accelerator.num_processes > 1:
            self._distribute()
        decay = config.ema_decay
        self.average = WeightAverage(self.trained, decay) if decay is not None else None
        self.best_epoch, self.best_loss = 0, math.inf
        self.best_state: dict[str, Tensor] = {}
        self.records: list[dict[str, float]] = []
        if self.resume is not None:
            state = on_main_process(self.resume.read)
            if state is not None:
                go_on(self, state)
        for windows in filter(None, (training, self.validation)):
            windows.compute_features(network)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return what follows the schedule, then what trains at a rate of its own."""
        wanted = self.config.projection_learning_rate is not None
        apart = self.network.projection_names() if wanted else set()
        groups: list[dict[str, Any]] = [{"params": []}, {"params": []}]
        for name, parameter in self.trained.items():
            groups[name in apart]["params"].append(parameter)
        return [group for group in groups if group["params"]]

    def _step_schedule(self) -> None:
        self.schedule.step()
        self._hold_projection_rate()

    def _hold_projection_rate(self) -> None:
        """Keep the schedule from changing the rate of the second group."""
        for group in self.optimizer.param_groups[1:]:
            group["lr"] = self.config.projection_learning_rate

    def _distribute(self) -> None:
        mode = self.accelerator.mixed_precision
        if mode != "no":
            raise InputError(
                f"accelerate was started with mixed_precision={mode!r}, expected 'no': "
                "the parameter `precision` decides what is computed in."
            )
        self.model = self.accelerator.prepare_model(self.network)
        self.optimizer = self.accelerator.prepare_optimizer(self.optimizer)

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The weights that an epoch leaves: the average, or those that train."""
        return self.trained if self.average is None else self.average.weights

    def fit_and_tell(self) -> list[dict[str, float]]:
        """Train between the callbacks' first and last hooks."""
        settings = {**asdict(self.config), "stage": self.stage}
        try:
            if refused := self._tell("on_fit_start", settings):
                raise refused
            records = self.fit_loop()
        except BaseException as error:
            # not by `_tell`: the other processes may not have failed
            if self.accelerator.is_main_process:
                history = [*map(self._told, self.records)]
                another = _raised_by(lambda: self._call("on_fit_end", history))
                if another is not None:
                    _log.error("%r in on_fit_end, after %r", another, error)
            raise
        if failure := self._tell("on_fit_end", [*map(self._told, records)]):
            raise self._interrupted("after its last epoch") from failure
        return records

    def fit_loop(self) -> list[dict[str, float]]:
        was_training = self.network.training
        n_steps = self.config.max_epochs * self.n_steps
        verbose = self.config.verbose * self.accelerator.is_main_process
        first = self.training.starts.new_zeros(1)
        window = self.training.gather(first)[0], self.training.features(first)
        with (
            self.network.training_context(),
            threads_for(self.batch_size * flops_of(self.network, *window)),
            progress_bar(n_steps, "training", "step", verbose) as bar,
        ):
            interrupted, failure = False, None
            try:
                failure = self._run_epochs(bar)
            except KeyboardInterrupt:
                if not self.best_epoch:
                    raise KeyboardInterrupt(
                        "training was interrupted before the first epoch was complete; "
                        "nothing of it is kept"
                    ) from None
                interrupted = True
            # inside, so that what the network keeps belongs to these weights
            fill_in(self.trained, self.best_state)
            self.records[self.best_epoch - 1]["best"] = 1
        self.network.train(was_training)
        if failure is not None:
            raise self._interrupted(f"after epoch {len(self.records)}") from failure
        if interrupted:
            raise self._interrupted(f"in epoch {len(self.records) + 1}")
        return self.records

    def _interrupted(self, when: str) -> TrainingInterrupted:
        return TrainingInterrupted(
            f"training was interrupted {when}; the weights of epoch "
            f"{self.best_epoch}, the best so far, are kept and can be used",
            self.records,
        )

    def _run_epochs(self, bar: "tqdm[None]") -> Exception | None:
        """Train; return what a callback raised, or what kept the state unwritten."""
        bar.update(len(self.records) * self.n_steps)
        while not self._is_over():
            epoch = len(self.records) + 1
            record = self.run_epoch(epoch, bar)
            loss = record["validation_loss"]
            self._check_epoch(epoch, loss)
            self.records.append(record)
            if not self.validation or loss < self.best_loss:
                state = {n: p.detach().clone() for n, p in self.weights.items()}
                self.best_state, self.best_loss, self.best_epoch = state, loss, epoch
            bar.set_postfix(epoch=epoch, loss=record["loss"], validation=loss)
            if self.config.verbose > 1:
                shown = {k: v for k, v in record.items() if k != "best"}
                _log.info("%s", ", ".join(f"{k} {v:.4g}" for k, v in shown.items()))
            is_best = {"best": int(self.best_epoch == epoch)}
            told = {**self._told(record), **is_best}
            if failure := self._write_state() or self._tell("on_epoch_end", told):
                return failure
        return None

    def _is_over(self) -> bool:
        n_epochs, patience = len(self.records), self.config.patience
        return n_epochs >= self.config.max_epochs or (
            patience is not None and n_epochs - self.best_epoch >= patience
        )

    def _write_state(self) -> Exception | None:
        """Write the state if asked to; return what went wrong, if anything did."""
        if self.resume is None:
            return None
        resume, state = self.resume, state_of(self)
        return _raised_by(lambda: on_main_process(lambda: resume.write(state)))

    def _told(self, record: dict[str, float]) -> dict[str, Any]:
        return {**record, "stage": self.stage}

    def _tell(self, hook: str, what: Any) -> Exception | None:
        """Call a hook in the main process; return, in all, what it raised."""
        if not self.callbacks:
            return None
        return _raised_by(lambda: on_main_process(lambda: self._call(hook, what)))

    def _call(self, hook: str, what: Any) -> None:
        """Call a hook of all callbacks, then raise what the first of them raised."""
        calls = [partial(getattr(each, hook), what) for each in self.callbacks]
        for error in filter(None, [*map(_raised_by, calls)]):
            raise error

    def run_epoch(self, epoch: int, bar: "tqdm[None]") -> dict[str, float]:
        """Train one pass, then validate."""
        started = time.perf_counter()
        rate = float(self.optimizer.param_groups[0]["lr"])
        self.network.train()
        losses: list[dict[str, Tensor]] = []
        sizes: list[int] = []
        for step, (indices, share) in enumerate(self._batches(), start=1):
            losses.append(self.train_step(indices, share))
            sizes.append(len(indices) if share.of_windows else 0)
            if step % _CHECK_LOSS_EVERY == 0 or step == self.n_steps:
                self._check_finite(losses, epoch)
            bar.update()
        if self.config.lr_schedule != "one-cycle":
            self._step_schedule()
        return {
            "epoch": epoch,
            **self._mean_over_processes(losses, sizes),
            "validation_loss": self.validate(),
            "learning_rate": rate,
            "seconds": time.perf_counter() - started,
            "best": 0,
        }

    def _batches(self) -> Iterator[tuple[Tensor, Share]]:
        """Yield this process's part of every batch, and its share in the gradient."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        order = torch.randperm(len(self.training), generator=self.order)
        for batch in order.to(self.device).split(self.batch_size)[: self.n_steps]:
            yield part_of(batch, self.training, rank, world)

    def train_step(self, indices: Tensor, share: Share) -> dict[str, Tensor]:
        """Take one step; return the losses without waiting for the device."""
        context, target = self.training.gather(indices)
        with self.dropout.drawing(), autocast(self.config.precision, self.device):
            features = self.training.features(indices)
            losses = share.weighed(self.model(context, target, features).losses)
        self.optimizer.zero_grad(set_to_none=True)
        (losses["loss"] * share.of_windows).backward()
        if self.config.gradient_clip is not None:
            clip_grad_norm_(self.trained.values(), self.config.gradient_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        if self.config.lr_schedule == "one-cycle":
            self._step_schedule()
        return {name: value.detach() for name, value in losses.items()}

    def validate(self) -> float:
        """Return the mean loss over all validation windows, without dropout."""
        if not self.validation:
            return math.nan
        with self.average.in_place() if self.average is not None else nullcontext():
            return self._validate(self.validation)

    def _validate(self, validation: Windows) -> float:
        self.network.eval()
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        mine = torch.arange(rank, len(validation), world, device=self.device)
        total = torch.zeros(2, device=self.device)  # of distances, and of values
        with torch.inference_mode(), autocast(self.config.precision, self.device):
            for indices in mine.split(self.batch_size):
                context, target = validation.gather(indices)
                features = validation.features(indices)
                output = self.network(context, features=features)
                observed = ~target.isnan()
                if observed.any():
                    mean, n = self._distance(output, target, observed), observed.sum()
                    total += torch.stack([mean * n, n])
        distances, n_values = self.accelerator.reduce(total, reduction="sum").tolist()
        return distances / n_values if n_values else math.nan

    def _distance(
        self, output: ForecastOutput, target: Tensor, observed: Tensor
    ) -> Tensor:
        forecast, truth = output.forecast.float()[observed], target[observed]
        if self.config.validation_loss == NLL:
            assert output.variance is not None
            variance = output.variance.float()[observed]
            return F.gaussian_nll_loss(forecast, truth, variance)
        return DISTANCES[self.config.validation_loss](forecast, truth)

    def _check_finite(self, losses: list[dict[str, Tensor]], epoch: int) -> None:
        values = torch.stack([step["loss"] for step in losses[-_CHECK_LOSS_EVERY:]])
        bad = (~values.isfinite()).nonzero()
        if not len(bad):
            return
        first = len(losses) - len(values) + int(bad[0])
        parts = {name: float(value) for name, value in losses[first].items()}
        raise TrainingDivergedError(
            f"the training loss is not finite in epoch {epoch}, step {first + 1} of "
            f"{self.n_steps}: {parts}. {self._smaller_rate()}, a gradient_clip of 1.0, "
            "or precision='float32'; and look for extreme values in the data."
        )

    def _check_epoch(self, epoch: int, validation_loss: float) -> None:
        """Raise if the last step of an epoch has made the weights useless."""
        weights_finite = all(p.isfinite().all() for p in self.trained.values())
        if weights_finite and (not self.validation or math.isfinite(validation_loss)):
            return
        raise TrainingDivergedError(
            f"after epoch {epoch} the weights or the validation loss "
            f"({validation_loss}) are not finite. {self._smaller_rate()} or a "
            "gradient_clip of 1.0."
        )

    def _smaller_rate(self) -> str:
        """Advise a smaller rate; that of an update is a share of the parameter."""
        start = "this update trained at" if self.stage == "update" else "got"
        return f"Try a smaller learning_rate ({start} {self.config.learning_rate})"

    def _mean_over_processes(
        self, losses: list[dict[str, Tensor]], sizes: list[int]
    ) -> dict[str, float]:
        names = list(losses[0])
        weights = torch.tensor(sizes, dtype=torch.float32, device=self.device)
        values = torch.stack(
            [torch.stack([step[name] for step in losses]) for name in names]
        ).float()
        sums = torch.cat([values @ weights, weights.sum()[None]])
        sums = self.accelerator.reduce(sums, reduction="sum")
        return dict(zip(names, (sums[:-1] / sums[-1]).tolist(), strict=True))


def _raised_by(call: Callable[[], object]) -> Exception | None:
    """Call, and return what was raised, if anything was."""
    try:
        call()
    except Exception as error:
        return error
    return None
