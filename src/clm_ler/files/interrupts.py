"""Ctrl-C ends a process in time, whatever it is doing."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # 128 and the number of SIGINT
MESSAGE = "Interrupted: the same command goes on from here."
SECONDS = 2.0


@contextmanager
def prompt_interrupts() -> Iterator[None]:
    """Leave the process, with ``INTERRUPTED``, where Python does not get to it in ``SECONDS``.

    Python raises ``KeyboardInterrupt`` between two of its own instructions, and waits for its threads at
    the end: a fit or a query in native code can take minutes. What is written is whole or not there, so
    nothing is lost by leaving at once. Does nothing outside of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read,), daemon=True).start()
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise  # it is on its way out, and may still wait for threads
    except BaseException:
        _stop(before, write)
        raise
    else:
        _stop(before, write)


def _stop(before: int, write: int) -> None:
    signal.set_wakeup_fd(before)
    os.close(write)


def _watch(read: int) -> None:
    """Wait for the number of a signal; an end of the pipe means that there is nothing left to do."""
    while got := os.read(read, 1):
        if got[0] == signal.SIGINT:
            threading.Event().wait(SECONDS)
            os.write(2, f"\n{MESSAGE}\n".encode())
            os._exit(INTERRUPTED)
    os.close(read)
