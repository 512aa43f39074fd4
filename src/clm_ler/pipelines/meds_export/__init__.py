"""Sequences as a MEDS dataset."""

from clm_ler.pipelines.meds_export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
