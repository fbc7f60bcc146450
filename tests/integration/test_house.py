"""The figures of the package's layout, of a package small enough to count by hand."""

import pytest

from experiments import house

FILES = {
    "__init__.py": '"""Two rooms that import each other, and one below them."""\n',
    "low.py": "def f():\n    return 1\n",
    "left/__init__.py": "",
    "left/inner.py": "from .. import low\nfrom ..right import g\n\n\ndef f():\n    def h():\n        pass\n",
    "right/__init__.py": "from cmc.low import f\n\n\ndef g():\n    from cmc.left import inner\n\n    return inner\n",
}


@pytest.fixture
def checkout(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "cmc" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return tmp_path


def test_a_small_package_is_counted_as_by_hand(checkout, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["house", str(checkout)])
    house.main()
    told = dict(line.rsplit("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert {name.strip(): value.strip() for name, value in told.items()} == {
        "modules at the root (without __init__)": "1",
        "packages at the root": "2",
        "Python files": "5",
        "lines": "17",
        "longest file": "7 (cmc/left/inner.py)",
        "files over 350 lines": "0",
        "median file, lines": "2",
        "functions": "4",
        "median function / 95 %, lines": "2.5 / 4",
        "imports between modules": "4",
        "arrows between rooms": "4",
        "cycles of modules": "1 (cmc.left.inner, cmc.right)",
        "cycles of rooms": "1 (left, right)",
    }


def test_a_folder_without_the_package_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["house", str(tmp_path)])
    with pytest.raises(SystemExit):
        house.main()
    assert "is no package" in capsys.readouterr().err
