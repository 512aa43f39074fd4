import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tests.end_to_end.conftest import ROOT

pytestmark = pytest.mark.slow  # it starts Kedro sessions


def run(env: str | None = None, **parameters: object) -> None:
    """Start a run as Kedro does, up to the first node."""
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=env, runtime_params=parameters) as session:
        assert session.load_context().catalog is not None


@pytest.mark.parametrize("value", ["abc", -1, 1.5, 2**32])
def test_a_seed_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="Parameter 'seed'"):
        run(seed=value)


def test_a_switch_is_a_boolean():
    run(check_values=True)
    with pytest.raises(ValueError, match="Parameter 'check_values'"):
        run(check_values="perhaps")


def test_a_name_that_nothing_reads_is_refused_with_the_one_that_was_meant():
    with pytest.raises(ValueError, match=r"nothing here reads 'sed'\. Did you mean 'seed'"):
        run(sed=3)
    with pytest.raises(ValueError, match=r"reads 'cdm_root'.*--env"):
        run(cdm_root="somewhere")


def test_what_is_read_is_taken(tmp_path):
    places = dict.fromkeys(("storage", "trained", "fitted_from", "umls_root"), str(tmp_path))
    run(seed=1, memory_limit="2GB", threads=1, wandb="offline", pretrain={"max_steps": 1}, **places)
    run(env="omop", cdm_root=str(tmp_path), codes="standard")
