"""Translate codes into the vocabulary."""

from clm_ler.pipelines.umls_mapping.pipeline import create_pipeline

__all__ = ["create_pipeline"]
