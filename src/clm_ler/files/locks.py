"""One writer at a time in a local folder."""

import getpass
import os
import socket
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from clm_ler.files.atomic import read_json, write_json

LOCK = ".lock"
HOLDER = ".lock.json"


class LockedFolderError(RuntimeError):
    """Another process writes into the folder."""


def lock_folder(folder: Path) -> FileLock:
    """Lock a folder for this process, and note beside the lock who has it.

    The operating system lifts the lock when the process ends, however it ends: there is nothing to
    clean up after one that was killed.

    Args:
        folder: The folder; it is made where it is not there.

    Returns:
        The lock, to be released. It is lifted with the last reference to it, too.

    Raises:
        LockedFolderError: If another process, or another lock of this one, has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedFolderError(_refusal(folder)) from error
    holder = {"host": socket.gethostname(), "process": os.getpid(), "user": _user()}
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    write_json(folder / HOLDER, holder | {"since": since})
    return lock


def _refusal(folder: Path) -> str:
    holder = read_json(folder / HOLDER) or dict.fromkeys(("host", "process", "user", "since"), "?")
    return (
        f"{folder} is in use since {holder['since']} by process {holder['process']} of "
        f"{holder['user']} on {holder['host']}: wait until it ends, end it, or give another "
        "--params=storage=DIR."
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user without a name
        return "an unnamed user"
