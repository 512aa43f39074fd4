"""One page that tells what was made, for whoever has to judge it."""

from clm_ler.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
