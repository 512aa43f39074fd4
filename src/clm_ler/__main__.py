"""Run the packaged project: ``clm-ler --pipelines=pretrain`` or ``python -m clm_ler``."""

import os
from pathlib import Path


def main() -> None:
    """Run Kedro's ``run`` command for this package."""
    package = Path(__file__).parent
    if not [*Path("conf").glob("logging.*")]:  # elsewhere than in the project
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(package / "logging.yml"))
    from kedro.framework.cli.utils import find_run_command  # reads the variable
    from kedro.framework.project import configure_project

    configure_project(package.name)
    find_run_command(package.name)()


if __name__ == "__main__":
    main()
