"""Use a kit at a site, and say how well it does there."""

from clm_ler.pipelines.site.pipeline import create_pipeline

__all__ = ["create_pipeline"]
