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
    found = list(cases(["cholesky_inverse", "cholesky_solve", "linalg.eigh"]))
    texts = {one.name: one.text for one in found if not one.is_complex}
    complex_texts = {one.name: one.text for one in found if one.is_complex}
    assert "x[0].tri" in texts["cholesky_inverse"]
    assert "x[1].tri" in texts["cholesky_solve"]
    assert "x[0] + x[0].mH" in texts["linalg.eigh"]
    assert "torch.complex(x[0], x[1]) + torch.complex(x[0], x[1]).mH" in complex_texts["linalg.eigh"]


def test_an_operator_on_complex_numbers_is_a_function_of_both_parts():
    found = [one for one in cases(["mul", "angle", "linalg.eigvalsh"]) if one.is_complex]
    assert {one.name for one in found} == {"mul", "angle", "linalg.eigvalsh"}
    assert {(one.dtype, one.cast(torch.float32).dtype) for one in found} == {("complex128", "complex64")}
    for one in found:
        assert not any(x.is_complex() for x in one.point)
        assert one.function()(one.point).shape == ()
    re, im, *_ = (torch.tensor([v], dtype=torch.float64) for v in (2.0, 3.0))
    product = next(one for one in found if one.name == "mul" and len(one.point) == 4)
    by_i = [re, im, torch.zeros_like(re), torch.ones_like(re)]  # (2 + 3i) i = -3 + 2i, weighed by 1 and 2
    assert float(product.function()(by_i)) == -3 + 2 * 2


def test_a_call_is_found_for_operators_whose_tests_write_it_otherwise():
    """Arguments in another order, a property, a masked operation without a mask, samples that are all large."""
    asked = ["einsum", "where", "polygamma", "mT", "masked.mean", "nn.functional.gelu", "flip"]
    texts = {one.name: one.text for one in cases(asked) if not one.is_complex}
    assert set(texts) == set(asked)
    assert "torch.polygamma(" in texts["polygamma"]
    assert "x[0].mT" in texts["mT"]
    assert "x[0].mT(" not in texts["mT"]


def test_what_torchs_tests_leave_out_is_there_and_no_other_name():
    assert any("gammainc" in one.text for one in cases(["special.gammainc"]))
    with pytest.raises(BadInput, match="have no tanhh"):
        next(cases(["tanhh"]))
