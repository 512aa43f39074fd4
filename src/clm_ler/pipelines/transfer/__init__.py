"""Bring a model to a site that writes other codes."""

from clm_ler.pipelines.transfer.pipeline import create_pipeline

__all__ = ["create_pipeline"]
