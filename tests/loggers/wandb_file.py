"""A reader of W&B's ``.wandb`` files, independent of the package but for its protocol buffers.

A file is 7 bytes of header, then blocks of 32,768 bytes (the header counts for the first). A block holds fragments: a
checksum of 4 bytes, a length of 2, a type of 1 (1: whole, 2: first, 3: middle, 4: last), and the bytes; fewer than 7
bytes at a block's end are padding.
"""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER, FRAGMENT = 32_768, 7, 7


def fragments(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = HEADER
    while at + FRAGMENT <= len(raw):
        if BLOCK - at % BLOCK < FRAGMENT:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", raw, at)
        if not kind:
            return
        yield kind, raw[at + FRAGMENT : at + FRAGMENT + length]
        at += FRAGMENT + length


def records(path: Path) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    raw = path.read_bytes()
    assert raw[:4] == b":W&B"
    whole = b""
    for kind, part in fragments(raw):
        whole = part if kind in (1, 2) else whole + part
        if kind in (1, 4):
            yield Record.FromString(whole)


class Run:
    """What the ``.wandb`` files of a run say; ``info`` is a RunRecord, ``history`` has a dict a row."""

    def __init__(self, *paths: Path) -> None:
        self.info: Any = None
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.metrics: list[Any] = []
        self.exit_code: int | None = None
        self.artifacts: list[Any] = []
        for record in (record for path in paths for record in records(path)):
            self._take(record)

    def _take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            self.info = record.run
            self._configure(record.run.config)
        elif kind == "config":
            self._configure(record.config)
        elif kind == "history":
            self.history.append(_values(record.history.item))
        elif kind == "summary":
            self.summary |= _values(record.summary.update)
        elif kind == "metric":
            self.metrics.append(record.metric)
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            self.artifacts.append(record.request.log_artifact.artifact)
        elif kind == "artifact":
            self.artifacts.append(record.artifact)
        elif kind == "exit":
            self.exit_code = record.exit.exit_code

    def _configure(self, config: Any) -> None:
        self.config |= {item.key: json.loads(item.value_json) for item in config.update if item.key}


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def runs(folder: Path) -> dict[str, Run]:
    """Id -> run, of all ``.wandb`` files below a folder, a resumed run's in their order."""
    paths = sorted(folder.rglob("run-*.wandb"))
    ids = dict.fromkeys(path.stem.removeprefix("run-") for path in paths)
    return {name: Run(*(path for path in paths if path.stem == f"run-{name}")) for name in ids}


def ended(folder: Path, seconds: float = 30) -> Run:
    """The one run below a folder, once its end is written, which W&B's service does on its own."""
    until = time.monotonic() + seconds
    while (run := next(iter(runs(folder).values()))).exit_code is None:
        assert time.monotonic() < until, "W&B has not written the end of the run"
        time.sleep(0.1)
    return run
