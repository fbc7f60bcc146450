"""The cores that a process may use: affinity, the quotas of cgroups, the environment; and how threads wait."""

import os
import subprocess
import sys

import pytest

from cmc.utils import cores
from cmc.utils.cores import allowed, available, bound_spinning

QUOTA, PERIOD = "cpuDOTcfs_quota_us", "cpuDOTcfs_period_us"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 16 cores whose process is in these cgroups, and whose cgroups have these files."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)

    def make(cgroups, **files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(cgroups)
        for name, text in files.items():
            path = tmp_path / "sys/fs/cgroup" / name.replace("__", "/").replace("DOT", ".").replace("COMMA", ",")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def test_without_cgroups_it_is_the_affinity(machine, tmp_path):
    assert available(tmp_path) == 16


@pytest.mark.parametrize(
    ("cgroups", "files", "expected"),
    [
        ("0::/\n", {"cpuDOTmax": "400000 100000\n"}, 4),
        ("0::/\n", {"cpuDOTmax": "max 100000\n"}, 16),
        ("0::/\n", {"cpuDOTmax": "50000 100000\n"}, 1),
        ("0::/\n", {"cpuDOTmax": "250000 100000\n"}, 2),
        ("0::/\n", {"cpuDOTmax": "3200000 100000\n"}, 16),
        ("0::/\n", {"cpuDOTmax": "garbage\n"}, 16),
        ("0::/jobs/one\n", {"jobs__cpuDOTmax": "300000 100000\n", "jobs__one__cpuDOTmax": "max 100000\n"}, 3),
        ("0::/jobs/one\n", {"jobs__cpuDOTmax": "300000 100000\n", "jobs__one__cpuDOTmax": "200000 100000\n"}, 2),
        ("4:cpu,cpuacct:/docker/a\n", {f"cpu__{QUOTA}": "300000\n", f"cpu__{PERIOD}": "100000\n"}, 3),
        ("4:cpu,cpuacct:/\n", {f"cpuCOMMAcpuacct__{QUOTA}": "150000", f"cpuCOMMAcpuacct__{PERIOD}": "50000"}, 3),
        ("4:cpu:/\n", {f"cpu__{QUOTA}": "-1\n", f"cpu__{PERIOD}": "100000\n"}, 16),
        ("5:memory:/\n", {f"memory__{QUOTA}": "100000", f"memory__{PERIOD}": "100000"}, 16),
        ("5:cpuset:/\n0::/\n", {"unified__cpuDOTmax": "500000 100000"}, 5),
    ],
)  # fmt: skip
def test_a_quota_bounds_it(machine, cgroups, files, expected):
    assert available(machine(cgroups, **files)) == expected


@pytest.mark.parametrize(("said", "expected"), [(None, 8), ("2", 2), ("2,1", 2), ("64", 8), ("0", 8), ("all", 8)])
def test_the_environment_bounds_what_is_allowed(monkeypatch, said, expected):
    monkeypatch.setattr(cores, "available", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert allowed() == expected


@pytest.mark.parametrize("own", ["GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY"])
def test_the_user_says_how_threads_wait(own):
    environment = {own: "x"}
    bound_spinning(environment)
    assert environment == {own: "x"}


def test_what_is_set_before_torch_is_imported_reaches_its_openmp():
    code = "import os; from cmc.utils.cores import bound_spinning; bound_spinning(os.environ); import torch"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "GOMP", "KMP"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"OMP_DISPLAY_ENV": "VERBOSE", "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("this torch has another OpenMP")
    assert f"GOMP_SPINCOUNT = '{cores.SPINS}'" in done.stderr
