"""Modules that are imported when they are used: what stands in for them, and when it is replaced by itself."""

import importlib
import sys
import types

import pytest

from cmc.utils.late import late


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `heavy_things`, and a module `user_of_things` that takes names from it; both to be imported anew."""
    (tmp_path / "heavy_things").mkdir()
    (tmp_path / "heavy_things" / "__init__.py").write_text(
        "__version__ = '1.2'\nclass Thing:\n    made = 3\ndef double(x): return 2 * x\n"
    )
    (tmp_path / "user_of_things.py").write_text(
        "from typing import Optional, Union\n"
        "import heavy_things\n"
        "from heavy_things import Thing, double\n"
        "Either = Union[Thing, int]\nMaybe = Optional[Thing]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("heavy_things", "user_of_things"):
        sys.modules.pop(name, None)


def is_imported(name="heavy_things"):
    return name in sys.modules and type(sys.modules[name]) is types.ModuleType


@pytest.mark.usefixtures("package")
def test_nothing_is_imported_until_it_is_used():
    with late("heavy_things"):
        user = importlib.import_module("user_of_things")
        assert not is_imported()
    assert "heavy_things" not in sys.modules
    assert not isinstance(3, user.Thing)
    assert "heavy_things" not in sys.modules, "nothing is an instance of what was not imported"
    assert user.double(4) == 8
    assert is_imported()


@pytest.mark.usefixtures("package")
def test_what_stands_in_for_a_class_is_that_class():
    with late("heavy_things"):
        user = importlib.import_module("user_of_things")
    assert user.Thing.made == 3
    heavy = importlib.import_module("heavy_things")
    assert isinstance(user.Thing(), heavy.Thing)
    assert isinstance(heavy.Thing(), user.Thing)
    assert not isinstance(3, user.Thing)

    class Own(user.Thing):
        pass

    assert Own.__mro__[1] is heavy.Thing
    assert user.heavy_things.double(1) == 2


@pytest.mark.usefixtures("package")
def test_what_is_used_meanwhile_is_there_at_once():
    with late("heavy_things"):
        user = importlib.import_module("user_of_things")
        assert user.heavy_things.__version__ == "1.2"
        assert is_imported()
    assert is_imported()


@pytest.mark.usefixtures("package")
def test_what_is_imported_or_not_there_is_left_alone():
    heavy = importlib.import_module("heavy_things")
    with late("heavy_things", "no_such_thing", "heavy_things.no_such_thing"):
        assert sys.modules["heavy_things"] is heavy
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("no_such_thing")
    assert sys.modules["heavy_things"] is heavy


@pytest.mark.usefixtures("package")
def test_an_error_meanwhile_leaves_no_stand_in():
    with pytest.raises(ZeroDivisionError), late("heavy_things"):
        raise ZeroDivisionError
    assert "heavy_things" not in sys.modules
