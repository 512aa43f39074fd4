"""Bound what the table engine may use."""

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro_datasets.ibis import FileDataset

from clm_ler.engines import engine, engine_of


class EngineHooks:
    """Apply ``memory_limit``, ``threads`` and ``storage`` to the connection that all entries share."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Open and configure the connection; command line before ``globals.yml``."""
        loader = context.config_loader
        values = loader["globals"] | (loader.runtime_params or {})
        shared = FileDataset(filepath="any", connection=engine(values["engine"]).connection)
        engine_of(shared.connection).configure(
            values["memory_limit"],
            int(values["threads"]),
            str(values["storage"]),
        )
