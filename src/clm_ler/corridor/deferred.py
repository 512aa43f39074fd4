"""Functions of nodes by their names: imported once a run or a notebook asks for them.

What they need (torch, Transformers, LightGBM) takes seconds to import, and who lists the pipelines or
reads a help text needs none of it.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from kedro.pipeline import Pipeline


class Functions:
    """The functions of a module: ``nodes = Functions("clm_ler.pipelines.split.nodes")``, ``nodes.assign_splits``."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> "Deferred":
        return Deferred(self._module, name)


class Deferred:
    """A function that is imported when it is called, or when somebody asks what it wraps."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__ = module, name
        self.__annotations__: dict[str, Any] = {}  # Kedro warns of a function that has none

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(import_module(self.__module__), self.__name__)
        return function

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Call the function."""
        return self.__wrapped__(*args, **keywords)


def import_functions(pipelines: Iterable[Pipeline]) -> None:
    """Give the nodes their functions themselves: Kedro reads the types of parameters off them."""
    for node in (node for pipeline in pipelines for node in pipeline.nodes):
        if isinstance(node.func, Deferred):
            node.func = node.func.__wrapped__
