"""verify_many: order kept, one bad pair never loses the others, any executor."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from symgrad import SymgradError, verify_many

PAIRS = [("x**3", "3*x**2"), ("x**3", "2*x**2"), ("3*(x", "3"), ("w*tanh(x)", "w*(1 - tanh(x)**2)", {"wrt": "x"})]


def judged(results):
    return [type(r).__name__ if isinstance(r, Exception) else r.verdict for r in results]


def test_results_come_in_order_and_an_error_keeps_its_place():
    assert judged(verify_many(PAIRS)) == ["proved", "refuted", "BadFormula", "proved"]


@pytest.mark.slow
def test_a_process_pool_gives_the_same_reports():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        far = verify_many(PAIRS, executor=pool)
    near = verify_many(PAIRS)
    assert [str(r) for r in far] == [str(r) for r in near]


@pytest.mark.slow
def test_a_pair_that_cannot_be_sent_does_not_lose_the_others():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        results = verify_many([PAIRS[0], (lambda x: x, lambda x: 1.0), PAIRS[1]], executor=pool)
    assert judged([results[0], results[2]]) == ["proved", "refuted"]
    assert isinstance(results[1], Exception)


def test_balls_keep_their_precision_when_threads_verify_side_by_side():
    with ThreadPoolExecutor(4) as pool:
        assert judged(verify_many(PAIRS * 3, executor=pool)) == ["proved", "refuted", "BadFormula", "proved"] * 3


@pytest.mark.slow
def test_dask_takes_the_pairs_as_any_executor_does():
    """Its client has ``submit``, and sends functions that pickle does not."""
    distributed = pytest.importorskip("distributed")
    pairs = [*PAIRS, (lambda x: x**2, lambda x: 3 * x, {"at": {"x": 2.0}})]
    expected = ["proved", "refuted", "BadFormula", "proved", "refuted"]
    with distributed.Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        assert judged(verify_many(pairs, executor=client)) == expected
        assert judged(verify_many(pairs, executor=client.get_executor())) == expected


def test_an_executor_that_refuses_a_pair_keeps_the_others():
    class Picky(ThreadPoolExecutor):
        def submit(self, function, *args):
            if args[0].args[0] == "3*(x":
                raise RuntimeError("I do not like its name")
            return super().submit(function, *args)

    with Picky(2) as pool:
        assert judged(verify_many(PAIRS, executor=pool)) == ["proved", "refuted", "RuntimeError", "proved"]


def test_what_is_not_a_pair_is_refused():
    with pytest.raises(SymgradError, match="is not a pair"):
        verify_many(["x**2"])
