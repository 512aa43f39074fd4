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


SOURCE = PUBLISHED["tables"]["lab"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tables": {"labs": SOURCE}}, "tables: there is no 'labs'; known are patient, .*, lab"),
        ({"tables": {"lab": SOURCE["select_expr"]}}, "lab: needs select_expr: below it"),
        ({"max_loss": {"raed": 0.1}}, "max_loss: there is no 'raed'; known are read, .*, lab"),
    ],
)
def test_a_name_that_would_have_no_effect_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        PreprocessOptions(**PUBLISHED | changes)


def test_losses_are_limited_by_step_or_by_table():
    limits = {"read": 0.1, "once_a_day": 0.5, "events": 0.9, "lab": 0.2}
    assert PreprocessOptions(**PUBLISHED | {"max_loss": limits}).max_loss == limits
