"""Kedro's configuration loader: parameters merge deeply, and catalog entries may read them."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import chain
from mimetypes import guess_type
from pathlib import Path
from threading import RLock
from typing import Any, cast

import fsspec
import yaml
from kedro.config import OmegaConfigLoader
from omegaconf import DictConfig, ListConfig, OmegaConf

from clm_ler.files.atomic import read_json

# Each is one choice: an environment that has the block has all of it.
REPLACED_WHOLE = (
    "task",
    "preprocess.tables",
    "finetune.tuneable_parameters",
    "ehrshot_eval.heads",
    "ehrshot_eval.models",
)

_ARCHIVES = {"application/x-tar": "tar", "application/zip": "zip"}
# Kedro's names of the dataset by which a user's own tables are read.
_OWN_TABLE = re.compile(r"(kedro_datasets\.)?ibis\.(file_dataset\.)?FileDataset")
_FORMS: Mapping[type, str] = {DictConfig: "names with values", ListConfig: "a list"}
_READ = re.compile(r"\$\{runtime_params:\s*(\w+)")
_RESOLVERS = RLock()  # they belong to the process: one loader at a time binds and uses them


class ConfigLoader(OmegaConfigLoader):
    """Kedro's loader, with four additions.

    Where the settings merge parameters softly, the blocks of ``REPLACED_WHOLE`` are still replaced.
    A parameter ``task`` that is a name, several (``NAME+NAME``) or a list with names in it stands for what the
    files ``tasks/NAME.yml`` say; without one, with a kit of another site (``kit``), the kit's.
    In the catalog ``${param:NAME, DEFAULT}`` gives the value of a parameter, from whichever file or
    the command line; the default stands in for null, too. CSV files of ``ibis.FileDataset`` are read as text:
    see ``datasets/text_table.py``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Kedro's loader takes."""
        self._once: dict[str, dict[str, Any]] = {}
        with _RESOLVERS:
            super().__init__(*args, **kwargs)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a kind: read once, as Kedro and its hooks ask for it often."""
        with _RESOLVERS:
            if key not in self._once:
                self._once[key] = self._read(key)
            return deepcopy(self._once[key])

    def _read(self, key: str) -> dict[str, Any]:
        """Return what the files say, with the resolvers bound to this loader."""
        if key != "globals":
            _bind("globals", self["globals"])
        if key == "catalog":
            _bind("param", self["parameters"])
        try:
            found = super().__getitem__(key)
        except yaml.YAMLError as error:
            raise ValueError(
                f"{error} (A tab there? YAML takes spaces only.)"  # Kedro names the file and the line
            ) from error
        except TypeError as error:  # OmegaConf's, which does not say where
            if key == "parameters":
                self._explain_clash()
            raise error
        if key == "catalog":
            _read_as_text(found)
        return self._parameters(found) if key == "parameters" else found

    def unread(self) -> list[str]:
        """Return what the command line sets and nothing in the configuration reads."""
        known = self.known() | {
            name
            for environment in (self.base_env, self._environment)
            for text in self._texts(environment, "**")
            for name in _READ.findall(text)
        }
        return [name for name in self.runtime_params or {} if name not in known]

    def known(self) -> set[str]:
        """Return the top-level names of the parameters and globals that the files have."""
        patterns = self.config_patterns["parameters"]
        texts = (self._texts(env, *patterns) for env in (self.base_env, self._environment))
        files = (yaml.load(text, yaml.CSafeLoader) for text in chain.from_iterable(texts))
        return {str(name) for file in files for name in file or {}} | set(self["globals"])

    @property
    def settings(self) -> dict[str, Any]:
        """The globals, values of the command line on top."""
        return self["globals"] | (self.runtime_params or {})

    @property
    def _environment(self) -> str:
        return self.env or self.default_run_env

    def _parameters(self, found: dict[str, Any]) -> dict[str, Any]:
        merged = self._with_own_blocks(found)
        given = merged.get("task")
        if isinstance(given, str) and "+" in given:
            given = given.split("+")
        if given is not None:
            several = isinstance(given, list)
            merged["task"] = [*map(self._task, given)] if several else self._task(given)
        elif kit := (self.runtime_params or {}).get("kit"):
            merged["task"] = task_of_kit(kit)
        return merged

    def _task(self, name: Any) -> Any:
        """Return a task that lies ready in the folder of the configuration; what is no name is one itself."""
        if not isinstance(name, str):
            return name
        # As a pattern: what matches no file is no error yet.
        text = next(self._texts("tasks", f"{name}.y*ml"), None) if name.isidentifier() else None
        if text is None:
            raise ValueError(
                f"There is no task {name!r}: no file tasks/{name}.yml in the configuration."
            )
        try:
            task = OmegaConf.create(text)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise ValueError(f"tasks/{name}.yml{line} is no YAML: {error.problem}.") from None
        return OmegaConf.to_container(task, resolve=True)

    def _with_own_blocks(self, found: dict[str, Any]) -> dict[str, Any]:
        in_file = self._file_parameters(self._environment)
        own = OmegaConf.merge(in_file, self.runtime_params or {})
        merged = OmegaConf.create(found)
        for block in REPLACED_WHOLE:
            if OmegaConf.select(in_file, block) is not None:
                OmegaConf.update(merged, block, OmegaConf.select(own, block), merge=False)
        return cast(dict[str, Any], OmegaConf.to_container(merged, resolve=True))

    def _explain_clash(self) -> None:
        """Say where parameters do not fit together."""
        base, own = map(self._file_parameters, (self.base_env, self._environment))
        if clash := _first_clash(base, own):
            raise ValueError(f"conf/{self._environment}: {clash}.") from None
        files, given = OmegaConf.merge(base, own), OmegaConf.create(self.runtime_params or {})
        if clash := _first_clash(files, given):
            raise ValueError(f"--params: {clash}.") from None

    def _file_parameters(self, environment: str) -> DictConfig:
        texts = self._texts(environment, *self.config_patterns["parameters"])
        return cast(DictConfig, OmegaConf.merge({}, *map(OmegaConf.create, texts)))

    def _texts(self, environment: str, *patterns: str) -> Iterator[str]:
        """Yield the texts of an environment's files, from a folder or an archive of it."""
        archive = _ARCHIVES.get(guess_type(self.conf_source)[0] or "")
        root = f"{archive}://*" if archive else self.conf_source
        inside = f"::{self.conf_source}" if archive else ""
        for pattern in patterns:
            for file in fsspec.open_files(f"{root}/{environment}/{pattern}{inside}", "r"):
                if file.path.endswith((".yml", ".yaml", ".json")):
                    with file as stream:
                        yield stream.read()


def task_of_kit(kit: str) -> Any:
    """Return the task or the list of tasks that a kit of another site defines; ``None`` where it defines none.

    One that cannot be read is another than was packaged: the run says so before its first node.
    """
    try:
        return read_json(Path(kit) / "task.json")
    except (ValueError, RecursionError):
        return None


def among(parameter: str, chosen: Any, known: list[str]) -> Any:
    """Return what was chosen, a name or a list of names, if all of it is known.

    Raises:
        ValueError: With the parameter and what is known.
    """
    names = [chosen] if isinstance(chosen, str) else list(chosen)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{parameter}: there is no {unknown[0]!r}, but {', '.join(known)}.")
    return chosen


def _first_clash(base: Any, own: Any, place: str = "") -> str | None:
    """Return where there is a list in place of names with values, or the other way round."""
    wanted, given = (_FORMS.get(type(part)) for part in (base, own))
    if wanted != given:
        return f"{place} must be {wanted}, not {given}" if wanted and given else None
    if given != _FORMS[DictConfig]:
        return None
    clashes = (
        _first_clash(base[name], own[name], f"{place}.{name}".lstrip("."))
        for name in own
        if name in base
    )
    return next(filter(None, clashes), None)


def _read_as_text(entry: Any) -> None:
    """Let no types be guessed in CSV files of a catalog, at whatever depth their entries stand."""
    if not isinstance(entry, dict):
        return
    for part in entry.values():
        _read_as_text(part)
    is_csv = entry.get("file_format") == "csv"
    if is_csv and _OWN_TABLE.fullmatch(str(entry.get("type"))):
        entry["type"] = "clm_ler.datasets.text_table.TextTableDataset"


def _bind(resolver: str, values: Mapping[str, Any]) -> None:
    """Let ``${RESOLVER:NAME, DEFAULT}`` look names up in these values."""
    known = OmegaConf.create(dict(values))
    missing = object()

    def look_up(name: str, default: Any = missing) -> Any:
        found = OmegaConf.select(known, name, default=missing)
        if found is missing and default is missing:
            raise KeyError(f"${{{resolver}:{name}}}: there is no such value, and no default.")
        return default if found in (None, missing) and default is not missing else found

    OmegaConf.register_new_resolver(resolver, look_up, replace=True)
