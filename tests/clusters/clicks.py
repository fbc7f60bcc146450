"""What the tests of the gallery's page share: how it is written, and what is clicked and read."""

import pytest

from cmc import gallery

STRANGE = '<img src=x onerror="alert(1)"><script>alert(2)</script> %{x} </script>'
CAPTIONS = {5: STRANGE, 7: "مرحبا بالعالم", 9: "", 11: "word " * 20_000}


def write(made, place, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["gallery", str(place / "run"), "--projection", "pca", *words])
        gallery.main()
    return place / "run" / "gallery.html"


def against(made, i):
    return made.image_own[i] != made.cluster[i] or made.text_own[i] != made.cluster[i]


def shown(page, place="#opened"):
    return [int(each) for each in page.locator(f"{place} .member").evaluate_all("all => all.map(e => e.dataset.i)")]


def open_cluster(page, cluster):
    page.click(f"[data-cluster='{cluster}'] .size")
    page.wait_for_selector("#opened:not([hidden])")
