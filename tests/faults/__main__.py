"""``python -m tests.faults``: inject every kind of fault and print what became of them; exit status 1 on any loss."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of each kind, in seconds")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and offsets")
    parser.add_argument("--out", type=Path, help="write the counts to FILE.json, or the table to FILE.md")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = inject(Path(folder), given.seed, given.quick)
    text = table(counts)
    print(text)
    print(f"{time.monotonic() - began:.0f} s")
    if given.out:
        shown = json.dumps([asdict(count) for count in counts], indent=2) if given.out.suffix == ".json" else text
        given.out.write_text(shown + "\n")
    sys.exit(any(count.lost for count in counts))


def inject(folder, seed, quick):
    import torch

    torch.set_num_threads(1)
    from tests.faults.campaign import Campaign
    from tests.faults.prepared import prepared

    def n(many, few):
        return few if quick else many

    campaign = Campaign(folder, seed)
    faults = [
        lambda: campaign.signals(n(60, 2), signal.SIGKILL, {-signal.SIGKILL}),
        lambda: campaign.signals(n(20, 1), signal.SIGTERM, {75}),
        lambda: campaign.signals(n(20, 0), signal.SIGUSR1, {75}),
        lambda: campaign.damage(n(20, 1), "cut"),
        lambda: campaign.damage(n(20, 1), "flip"),
        lambda: campaign.both_damaged(n(10, 0)),
        lambda: campaign.full_disk(n(20, 1)),
        lambda: prepared(campaign, n(20, 1)),
        lambda: campaign.two_runs(n(12, 1)),
    ]
    counts = []
    for fault in faults:
        began = time.monotonic()
        counts.append(count := fault())
        print(f"{count.fault}: {count.injected}, lost {len(count.lost)} ({time.monotonic() - began:.0f} s)", flush=True)
        for line in count.lost:
            print(f"  LOST: {line}", flush=True)
        if count.met:
            print("  met:", ", ".join(f"{name} {times}" for name, times in sorted(count.met.items())), flush=True)
    return counts


def table(counts):
    lines = ["| fault | injected | noticed, or met a run at work | harmless | lost |", "|---|---|---|---|---|"]
    lines += [
        f"| {count.fault} | {count.injected} | {count.noticed} | {count.harmless} | {len(count.lost)} |"
        for count in counts
        if count.injected
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
