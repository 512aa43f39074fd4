"""The simulated hospital as an OMOP CDM."""

from clm_ler.pipelines.cohort_omop.pipeline import create_pipeline

__all__ = ["create_pipeline"]
