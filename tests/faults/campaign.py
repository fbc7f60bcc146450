"""The faults: each is injected into very small real runs, which then must end as the run that met none."""

import os
import random
import shutil
import signal
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from zipfile import ZipFile

import torch

import cmc.run
from cmc.training.fit import train
from tests.conftest import SMALL, TINY, compose_with
from tests.faults import children
from tests.faults.disk import filled
from tests.runs.test_checkpoint import same

SETTINGS = {
    "cmmc": [*SMALL["cmmc"], "max_phase_epochs=3"],
    "dmim": [*SMALL["dmim"], "max_phase_epochs=5"],
}
_DATA = [word for word in TINY if not word.startswith("experiment=")]
COMPARED = ("assignments.csv", "embeddings.npy", "history.csv")
REFUSAL = "cmc: error: "


@dataclass
class Count:
    """What became of a kind of fault.

    Attributes:
        fault: in words.
        injected: how often.
        noticed: how often it was noticed and said so, or, where there is nothing to say, met a run at work.
        harmless: how often nothing that is read was damaged, and nothing said.
        lost: what went wrong, one line each; nothing should.
        met: stage -> how often a fault met it.
    """

    fault: str
    injected: int = 0
    noticed: int = 0
    harmless: int = 0
    lost: list[str] = field(default_factory=list)
    met: dict[str, int] = field(default_factory=dict)

    def check(self, passed, why):
        if not passed:
            self.lost.append(" ".join(str(why).split())[:400])
        return passed


class Campaign:
    """Runs that met no fault, to compare with, and folders for those that do."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self._n = 0
        self._stopped = {}
        self.whole, self.stages = {}, {}
        for method in SETTINGS:
            self._warm(method)
            self.whole[method] = self.new(method)
            log = self.whole[method].with_suffix(".log")
            self.stages[method] = children.stages(cmc.run, self.command(method, self.whole[method]), log)

    def _warm(self, method):
        """A run in this process, so that no child imports anything."""
        words = self.command(method, self.new("warm"))
        kept = [word for word in words if not word.startswith(("hydra.", "resume="))]
        with redirect_stdout(StringIO()):
            train(compose_with(*kept, "callbacks.progress=null"), str(self.new("warm")))

    def new(self, what) -> Path:
        self._n += 1
        return self.folder / f"{self._n:03d}-{what}"

    def command(self, method, folder, *more, minutes=0):
        return [
            *(f"method={method}", *SETTINGS[method], *_DATA, "callbacks.figures=null"),
            *(f"callbacks.checkpoints.minutes={minutes}", "evaluate_every=2", f"hydra.run.dir={folder}"),
            *("resume=auto", *more),
        ]

    def run(self, method, folder, moment=None, minutes=0, limit=None):
        arguments = self.command(method, folder, minutes=minutes)
        return children.run(cmc.run, arguments, folder.with_suffix(".log"), moment, limit)

    def finish(self, count, method, folder, minutes=0, what=""):
        """Start the same command again; it must end as the run that met no fault."""
        ended = self.run(method, folder, minutes=minutes)
        if count.check(ended.status == 0, f"{what}: status {ended.status}: {ended.last}"):
            self.compare(count, method, folder, what)
        return ended

    def compare(self, count, method, folder, what):
        for name in COMPARED:
            same = (folder / name).read_bytes() == (self.whole[method] / name).read_bytes()
            count.check(same, f"{what}: {name} differs")
        left = [path.name for path in folder.rglob("*.tmp*")]
        count.check(not left, f"{what}: left behind {left}")

    def moments(self, number):
        """Endless: a method and a moment, of all stages of all methods in turn."""
        stages = [(method, bounds) for method, stages in self.stages.items() for bounds in stages.values()]
        self.chance.shuffle(stages)
        while True:
            for method, bounds in stages:
                yield method, children.moment_in(bounds, self.chance, number)

    def signals(self, n, number, statuses) -> Count:
        """A signal at random moments; the run is then started again, and may meet the signal again."""
        name = signal.Signals(number).name
        count = Count(f"{name} at a random moment")
        for method, first in self.moments(number):
            if count.injected >= n:
                return count
            folder, minutes, moment = self.new(name), self.chance.choice([0, 5]), first
            while moment is not None and count.injected < n:
                ended = self.run(method, folder, moment, minutes)
                if ended.stage is None or ended.status == 0:  # the run came to its end before
                    break
                count.injected += 1
                met = f"{method} {ended.stage}"
                count.met[met] = count.met.get(met, 0) + 1
                count.noticed += count.check(ended.status in statuses, f"{met}: status {ended.status}: {ended.last}")
                everything = (0, max(end for _, end in self.stages[method].values()))
                again = self.chance.random() < 0.4
                moment = children.moment_in(everything, self.chance, number) if again else None
            self.finish(count, method, folder, minutes, f"{name} in {method} at {first}")
            shutil.rmtree(folder)
        return count

    def stopped(self, method):
        """A run that was killed in its last phase and has two checkpoints of it."""
        folder = self.new("stopped")
        if method not in self._stopped:
            start, end = self.stages[method][list(self.stages[method])[-2]]
            self.run(method, folder, children.Moment(start + (end - start) * 3 // 4, 0))
            assert all((folder / "checkpoints" / f"{name}.ckpt").exists() for name in ("last", "previous"))
            self._stopped[method] = folder
        return Path(shutil.copytree(self._stopped[method], self.new("copy")))

    def damage(self, n, kind) -> Count:
        """``last.ckpt`` cut short at an offset, or with one bit flipped there."""
        count = Count("last.ckpt cut short" if kind == "cut" else "a bit of last.ckpt flipped")
        for i in range(n):
            method = list(SETTINGS)[i % 2]
            folder = self.stopped(method)
            offset, harmless = _damage(folder / "checkpoints" / "last.ckpt", kind, self.chance)
            count.injected += 1
            ended = self.finish(count, method, folder, what=f"{kind} at {offset}")
            said = "last.ckpt: cannot be read, taking previous.ckpt in its place" in ended.errors
            count.check(said or harmless, f"{kind} at {offset}: not said")
            count.noticed += said
            count.harmless += harmless and not said
            shutil.rmtree(folder)
        return count

    def both_damaged(self, n) -> Count:
        """Both checkpoints cut short: the run must refuse in one line."""
        count = Count("both checkpoints cut short")
        for i in range(n):
            folder = self.stopped("cmmc")
            for name in ("last", "previous"):
                _damage(folder / "checkpoints" / f"{name}.ckpt", "cut", self.chance)
            count.injected += 1
            ended = self.run("cmmc", folder)
            fine = ended.status == 2 and ended.last.startswith(REFUSAL) and "nor the one before" in ended.last
            count.noticed += count.check(fine, f"{i}: status {ended.status}: {ended.last}")
        return count

    def full_disk(self, n) -> Count:
        """A disk that fills up at n sizes; then there is room, and the run goes on."""
        needed = sum(path.stat().st_size for path in self.whole["cmmc"].rglob("*") if path.is_file())
        largest = max(path.stat().st_size for path in self.whole["cmmc"].rglob("*.ckpt"))
        count = Count("disk full")
        for i in range(n):
            method = list(SETTINGS)[i % 2]
            with filled(self.new("disk"), needed, largest, (i + 0.5) / n) as disk:
                folder = disk.folder / "run"
                ended = children.run(
                    cmc.run, self.command(method, folder), disk.folder.with_suffix(".log"), limit=disk.limit
                )
                if ended.status == 0:  # there was room enough
                    continue
                count.fault = f"disk full ({disk.kind})"
                count.injected += 1
                one_line = ended.status == 2 and ended.last.startswith(REFUSAL) and "Traceback" not in ended.errors
                count.noticed += count.check(
                    one_line, f"{disk.room} bytes: status {ended.status}: {ended.errors[-500:]}"
                )
                _check_whole(count, folder, f"{disk.room} bytes")
                disk.empty()
                self.finish(count, method, folder, what=f"{disk.room} bytes")
        return count

    def two_runs(self, n) -> Count:
        """A second run into a folder where one is at work: the second refuses, the first ends as if alone."""
        count = Count("second run into one folder")
        for i in range(n):
            method = list(SETTINGS)[i % 2]
            folder = self.new("two")
            log = folder.with_suffix(".log")
            stage = [name for name in self.stages[method] if name != children.STARTING][i // 2 % 2]
            begun = self.stages[method][stage][0] + 1
            with children.forked(cmc.run, self.command(method, folder), log, at=begun) as (process, told):
                assert os.read(told, 100)
                os.kill(process, signal.SIGSTOP)
                again = self.command(method, folder)
                if i % 3 == 1:
                    again = [f"resume={folder}"]
                elif i % 3 == 2:
                    again = [word for word in again if word != "resume=auto"]
                second = children.run(cmc.run, again, folder.with_suffix(".second.log"))
                os.kill(process, signal.SIGCONT)
                _, status = os.waitpid(process, 0)
            count.injected += 1
            fine = second.status == 2 and "another process is at work on this run" in second.last
            count.noticed += count.check(fine, f"second: status {second.status}: {second.last}")
            if count.check(status == 0, f"first: status {status}"):
                self.compare(count, method, folder, "two runs")
        return count


def _damage(path, kind, chance):
    """Damage a checkpoint at a random offset; returns that, and whether what PyTorch loads is what it was."""
    content, whole = bytearray(path.read_bytes()), torch.load(path, weights_only=True)
    offset = chance.randrange(len(content))
    if kind == "cut":
        content = content[:offset]
    else:
        content[offset] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    try:
        return offset, same(torch.load(path, weights_only=True), whole)
    except Exception:
        return offset, False


def testzip(path):
    with ZipFile(path) as archive:
        return archive.testzip()


def _check_whole(count, folder, what):
    """What is there is whole: checkpoints, and the rows of the history."""
    left = [path.name for path in folder.rglob("*.tmp*")]
    count.check(not left, f"{what}: left behind {left}")
    for path in folder.glob("checkpoints/*.ckpt"):
        count.check(testzip(path) is None, f"{what}: {path.name} is damaged")
    if (folder / "history.csv").exists():
        text = (folder / "history.csv").read_text()
        columns = {line.count(",") for line in text.splitlines()}
        count.check(len(columns) <= 1 and text.endswith("\n"), f"{what}: half a row in history.csv")
