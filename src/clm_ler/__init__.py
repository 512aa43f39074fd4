"""Language models on structured health records.

Importing the package makes its models loadable through Transformers' Auto classes.
"""

from clm_ler import modeling as modeling

__version__ = "0.1.0"
