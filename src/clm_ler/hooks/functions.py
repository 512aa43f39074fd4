"""Import the functions of the pipelines that are asked for."""

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from clm_ler.corridor.deferred import import_functions


class FunctionHooks:
    """Who makes a context runs the nodes or looks into them: a run, kedro-viz, a notebook."""

    @hook_impl
    def after_context_created(self) -> None:
        """Give every node its function."""
        import_functions(pipelines.values())
