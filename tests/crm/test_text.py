import pytest

from crm.text import safe_cell


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-1+1", "-2-3", "\t=1", "\r=1", "+", "-", "+1=2"])
def test_formulas_become_text(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", "Bob", "+1 (202) 555-0100", "+49 30 5550100", "-3.5", "a=b", 7, None, 2.5])
def test_other_values_stay(value):
    assert safe_cell(value) == value
