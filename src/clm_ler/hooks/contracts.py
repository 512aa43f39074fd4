"""Hold tables to their contracts where they are saved."""

from typing import Any

import ibis.expr.types as ir
from kedro.framework.hooks import hook_impl

from clm_ler.hooks.current import current_run
from clm_ler.tables.contracts import CONTRACTS, check_columns, check_values


class ContractHooks:
    """Check types before a table is written; values after, where ``check_values`` is true."""

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Compare columns and types."""
        if dataset_name in CONTRACTS and isinstance(data, ir.Table):
            check_columns(dataset_name, data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Check the values of what was stored."""
        run = current_run()
        if run and run.parameters["check_values"] and dataset_name in CONTRACTS:
            check_values(dataset_name, run.catalog.load(dataset_name))
