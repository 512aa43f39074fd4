"""Export one vector per sample."""

from clm_ler.pipelines.embed.pipeline import create_pipeline

__all__ = ["create_pipeline"]
