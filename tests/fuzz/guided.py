"""One target under libFuzzer, in a child process: what the child dies of is counted, and it is started again."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import atheris

from cmc.data.formats import arrow_tables, child, hdf5, matlab
from tests.data.formats.common import read_here
from tests.fuzz.targets import Finding, Place, Target, name_of

LIMIT_GIB = 0.25  # that the readers are given
ROOM = 2**30  # bytes of address space besides, which only an allocation without bound exceeds
GULP = 1024 * LIMIT_GIB + 640  # MiB that no single input may take: the limit, what it leaves to libraries, and a rest
HANG = 5  # seconds
GRACE = 6  # times as long a child may take above its budget
CORPUS = Path(__file__).parent / "corpus"
_CONTAINED = ("crash", "timeout", "oom")  # what a process of a reader's own may come to
_STATUS = re.compile(r"^#(\d+)\s.*cov: (\d+)", re.MULTILINE)


@dataclass
class Outcome:
    """What became of a target's inputs.

    Attributes:
        tried: how many.
        coverage: branches of our code, and of Python libraries under it, that some input reached.
        begun_with: the same, of the seeds and the corpus alone.
        growth_mib: how much the child's peak memory grew above what it was before the first input.
        apart: ends of the fuzzing child where readers have a process of their own, which then read or refuse the same
            input as they may.
        findings: signature -> the input that shows it first; ``crash``, ``timeout`` and ``oom`` are the child's death.
    """

    tried: int = 0
    coverage: int = 0
    begun_with: int = 0
    growth_mib: float = 0.0
    apart: int = 0
    findings: dict[str, Path] = field(default_factory=dict)

    def deaths(self, kind: str) -> int:
        """How many findings are of a kind."""
        return sum(signature.startswith(kind) for signature in self.findings)


def fuzz(name: str, target: Target, work: Path, *, seconds: float, tries: int = -1, seed: int = 1) -> Outcome:
    """Mangle a target's file, guided by the branches that each input reaches, until the time or the tries are over.

    Args:
        name: of the target; inputs that showed something once lie in ``corpus/NAME``.
        target: what reads it.
        work: a folder for what is tried; ``work/findings/NAME`` has what must not happen.
        seconds: in all.
        tries: at most; -1 for no end.
        seed: of the mangling.
    """
    outcome, end = Outcome(), time.monotonic() + seconds
    place = Place(target, work / "place" / name)
    corpus, found = work / "corpus" / name, work / "findings" / name
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    known = CORPUS / name  # where readers have a process of their own, each start would die of one that is known
    kept = known.glob("*") if known.is_dir() and not target.apart else ()
    for data in (*target.beginnings(place.folder), *(path.read_bytes() for path in sorted(kept))):
        (corpus / name_of(data)).write_bytes(data)
    while (left := end - time.monotonic()) > 0 and (tries < 0 or outcome.tried < tries):
        before, still = outcome.tried, tries - outcome.tried if tries > 0 else -1
        if _child(place, corpus, found, left, seed + outcome.tried, still, outcome) or outcome.tried == before:
            break
    for signature, path in list(outcome.findings.items()):
        if target.apart and signature.startswith(_CONTAINED) and _ends_well(place, path.read_bytes()):
            outcome.apart += 1
            del outcome.findings[signature]
    shutil.rmtree(place.folder)
    return outcome


def _child(place: Place, corpus: Path, found: Path, left: float, seed: int, tries: int, outcome: Outcome) -> bool:
    """Fork, fuzz there, and take note of what it left; whether it came to its end."""
    log, known = found / "log.txt", len(outcome.findings)
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        budget = [f"-max_total_time={max(1, round(left))}", f"-timeout={HANG}", f"-seed={seed}"]
        _run(place, found, log, [sys.argv[0], *budget, f"-artifact_prefix={found}/", str(corpus)], tries)
    status = _wait(pid, left + GRACE * HANG)
    said = log.read_text(errors="replace")
    counts = [(int(n), int(coverage)) for n, coverage in _STATUS.findall(said)]
    begun = re.search(r"INITED cov: (\d+)", said)
    whole = status == 0
    outcome.tried += max([tries if whole else 0, *(n for n, _ in counts)])
    outcome.coverage = max([outcome.coverage, *(coverage for _, coverage in counts)])
    outcome.begun_with = outcome.begun_with or (int(begun[1]) if begun else 0)
    for path in found.glob("*.json"):
        told = json.loads(path.read_text())
        outcome.growth_mib = max(outcome.growth_mib, told.get("growth_mib", 0.0))
        if "signature" in told:
            outcome.findings.setdefault(told["signature"], found / path.stem)
    for path in found.glob("[!f]*-*"):  # libFuzzer's: crash-, timeout-, oom-, and slow-unit-, which is no death
        if not path.name.startswith("slow"):
            outcome.findings.setdefault(path.name[:20], path)
    if not whole and len(outcome.findings) == known:  # it died too suddenly to say of what
        data = (place.folder / place.target.file).read_bytes()
        kind = f"{'timeout' if status is None else f'crash, status {status}'}, {name_of(data)}"
        _keep(found, data, Finding(kind, "the last input; one before it may be the cause"))
        outcome.findings[kind] = found / f"found-{name_of(data)}"
    return whole


def _ends_well(place: Place, data: bytes) -> bool:
    """Whether the reader as users have it, but for its patience, reads or refuses an input, in good time."""
    if (pid := os.fork()) == 0:
        child._LEAST_SECONDS = HANG
        os._exit(place.attempt(data) is not None)
    return _wait(pid, GRACE * HANG) == 0


def _wait(pid: int, seconds: float) -> int | None:
    """The exit status of a child; None where it had to be killed after so many seconds: libFuzzer's alarm can stick."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _run(place: Place, found: Path, log: Path, arguments: list[str], tries: int) -> None:
    """In the child: limit the memory, and let libFuzzer call until it ends the process."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.environ["CMC_MAX_GIB"] = str(LIMIT_GIB)
    arrow_tables.read_apart = hdf5.read_apart = matlab.read_apart = read_here
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _limit()
    seen: set[str] = set()
    peak, tried = begun, 0

    def one(data: bytes) -> None:
        nonlocal peak, tried
        finding = place.attempt(data)
        if finding is not None and finding.signature not in seen:
            seen.add(finding.signature)
            _keep(found, data, finding)
        if (now := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) > peak + 2**13:
            if now - peak > GULP * 2**10:
                _keep(found, data, Finding("oom", f"{(now - peak) / 2**10:.0f} MiB for {len(data)} bytes"))
            peak = now
            (found / "memory.json").write_text(json.dumps({"growth_mib": (now - begun) / 2**10}))
        if (tried := tried + 1) == tries:
            os._exit(0)  # at once: torch takes longer to say goodbye than all tries together

    atheris.Setup(arguments, one)
    atheris.Fuzz()


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * os.sysconf("SC_PAGE_SIZE") + int(LIMIT_GIB * 2**30) + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))


def _keep(found: Path, data: bytes, finding: Finding) -> None:
    name = f"found-{name_of(data)}"
    (found / name).write_bytes(data)
    (found / f"{name}.json").write_text(json.dumps({"signature": finding.signature, "text": finding.text}))
