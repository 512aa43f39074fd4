"""FHIR resources to raw tables."""

from clm_ler.pipelines.fhir_read.pipeline import create_pipeline

__all__ = ["create_pipeline"]
