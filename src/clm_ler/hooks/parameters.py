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
        """Check the shared parameters."""
        self._loader = cast(ConfigLoader, context.config_loader)
        parameters = self._loader["parameters"]
        for name, kind in SHARED.items():
            try:
                kind.validate_python(parameters[name])
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise ValueError(f"Parameter '{name}': {reason}.") from error

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Refuse what nothing reads."""
        for name in self._loader.unread():
            close = get_close_matches(name, self._loader.known(), 1)
            meant = f" Did you mean '{close[0]}'?" if close else ""
            raise ValueError(
                f"--params: nothing here reads '{name}'.{meant} See docs/parameters.md, and "
                "--env for parameters of another environment."
            )
