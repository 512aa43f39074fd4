import pytest

from clm_ler.corridor.options import PreprocessOptions
from tests.pipelines.preprocess.site import PUBLISHED


def test_a_published_configuration_is_taken_as_it_is(caplog):
    PreprocessOptions(**PUBLISHED)
    assert not caplog.messages
    PreprocessOptions(**PUBLISHED, partition_column="person_id_partition")
    (message,) = caplog.messages
    assert "partition_column has no effect" in message


def test_what_is_no_option_is_refused():
    with pytest.raises(ValueError, match="partition_columns"):
        PreprocessOptions(**PUBLISHED, partition_columns="person_id")
