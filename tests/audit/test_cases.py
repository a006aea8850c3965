"""The cases of an audit, made of torch's own operator tests."""

import pytest
import torch

from symgrad.audit.cases import cases
from symgrad.errors import BadInput

pytestmark = pytest.mark.slow  # torch's operator tests take many seconds to import
pytest.importorskip("expecttest", reason="torch's operator tests need it")


def test_a_case_is_text_that_gives_a_number_of_its_point():
    found = list(cases(["sinc", "cumprod", "linalg.householder_product", "var_mean"]))
    assert {one.name for one in found} == {"sinc", "cumprod", "linalg.householder_product", "var_mean"}
    for one in found:
        assert one.function()(one.point).shape == ()
        assert one.cast(torch.float32).point[0].dtype is torch.float32
    assert {"", "zeros", "a zero", "drawn entries", "equal rows", "the identity", "times 2**20"} <= {
        one.where for one in found
    }


def test_of_a_matrix_that_is_looked_at_in_part_the_rest_is_no_variable():
    texts = {one.name: one.text for one in cases(["cholesky_inverse", "cholesky_solve", "linalg.eigh"])}
    assert "x[0].tri" in texts["cholesky_inverse"]
    assert "x[1].tri" in texts["cholesky_solve"]
    assert "x[0] + x[0].mH" in texts["linalg.eigh"]


def test_what_torchs_tests_leave_out_is_there_and_no_other_name():
    assert any("gammainc" in one.text for one in cases(["special.gammainc"]))
    with pytest.raises(BadInput, match="have no tanhh"):
        next(cases(["tanhh"]))
