"""A simulated hospital."""

from clm_ler.pipelines.cohort.pipeline import create_pipeline

__all__ = ["create_pipeline"]
