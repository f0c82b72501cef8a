"""health.dumper: the stacks of a dump begin with the thread that matters."""

from __future__ import annotations

import faulthandler
import tempfile
import threading

from processsupervisor.health.dumper import main_first


def test_the_main_thread_comes_first() -> None:
    """Whichever threads there are besides, as faulthandler writes them."""
    is_over = threading.Event()
    others = [threading.Thread(target=is_over.wait, daemon=True) for _ in range(3)]
    for thread in others:
        thread.start()
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        told = file.read().decode()
    is_over.set()
    assert "test_the_main_thread" not in told.partition("\n\n")[0]
    first, *rest = main_first(told).split("\n\n")
    assert "test_the_main_thread" in first and len(rest) == len(told.strip().split("\n\n")) - 1
    assert sorted(main_first(told).split()) == sorted(told.split())


def test_what_has_no_threads_stays_as_it_is() -> None:
    """One thread, nothing at all, or a list that was cut before the main thread."""
    one = 'Thread 0x1 (most recent call first):\n  File "a.py", line 1 in f\n'
    for text in ("", "no stack", one, one + "\n" + one + "...\n"):
        assert main_first(text).split() == text.split()
        assert main_first(text).startswith(text[:10])
