"""The wheel, built from the checkout, installed elsewhere and run outside the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_conf_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"cmc/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    for room in ("reporting", "webpage", "clusters"):
        shipped |= {str(path.relative_to(ROOT)) for path in (ROOT / "cmc" / room / "page").iterdir()}
    assert len(shipped) > 20
    assert shipped <= names
    assert all(name.startswith(("cmc/", "cmc-")) for name in names)
    assert not any("test" in name for name in names)


def test_the_installed_wheel_runs_outside_the_checkout(wheel, tmp_path):
    target, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "conf").mkdir()
    (elsewhere / "conf" / "config.yaml").write_text("a stranger's: conf\n")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True)
    script = f"import sys; sys.path.insert(0, {str(target)!r}); import cmc.run; print(cmc.__file__); cmc.run.main()"
    small = ["method.hidden=[8]", "method.latent_dim=4", "data=synthetic", "data.n_samples=300", "experiment=smoke"]
    small += ["callbacks.figures=null"]
    done = subprocess.run(
        [sys.executable, "-c", script, *small, "hydra.run.dir=run", "trainer.accelerator=cpu"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(target / "cmc" / "__init__.py")
    assert json.loads((elsewhere / "run" / "metrics.json").read_text())["git_commit"] is None
