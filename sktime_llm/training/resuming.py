"""The state of a training, written after every epoch, from which another goes on."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sktime_llm._files import replacing
from sktime_llm.errors import ResumeError
from sktime_llm.training.averaging import fill_in
from sktime_llm.training.processes import from_all_processes

_FORMAT = 1
_ENTRY = "sktime-llm"
_OF_SCHEDULE = ("last_epoch", "_step_count", "_last_lr")


class State(NamedTuple):
    """What JSON holds of a training, and its tensors on the CPU, by name."""

    progress: dict[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Resume:
    """The file of a training's state, and what must be the same to go on from it.

    `identity` has, by name, what JSON can hold: parameters, versions, digests of data.
    """

    file: Path
    identity: Mapping[str, Any]

    def read(self) -> State | None:
        """Return the state or None; raise an error if it is of another training."""
        if not self.file.exists():
            return None
        try:
            with safe_open(self.file, framework="pt") as opened:
                entry = json.loads((opened.metadata() or {})[_ENTRY])
                names = opened.keys()
                # copies: the file is replaced while these live
                tensors = {name: opened.get_tensor(name).clone() for name in names}
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise ResumeError(
                f"{self.file} is not the whole state of a training ({error!r}). "
                f"{self._way_out}"
            ) from error
        self._check(entry)
        return State(entry["progress"], tensors)

    def write(self, state: State) -> None:
        """Replace the file by a new state, whole or not at all."""
        entry = {
            "format": _FORMAT,
            "identity": dict(self.identity),
            "progress": state.progress,
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.file) as beside:
            save_file(state.tensors, beside, metadata={_ENTRY: json.dumps(entry)})

    @property
    def _way_out(self) -> str:
        return f"Remove the folder {str(self.file.parent)!r} or name another one."

    def _check(self, entry: Mapping[str, Any]) -> None:
        before = {"format of the file": entry["format"], **entry["identity"]}
        own = {"format of the file": _FORMAT, **json.loads(json.dumps(self.identity))}
        names = [*before, *(name for name in own if name not in before)]
        absent = "nothing"
        differing = [
            f"{name} was {before.get(name, absent)!r} and is {own.get(name, absent)!r}"
            for name in names
            if before.get(name, absent) != own.get(name, absent)
        ]
        if differing:
            raise ResumeError(
                f"resume={str(self.file.parent)!r} has the state of another training: "
                f"{'; '.join(differing)}. {self._way_out}"
            )


def state_of(run: Any) -> State:
    """Return what a run goes on from after its last epoch; all processes call this."""
    optimizer = run.optimizer.state_dict()
    tensors = dict(_named("weights", run.trained))
    if run.average is not None:
        tensors |= _named("average", run.average.weights)
    if run.best_epoch < len(run.records):
        tensors |= _named("best", run.best_state)
    for index, name in enumerate(_names_in_order(run)):
        tensors |= _named(f"optimizer/{name}", optimizer["state"].get(index, {}))
    tensors["order"] = run.order.get_state()
    for rank, states in enumerate(from_all_processes(run.dropout.states)):
        tensors |= _named(f"dropout/{rank}", dict(enumerate(states)))
    progress = {
        "records": run.records,
        "best_epoch": run.best_epoch,
        "best_loss": run.best_loss,
        "averaged": run.average.n_steps if run.average is not None else None,
        "groups": [_without_parameters(group) for group in optimizer["param_groups"]],
        "schedule": {name: getattr(run.schedule, name) for name in _OF_SCHEDULE},
    }
    return State(progress, {k: v.detach().cpu().clone() for k, v in tensors.items()})


def go_on(run: Any, state: State) -> None:
    """Put a run that is about to begin where another one was."""
    progress, tensors = state
    run.records = progress["records"]
    run.best_epoch, run.best_loss = progress["best_epoch"], progress["best_loss"]
    weights = _below("weights", tensors)
    fill_in(run.trained, weights)
    if run.average is not None:
        run.average.n_steps, weights = progress["averaged"], _below("average", tensors)
        fill_in(run.average.weights, weights)
    best = _below("best", tensors) or weights
    run.best_state = {name: best[name].to(run.device) for name in run.trained}
    optimizer = run.optimizer.state_dict()
    for index, name in enumerate(_names_in_order(run)):
        if kept := _below(f"optimizer/{name}", tensors):
            optimizer["state"][index] = kept
    groups = zip(optimizer["param_groups"], progress["groups"], strict=True)
    optimizer["param_groups"] = [group | kept for group, kept in groups]
    run.optimizer.load_state_dict(optimizer)
    run.schedule.load_state_dict(progress["schedule"])
    run.order.set_state(tensors["order"])
    mine = _below(f"dropout/{run.accelerator.process_index}", tensors)
    run.dropout.states = [mine[str(index)] for index in range(len(mine))]


def _named(prefix: str, tensors: Mapping[Any, Tensor]) -> Iterator[tuple[str, Tensor]]:
    return ((f"{prefix}/{name}", value) for name, value in tensors.items())


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {
        name.removeprefix(start): value
        for name, value in tensors.items()
        if name.startswith(start)
    }


def _names_in_order(run: Any) -> list[str]:
    """Names of the parameters in the order in which an optimizer numbers them."""
    name_of = {id(parameter): name for name, parameter in run.trained.items()}
    groups = run.optimizer.param_groups
    return [name_of[id(p)] for group in groups for p in group["params"]]


def _without_parameters(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}
