"""The hook specifications are the manual; these tests hold them to its form."""

import ast
import inspect
import re
from typing import Any

import pytest
from oneiric_hookspecs import Form, Spec, specs

from oneiric import assemble

SPECS = [each for each in vars(specs).values() if isinstance(each, Spec)]
FORMS = {
    r"oneiric_check_\w+": {Form.JUDGES},
    r"oneiric_around_\w+": {Form.WRAPS},
    r"oneiric_\w+(ed|ing|_back)": {Form.OBSERVES},
    r"oneiric_\w+s": {Form.DECLARES},
    r"oneiric_\w+": {Form.DECIDES, Form.PERFORMS},
}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_form_of_a_name_tells_the_policy(spec: Spec[..., Any, Any]) -> None:
    """Nobody has to look up how a hook is called."""
    expected = next(forms for pattern, forms in FORMS.items() if re.fullmatch(pattern, spec.name))

    assert spec.form in expected


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_spec_says_when_what_errors_order_and_since(spec: Spec[..., Any, Any]) -> None:
    """Every docstring has the fixed sections, in the fixed order."""
    doc = inspect.getdoc(spec.function) or ""
    sections = re.findall(r"^(Args|Returns|Raises|Ordering|Since|Example):$", doc, re.MULTILINE)
    expected = ["Args", "Returns", "Raises", "Ordering", "Since", "Example"]

    assert sections == (expected if spec.arguments else expected[1:])
    assert re.search(r"^Called ", doc, re.MULTILINE)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_spec_names_each_of_its_arguments(spec: Spec[..., Any, Any]) -> None:
    """No argument is left to be guessed."""
    doc = inspect.getdoc(spec.function) or ""

    assert [name for name in spec.arguments if f"    {name}: " not in doc] == []


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_example_of_a_spec_can_be_pasted(spec: Spec[..., Any, Any]) -> None:
    """It parses, implements the hook it stands under, and takes only arguments that there are."""
    example = inspect.cleandoc((inspect.getdoc(spec.function) or "").split("::", 1)[1])
    function = ast.parse(example).body[0]
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)

    assert function.name == spec.name
    assert {argument.arg for argument in function.args.args} <= set(spec.arguments)
    assert spec.is_async or isinstance(function, ast.FunctionDef)
    assert [ast.unparse(decorator) for decorator in function.decorator_list] == ["hookimpl"]


def test_every_hook_of_the_contract_is_declared_to_a_runtime() -> None:
    """What the contract offers can be implemented."""
    runtime = assemble({}, environment=False)

    assert {hook.name for hook in runtime.hooks.describe()} == {spec.name for spec in SPECS}
