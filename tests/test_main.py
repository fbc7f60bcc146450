"""The console script: a word for each command, and ``run`` where there is none."""

import sys

import pytest

from cmc import __main__ as script


@pytest.fixture
def called(monkeypatch):
    """Call the script; returns the command that it calls and the arguments that this sees."""

    def call(*words):
        seen = []
        for name in script.COMMANDS:
            monkeypatch.setattr(f"cmc.{name}.main", lambda name=name: seen.append((name, sys.argv[1:])))
        monkeypatch.setattr(sys, "argv", ["cmc", *words])
        script.main()
        return seen

    return call


def test_the_first_word_names_the_command(called):
    assert called("predict", "run=there") == [("predict", ["run=there"])]
    assert called("report", "outputs", "--out", "report") == [("report", ["outputs", "--out", "report"])]


@pytest.mark.parametrize("words", [(), ("method=dmim", "seed=1"), ("-m", "seed=0,1"), ("--help",), ("+typo=1",)])
def test_without_one_it_is_run(called, words):
    assert called(*words) == [("run", list(words))]


def test_another_word_is_refused_with_the_nearest(called, capsys):
    with pytest.raises(SystemExit) as stop:
        called("evalute", "run=there")
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "cmc: error: evalute: no such command; there are run, choose, describe, prepare, evaluate, predict, "
        "report, gallery; did you mean evaluate?\n"
    )
