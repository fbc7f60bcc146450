"""One thread within, as many as before outside, also in libraries that are loaded later; looked for once."""

import sys
import types

import numpy as np
import threadpoolctl
from threadpoolctl import threadpool_info, threadpool_limits

from cmc.functional.threads import one_thread


def threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info()]


def test_within_it_there_is_one_thread_and_afterwards_there_are_as_many_as_before():
    with threadpool_limits(limits=2):
        before = threads()
        assert before
        for _ in range(2):
            with one_thread():
                assert set(threads()) == {1}
            assert threads() == before


def test_libraries_are_looked_for_again_only_after_an_import(monkeypatch):
    found, looked = threadpoolctl.ThreadpoolController, []
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", lambda: looked.append(0) or found())
    monkeypatch.setitem(sys.modules, "imported_meanwhile", types.ModuleType("imported_meanwhile"))
    for _ in range(3):
        with one_thread():
            pass
    assert len(looked) == 1
    monkeypatch.setitem(sys.modules, "imported_later", types.ModuleType("imported_later"))
    with one_thread():
        pass
    assert len(looked) == 2
