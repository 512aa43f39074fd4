"""Make a kit of a model that another site can use."""

from clm_ler.pipelines.package.pipeline import create_pipeline

__all__ = ["create_pipeline"]
