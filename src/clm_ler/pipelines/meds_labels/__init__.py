"""Labels as a MEDS dataset has them."""

from clm_ler.pipelines.meds_labels.pipeline import create_pipeline

__all__ = ["create_pipeline"]
