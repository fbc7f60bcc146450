"""``cmc.prepare`` on a disk that fills up: into mapped arrays the system would let it write, and end the process."""

import os

import numpy as np

from cmc.data.preparation.extraction import Modality
from cmc.data.preparation.feature_store import read_store
from cmc.data.preparation.making import Making
from tests.faults import children
from tests.faults.campaign import Count
from tests.faults.disk import filled

N, WIDTH, STEPS = 400, 64, 8
BYTES = N * WIDTH * 4


class Numbers(Modality):
    """0, 1, 2, ... in steps of some rows."""

    def __init__(self):
        super().__init__("numbers 1", WIDTH, STEPS)

    def work(self, step):
        return N // STEPS

    def run(self, step):
        rows = np.arange(N // STEPS) + step * (N // STEPS)
        yield rows, slice(None), whole()[rows]


def whole():
    return np.arange(N * WIDTH, dtype=np.float32).reshape(N, WIDTH)


class Command:
    """As the commands are: a mistake, or a full disk, is one line and status 2."""

    __name__ = "prepare"

    def __init__(self, folder):
        self.folder = folder

    def main(self):
        from cmc.cli import command

        command(self._prepare, "prepare")

    def _prepare(self):
        made = {"a": Numbers(), "b": Numbers()}
        names = [str(i) for i in range(N)]
        facts = {"title": "t", "classes": [], "selection": {}, "extraction": {}}
        Making(self.folder, made, names, None, facts).run(lambda name, rows: None)


def prepared(campaign, n):
    """A disk with room for a share of two modalities; then there is room, and the work goes on."""
    count = Count("disk full in cmc.prepare")
    for i in range(n):
        with filled(campaign.new("prepare"), 2 * BYTES + 20_000, BYTES, (i + 0.5) / n) as disk:
            folder, log = disk.folder / "features", disk.folder.with_suffix(".log")
            ended = children.run(Command(folder), [], log, limit=disk.limit)
            if ended.status == 0:
                continue
            count.fault = f"disk full in cmc.prepare ({disk.kind})"
            count.injected += 1
            fine = ended.status == 2 and ended.last.startswith("cmc: error: ")
            count.noticed += count.check(fine, f"{disk.room} bytes: status {ended.status}: {ended.errors[-400:]}")
            left = [path for path in os.listdir(folder) if ".tmp" in path] if folder.exists() else []
            count.check(not left, f"{disk.room} bytes: left behind {left}")
            disk.empty()
            again = children.run(Command(folder), [], log)
            if count.check(again.status == 0, f"again: status {again.status}: {again.last}"):
                count.check(_is_whole(folder), "other numbers")
    return count


def _is_whole(folder):
    return all(np.array_equal(x, whole()) for x in read_store(folder).features.values())
