"""Parameters that belong to no pipeline, and those that belong to nothing."""

from difflib import get_close_matches
from typing import Annotated, Any, cast

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from pydantic import Field, TypeAdapter, ValidationError

from clm_ler.config import ConfigLoader

SHARED: dict[str, TypeAdapter[Any]] = {
    "seed": TypeAdapter(Annotated[int, Field(ge=0, lt=2**32)]),
    "check_values": TypeAdapter(bool),
}


class ParameterHooks:
    """Refuse a wrong type or an unknown name before anything runs; pipelines check their own."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Check the shared parameters, and that everything on the command line is read."""
        loader = cast(ConfigLoader, context.config_loader)
        check_shared(loader["parameters"])
        check_read(loader)


def check_shared(parameters: dict[str, Any]) -> None:
    """Raise ``ValueError`` where a parameter that all pipelines share has a wrong type."""
    for name, kind in SHARED.items():
        try:
            kind.validate_python(parameters[name])
        except ValidationError as error:
            raise ValueError(f"Parameter '{name}': {error.errors()[0]['msg']}.") from error


def check_read(loader: ConfigLoader) -> None:
    """Raise ``ValueError`` where the command line sets what nothing in the configuration reads."""
    for name in loader.unread():
        close = get_close_matches(name, loader.known(), 1)
        meant = f" Did you mean '{close[0]}'?" if close else ""
        raise ValueError(
            f"--params: nothing here reads '{name}'.{meant} See docs/parameters.md, and "
            "--env for parameters of another environment."
        )
