"""Give every reader and writer of ``s3://`` addresses the same credentials."""

import os
from typing import Any

import fsspec
import ibis
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from clm_ler.engines import engine_of

_PREFIX = "CLM_AWS_"


class S3Hooks:
    """Check the buckets of a catalog and open them for the embedded engine.

    Credentials come from where AWS tools look for them: ``AWS_*`` variables, ``AWS_PROFILE``,
    ``~/.aws``, a machine's role. ``CLM_AWS_*`` variables stand in for ``AWS_*`` ones; other stores
    are named by ``AWS_ENDPOINT_URL``.
    """

    def __init__(self) -> None:
        self._connections: list[ibis.BaseBackend] = []

    @hook_impl
    def after_context_created(self) -> None:
        """Take the project's own variables for the standard ones."""
        for name, value in list(os.environ.items()):
            if name.startswith(_PREFIX):
                os.environ[name.removeprefix("CLM_")] = value

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol, conf_catalog: dict[str, Any]) -> None:
        """Check each bucket once and prepare the connections that read from it."""
        remote = {
            name: entry
            for name, entry in conf_catalog.items()
            if any(_is_s3(value) for value in entry.values())
        }
        buckets = {
            value.split("/")[2]
            for entry in remote.values()
            for value in entry.values()
            if _is_s3(value)
        }
        for bucket in sorted(buckets):
            _check_bucket(bucket)
        for name, entry in remote.items():
            if "connection" in entry:
                backend = catalog[name].connection
                if backend not in self._connections:
                    self._connections.append(backend)
                    engine_of(backend).open_store({})

    @hook_impl
    def before_node_run(self) -> None:
        """Renew what may have expired: a role's credentials live for an hour or so."""
        for backend in self._connections:
            engine_of(backend).open_store({})


def _is_s3(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("s3://", "s3a://"))


def _check_bucket(bucket: str) -> None:
    try:
        # A new one: an instance in the cache may hold the credentials of an earlier run.
        filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
    except ImportError as error:
        raise RuntimeError("s3:// addresses need: pip install 'clm-ler[s3]'") from error
    try:
        filesystem.ls(bucket)
    except FileNotFoundError as error:
        raise RuntimeError(f"There is no bucket s3://{bucket}.") from error
    except PermissionError as error:
        raise RuntimeError(
            f"The credentials may not list s3://{bucket}: check AWS_* (or CLM_AWS_*), AWS_PROFILE."
        ) from error
    except Exception as error:  # botocore has no common base for "no credentials" and "no network"
        raise RuntimeError(f"s3://{bucket} cannot be reached: {error}") from error
