"""The EHRSHOT benchmark as a site like any other."""

from clm_ler.pipelines.ehrshot_native.pipeline import create_pipeline

__all__ = ["create_pipeline"]
