"""Assign persons to splits."""

from clm_ler.pipelines.split.pipeline import create_pipeline

__all__ = ["create_pipeline"]
