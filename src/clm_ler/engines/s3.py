"""Where the access to an S3 store comes from."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit


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
        key, secret, token = found.get_frozen_credentials()
    client = options.get("client_kwargs") or {}
    region = client.get("region_name") or session.get_config_variable("region")
    endpoint = (
        options.get("endpoint_url")
        or client.get("endpoint_url")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
    )
    return StoreAccess(key or "", secret or "", token or "", region or "", urlsplit(endpoint or ""))
