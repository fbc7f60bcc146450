"""How fast the gallery's page is made and opens, and how large it is, with so many generated pictures.

    python -m experiments.gallery_speed 1600 50000

Pictures are drawn (2,000 different ones at most, the others are links to one of their shape and colour), a run folder
is written by hand, the page is made, and a headless Chromium opens it three times; the fastest counts. Printed are wall
seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from cmc import gallery
from tests.browser import browser_program
from tests.clusters.made import COLOURS, SHAPES, Made, draw

_DIFFERENT = 2000
_ENDS = "() => document.querySelectorAll('#opened .member').length >= 120"


def write_run(place: Path, n: int) -> Path:
    """A run folder on n pictures."""
    made = Made(n=n, n_clusters=8)
    looks = list(zip(made.shape.tolist(), made.colour.tolist(), strict=True))
    alike: defaultdict[tuple[int, int], list[Path]] = defaultdict(list)
    for i, name in enumerate(made.ids):
        path = place / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if i < _DIFFERENT:
            colour = list(COLOURS.values())[made.colour[i]]
            draw(list(SHAPES)[made.shape[i]], colour, i, size=96).save(path)
            alike[looks[i]].append(path)
        else:
            os.link(alike[looks[i]][i % len(alike[looks[i]])], path)
    return made.write(place / "run", place / "raw")


def opened(page: Page, path: Path) -> dict[str, float]:
    """Seconds until the first card is there, until a cluster is open, and until its end is scrolled to."""
    began = time.monotonic()
    page.goto(path.as_uri(), wait_until="commit")
    page.wait_for_selector("article.cluster .member")
    found = {"first card": time.monotonic() - began}
    began = time.monotonic()
    page.click("article.cluster .size >> nth=0")
    page.wait_for_function(_ENDS)
    found["a cluster"] = time.monotonic() - began
    began = time.monotonic()
    page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("() => document.querySelectorAll('#opened .member').length > 200")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found["scrolled"] = time.monotonic() - began
    return found


def main() -> None:
    """Measure each number of pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="+", type=int)
    for n in parser.parse_args().numbers:
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            run = write_run(Path(folder), n)
            began, cpu = time.monotonic(), time.process_time()
            sys.argv = ["gallery", str(run)]
            gallery.main()
            made = f"made in {time.monotonic() - began:.1f} s ({time.process_time() - cpu:.1f} s of processors)"
            browser = playwright.chromium.launch(executable_path=browser_program(), args=["--no-sandbox"])
            tries = []
            for _ in range(3):
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                tries.append(opened(page, run / "gallery.html"))
                page.close()
            browser.close()
            best = ", ".join(f"{name} {min(each[name] for each in tries):.2f} s" for name in tries[0])
            beside = sum(path.stat().st_size for path in (run / "gallery_files").glob("*")) / 2**20
            size = (run / "gallery.html").stat().st_size / 2**20
            print(f"{n} pictures: {made}; {best}; {size:.1f} MiB, {beside:.1f} MiB of sheets beside it", flush=True)


if __name__ == "__main__":
    main()
