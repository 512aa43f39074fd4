"""Which packages there are."""

from importlib.metadata import PackageNotFoundError, version

# Those that results depend on.
PACKAGES = (
    "clm-ler",
    "kedro",
    "duckdb",
    "ibis-framework",
    "torch",
    "transformers",
    "lightgbm",
    "scikit-learn",
)


def installed(name: str) -> str | None:
    """Return the version of a package, None where it is not installed, as on a path without one."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
