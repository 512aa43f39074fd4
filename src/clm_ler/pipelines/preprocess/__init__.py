"""Raw tables to token sequences."""

from clm_ler.pipelines.preprocess.pipeline import create_pipeline

__all__ = ["create_pipeline"]
