"""An outcome in a few lines of YAML: labels, and how they were counted down."""

from clm_ler.pipelines.label.pipeline import create_pipeline

__all__ = ["create_pipeline"]
