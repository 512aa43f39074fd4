"""Language models on structured health records.

Importing the package makes its models loadable through Transformers' Auto classes.
"""

from clm_ler.modeling.auto_classes import register_when_imported

__version__ = "0.1.0"

register_when_imported()
