"""Make CLM-LER models known to Transformers' Auto classes, but import torch for nobody.

Most of the package works without torch: the data pipelines, and the Python that Spark's executors
run. So the models are registered at the moment somebody imports the Auto classes.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def register_when_imported() -> None:
    """Register now what Transformers has imported already, and the rest when it does."""
    auto = "transformers.models.auto"
    for name, register in {
        f"{auto}.configuration_auto": _register_config,
        f"{auto}.modeling_auto": _register_models,
    }.items():
        if name in sys.modules:
            register(sys.modules[name])
        else:
            sys.meta_path.insert(0, _Finder(name, register))


def _register_config(auto: ModuleType) -> None:
    from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig

    auto.AutoConfig.register(ClmLerConfig.model_type, ClmLerConfig, exist_ok=True)


def _register_models(auto: ModuleType) -> None:
    # It may be the one that imports the Auto classes: it registers its classes at its end.
    import_module("clm_ler.modeling.model.modeling_clm_ler")


class _Finder(MetaPathFinder):
    """Finds one module as the other finders do, and gives it a loader that registers afterwards."""

    def __init__(self, name: str, register: Callable[[ModuleType], None]) -> None:
        self._name, self._register = name, register

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._register)
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader, register: Callable[[ModuleType], None]) -> None:
        self._loader, self._register = loader, register

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._register(module)
