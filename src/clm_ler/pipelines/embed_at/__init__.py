"""Export one vector per person and prediction time of one's own."""

from clm_ler.pipelines.embed_at.pipeline import create_pipeline

__all__ = ["create_pipeline"]
