"""The processes of a training, as `TF_CONFIG` lists them."""

from __future__ import annotations

import dataclasses
import re
import reprlib
from dataclasses import dataclass
from typing import Any

from dancenet.support import checked
from dancenet.support.errors import UserError
from dancenet.support.names import shortened
from dancenet.support.wording import option

TF_CONFIG = "TF_CONFIG"

_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)
_PORT = re.compile("[0-9]{1,5}")
_INDEX = re.compile("-?[0-9]{1,9}")
_JOBS = ("chief", "worker")


@dataclass(frozen=True)
class Cluster:
    """The processes of a training, and the number of this one."""

    addresses: tuple[str, ...]  # host:port, the chief's first
    rank: int  # index of this process in `addresses`

    @property
    def chief(self) -> str:
        """The address of the chief."""
        return self.addresses[0]


@dataclass(frozen=True)
class _Task:
    type: str
    index: int | str


@dataclass(frozen=True)
class _Config:
    """The parts of `TF_CONFIG` that matter here."""

    cluster: dict[str, tuple[str, ...]]
    task: _Task

    def __post_init__(self) -> None:
        if not _INDEX.fullmatch(str(self.task.index)):
            raise UserError(f"the index of the task is {reprlib.repr(self.task.index)}")


def _known(record: type, content: Any) -> Any:
    """Leaves out what other programs put beside it."""
    if not isinstance(content, dict):
        return content
    names = [item.name for item in dataclasses.fields(record)]
    known = {name: content[name] for name in names if name in content}
    if "task" in known:
        known["task"] = _known(_Task, known["task"])
    return known


def read_cluster(text: str | None) -> Cluster:
    """Reads the value of `TF_CONFIG`.

    Args:
        text: as TensorFlow takes it: `cluster` with the addresses of a `chief`, `worker`s or both,
            and `task` with the type and index of this process. None if it is not set.

    Raises:
        UserError: it is missing or malformed.
    """
    if not text:
        raise UserError(
            f"{option('strategy', 'multiworker')} needs the environment variable {TF_CONFIG}, "
            "which tells each process its own address and the others', and it is not set; set it "
            f"for each of them, such as {_EXAMPLE}."
        )
    received = shortened(text)
    try:
        content = checked.parse_json(text, "it is not JSON")
        config = checked.build(_Config, _known(_Config, content), "it")
        jobs, job, index = config.cluster, config.task.type, int(config.task.index)
    except ValueError as error:
        raise UserError(
            f"{TF_CONFIG} is malformed ({shortened(error)}); received {received}; expected "
            f"something like {_EXAMPLE}."
        ) from error
    addresses = tuple(address for name in _JOBS for address in jobs.get(name, ()))
    unknown = set(jobs) - set(_JOBS)
    wrong = None
    if unknown:
        wrong = (
            f"names a job {reprlib.repr(sorted(unknown)[0])}; only 'chief' and 'worker' can train"
        )
    elif len(jobs.get("chief", ())) > 1:
        wrong = "names more than one chief"
    elif any(not _is_address(address) for address in addresses):
        wrong = "has an address that is not host:port"
    elif len(set(addresses)) < len(addresses):
        wrong = "names an address twice"
    elif job not in jobs or not 0 <= index < len(jobs[job]):
        wrong = f"says that this process is {shortened(job)} {index}, which is not in its cluster"
    if wrong:
        raise UserError(f"{TF_CONFIG} {wrong}; received {received}; expected {_EXAMPLE}.")
    rank = index + (len(jobs.get("chief", ())) if job == "worker" else 0)
    return Cluster(addresses, rank)


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and bool(_PORT.fullmatch(port)) and 0 < int(port) < 65536


def first_line(text: str) -> str:
    """Returns the first line of an error's text, without its final stop."""
    return (text.strip() or "no reason is given").splitlines()[0].rstrip(".:")
