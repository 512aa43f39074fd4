"""Kedro's configuration loader, with one trap taken out."""

from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf


class ParameterLoader(OmegaConfigLoader):
    """Let a value of the command line change that value only, in every environment.

    Kedro 1.7 mixes command-line parameters into those of the environment before these replace the
    base's by top-level key. In an environment with a parameters file of its own,
    ``--params=pretrain.seed=1`` would so do away with every other parameter of ``pretrain``.
    Kedro also reads and resolves the files each time that a hook asks for them; here once.

    Attributes:
        declared: Parameters that the configuration has, by top-level name.
    """

    declared: frozenset[str] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Kedro's loader takes."""
        self._read: set[str] = set()
        super().__init__(*args, **kwargs)

    def unread(self) -> list[str]:
        """Return what the command line sets and nothing in the configuration reads."""
        for kind in self.config_patterns:
            with suppress(MissingConfigException):
                self[kind]
        known = self._read | self.declared | set(self["globals"])
        return [name for name in self.runtime_params or {} if name not in known]

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a kind; of parameters, the command line's on top."""
        if key not in self:
            self[key] = self._load(key)
        return deepcopy(super().__getitem__(key))  # Kedro writes into what it is given

    def _load(self, key: str) -> dict[str, Any]:
        loaded = super().__getitem__(key)
        if key != "parameters":
            return loaded
        self.declared = frozenset(loaded)
        merged = OmegaConf.merge(OmegaConf.create(loaded), self.runtime_params or {})
        return cast(dict[str, Any], OmegaConf.to_container(merged))

    def _merge_and_resolve(
        self, key: str, config_per_file: dict[Path, DictConfig]
    ) -> dict[str, Any]:
        if not config_per_file:
            return {}
        configs = cast(DictConfig, OmegaConf.unsafe_merge(*config_per_file.values()))
        own = set(configs)  # listed first: Kedro merges the command line into them
        # What entries share, such as `_storage`, is worked out once and not at each use.
        for name in own:
            if str(name).startswith("_"):
                configs[name] = configs[name]
        read = set(self._runtime_params_hits)
        merged = super()._merge_and_resolve(key, {Path(): configs})
        self._read |= {name.partition(".")[0] for name in read | self._runtime_params_hits}
        if key != "parameters":
            return merged
        return {name: value for name, value in merged.items() if name in own}
