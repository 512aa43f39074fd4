"""S3 stores: which are named, whether they can be reached, and with what credentials."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import fsspec


class StoreAccess(NamedTuple):
    """An S3 store and the credentials for it; empty where there is none.

    Attributes:
        key: The access key's identifier.
        secret: The access key.
        token: The token of a session.
        region: The region.
        endpoint: The address of a store other than AWS.
    """

    key: str
    secret: str
    token: str
    region: str
    endpoint: SplitResult


def store_access(options: Mapping[str, Any]) -> StoreAccess:
    """Return the access that fsspec's options give; the rest comes from where AWS tools look for it.

    Args:
        options: ``key``, ``secret``, ``token``, ``endpoint_url``, ``profile`` and ``client_kwargs``
            (``region_name``) as fsspec's S3 file system takes them.
    """
    from botocore.session import Session

    session = Session(profile=options.get("profile"))
    key, secret, token = (options.get(name) for name in ("key", "secret", "token"))
    if not key and (found := session.get_credentials()):
        frozen = found.get_frozen_credentials()
        key, secret, token = frozen.access_key, frozen.secret_key, frozen.token
    client = options.get("client_kwargs") or {}
    region = client.get("region_name") or session.get_config_variable("region")
    endpoint = (
        options.get("endpoint_url")
        or client.get("endpoint_url")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
    )
    return StoreAccess(key or "", secret or "", token or "", region or "", urlsplit(endpoint or ""))


def open_httpfs(connection: Any, secret: str) -> None:
    """Let a connection of DuckDB's read and write ``s3://`` addresses.

    The extension is taken from its package where that is installed, so that no network but the store's
    is needed; DuckDB fetches it by itself elsewhere.

    Args:
        connection: The connection.
        secret: The statement that gives it the credentials.
    """
    with suppress(ImportError):
        from duckdb_extensions import import_extension

        import_extension("httpfs", con=connection)
    connection.execute("LOAD httpfs")
    connection.execute(secret)


def s3_buckets(places: Iterable[str]) -> set[str]:
    """Return the buckets of those paths and URLs that lie in one."""
    return {place.split("/")[2] for place in places if place.startswith(("s3://", "s3a://"))}


def check_bucket(bucket: str) -> None:
    """List a bucket.

    Raises:
        RuntimeError: If it is not there, cannot be reached or may not be listed.
    """
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
            f"The credentials may not list s3://{bucket}: check the s3 block of credentials.yml, "
            "AWS_* (or CLM_AWS_*), AWS_PROFILE."
        ) from error
    except Exception as error:  # botocore has no common base for "no credentials" and "no network"
        raise RuntimeError(f"s3://{bucket} cannot be reached: {error}") from error
