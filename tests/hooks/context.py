"""What Kedro gives to hooks, without a project."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Loader(dict[str, Any]):
    """A configuration that was read, and the command line."""

    runtime_params: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        return self["globals"] | self.runtime_params


def context(folder: Path, command_line: dict[str, Any] | None = None, **kinds: Any) -> Any:
    loader = Loader({"globals": {"storage": "data"}, "parameters": {"seed": 42}} | kinds)
    loader.runtime_params = command_line or {}
    return SimpleNamespace(config_loader=loader, project_path=folder)
