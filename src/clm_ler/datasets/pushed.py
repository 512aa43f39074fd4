"""A folder that also goes elsewhere: to another folder, or to a model hub."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from kedro.io import DatasetError

from clm_ler.datasets.pretrained import PretrainedDataset
from clm_ler.files.atomic import replace_folder
from clm_ler.files.model_folder import SUMS

HUB = "hf://"


class PushedDataset(PretrainedDataset):
    """A :class:`PretrainedDataset` with a second place, where one is given."""

    def __init__(self, *, push_to: str | None = None, **described: Any) -> None:
        """Describe the two places.

        Args:
            push_to: A folder, which is replaced if it was saved by this entry; ``hf://OWNER/NAME`` is a
                repository of the Hugging Face Hub, private where it is new.
            described: As for :class:`PretrainedDataset`.
        """
        super().__init__(**described)
        self._push_to = push_to

    def save(self, data: Any) -> None:
        """Write the folder, then the same to the second place.

        Raises:
            DatasetError: If the folder is not local, the second place has other files, or the hub takes nothing.
        """
        if self._push_to is not None and _is_foreign(Path(self._push_to)):
            raise DatasetError(
                f"push_to: {self._push_to} has other files, and would be replaced: name a folder in it."
            )
        super().save(data)
        if self._push_to is None:
            return
        if self._protocol != "file":
            raise DatasetError(
                "push_to takes from a local folder: give a local --params=storage=DIR."
            )
        if self._push_to.startswith(HUB):
            _upload(str(self._filepath), self._push_to.removeprefix(HUB))
        else:
            replace_folder(Path(self._push_to), partial(_copy, Path(self._filepath)))


def _is_foreign(folder: Path) -> bool:
    """Return whether there is something that no run has put there."""
    if not folder.is_dir():
        return folder.exists()
    return any(folder.iterdir()) and not (folder / SUMS).exists()


def _copy(folder: Path, to: str | Path) -> None:
    shutil.copytree(folder, to, dirs_exist_ok=True)


def _upload(folder: str, repository: str) -> None:
    """Commit a folder to a repository of the hub, with the login that ``hf auth login`` has stored."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    hub = HfApi()
    try:
        hub.create_repo(repository, private=True, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, delete_patterns="*")
    except (HfHubHTTPError, ValueError, OSError) as error:
        raise DatasetError(
            f"The Hub did not take the folder as {repository}: {str(error).splitlines()[0]}. `hf auth login` "
            "logs in; the token needs the right to write."
        ) from error
