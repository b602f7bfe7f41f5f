"""The pool of threads behind compiled kernels."""

import os
import threading

import pytest

from gpu_quality.kernels.threads import set_threads, spread, threads


@pytest.fixture(autouse=True)
def _threads():
    yield
    set_threads(None)


def test_number_of_threads():
    assert threads() == os.cpu_count()
    set_threads(3)
    assert threads() == 3
    with pytest.raises(ValueError, match="got 0"):
        set_threads(0)


@pytest.mark.parametrize("n", [1, 2])
def test_all_jobs_run_and_an_error_is_raised(n):
    set_threads(n)
    done = []
    spread(done.append, range(20))
    assert sorted(done) == list(range(20))

    def fail(job: int) -> None:
        raise KeyError(job)

    with pytest.raises(KeyError):
        spread(fail, range(4))


def test_two_threads_really_meet():
    set_threads(2)
    meeting = threading.Barrier(2, timeout=20)
    spread(lambda _: meeting.wait() and None, range(2))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_its_own_pool():
    set_threads(2)
    spread(lambda _: None, range(4))
    child = os.fork()
    if child == 0:
        done: list[int] = []
        spread(done.append, range(4))
        os._exit(0 if sorted(done) == [0, 1, 2, 3] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
