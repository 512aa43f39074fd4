import os
import signal
import socket
import subprocess
import sys

import pytest

from clm_ler.files.locks import LockedFolderError, lock_folder

HOLD = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a shell's background job
from clm_ler.files.locks import lock_folder
lock = lock_folder(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that has locked the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_has_it_since_when_and_what_to_do(other, tmp_path):
    with pytest.raises(LockedFolderError) as refused:
        lock_folder(tmp_path)
    message = str(refused.value)
    assert f"{tmp_path} is in use since 20" in message
    assert f"process {other.pid} " in message
    assert f" on {socket.gethostname()}: " in message
    assert "another --params=storage=DIR" in message
    assert "\n" not in message


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_process_that_was_killed(way, other, tmp_path):
    other.send_signal(way)
    other.wait()
    lock_folder(tmp_path).release()


def test_a_released_lock_can_be_had_again(tmp_path):
    folder = tmp_path / "new"
    lock_folder(folder).release()
    lock = lock_folder(folder)
    with pytest.raises(LockedFolderError, match=f"process {os.getpid()} "):
        lock_folder(folder)
    lock.release()


def test_a_lock_that_nobody_refers_to_is_lifted(tmp_path):
    lock_folder(tmp_path)
    lock_folder(tmp_path).release()
