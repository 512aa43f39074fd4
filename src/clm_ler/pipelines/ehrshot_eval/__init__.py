"""The EHRSHOT benchmark."""

from clm_ler.pipelines.ehrshot_eval.pipeline import create_pipeline

__all__ = ["create_pipeline"]
