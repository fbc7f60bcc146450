"""Time and peak memory of reading a Parquet table of two modalities, 512 + 384 columns.

    python experiments/parquet_speed.py FOLDER [N] [ROW_GROUP]

Writes N rows of lists (1,000,000 by default, float32, 3.6 GB) to FOLDER/x.parquet, reads them as ``data=files`` does,
and prints seconds and the largest resident memory of the reading process and its child together, beside that of the
numbers themselves, in MiB.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

WIDTHS = {"image": 512, "text": 384}
BLOCK = 10_000
READ = "import sys; from cmc.data import formats; print(formats.read(sys.argv[1]).dims)"


def write(path: Path, n: int, group: int) -> None:
    """N rows, a row group after the other."""
    kinds = {name: pyarrow.list_(pyarrow.float32(), width) for name, width in WIDTHS.items()}
    schema = pyarrow.schema({**kinds, "label": pyarrow.int64()})
    rng = np.random.default_rng(0)
    with parquet.ParquetWriter(path, schema, use_dictionary=False) as sink:
        for start in range(0, n, group):
            rows = min(group, n - start)
            columns = [
                pyarrow.FixedSizeListArray.from_arrays(rng.standard_normal(rows * width, dtype=np.float32), width)
                for width in WIDTHS.values()
            ]
            sink.write_table(pyarrow.Table.from_arrays([*columns, pyarrow.array(np.arange(rows) % 10)], schema=schema))


def resident(process: int) -> Iterator[int]:
    """KiB of a process and of each of its children."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        yield next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from resident(int(child))
    except OSError:  # it has ended
        return


def main() -> None:
    """Generate, read, print."""
    folder, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    path = folder / "x.parquet"
    if not path.exists():
        write(path, n, int(sys.argv[3]) if len(sys.argv) > 3 else BLOCK)
    began, peak = time.monotonic(), 0
    with subprocess.Popen([sys.executable, "-c", READ, str(path)]) as reader:
        while reader.poll() is None:
            peak = max(peak, sum(resident(reader.pid)))
            time.sleep(0.05)
    size = 4 * n * sum(WIDTHS.values()) / 2**20
    took = time.monotonic() - began
    print(f"{n} rows, {path.stat().st_size / 2**20:.0f} MiB: {took:.0f} s, {peak / 1024:.0f} MiB, numbers {size:.0f}")


if __name__ == "__main__":
    main()
