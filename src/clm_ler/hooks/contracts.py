"""Hold tables to their contracts where they are saved."""

from typing import Any

import ibis.expr.types as ir
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from clm_ler.tables.contracts import CONTRACTS, check_columns, check_values


class ContractHooks:
    """Check types before a table is written; values after, where ``check_values`` is true."""

    def __init__(self) -> None:
        self._check_values = False
        self._catalog: CatalogProtocol | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read the parameter."""
        self._check_values = bool(context.config_loader["parameters"].get("check_values", False))

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Keep the catalog, to read saved tables back."""
        self._catalog = catalog

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Compare columns and types."""
        if dataset_name in CONTRACTS and isinstance(data, ir.Table):
            check_columns(dataset_name, data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Check the values of what was stored."""
        if self._check_values and dataset_name in CONTRACTS and self._catalog is not None:
            check_values(dataset_name, self._catalog.load(dataset_name))
