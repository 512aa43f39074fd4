"""Let a site have fewer than the five raw tables."""

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline

RAW_TABLES = ("diagnosis", "prescription", "procedure", "lab")


class AbsentTables:
    """A raw table that ``preprocess: tables`` does not list is absent, whatever the catalog says."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Give the nodes ``None`` in place of each table that is not listed."""
        if "params:preprocess" not in pipeline.inputs():
            return
        options: Any = catalog.load("params:preprocess")
        listed = options["tables"] if isinstance(options, dict) else options.tables
        for name in RAW_TABLES:
            if name not in listed and name in pipeline.datasets():
                catalog[name] = MemoryDataset(data=None)
