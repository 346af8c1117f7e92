"""Every rule, in the order in which a kit meets them."""

from __future__ import annotations

from .declaring import declares_the_same_twice, hooks, needs_make_sense, registers, says_what_it_is
from .distributing import is_typed, names_agree, requires_the_contract
from .importing import importing_does_nothing, imports_lightly, leaves_the_kernel_alone
from .living import (
    comes_up,
    is_swapped,
    is_well,
    leaves_nothing,
    satisfies_its_contract,
    survives_cancellation,
)
from .outcome import Rule
from .shapes import (
    actions_refuse_bad_requests,
    schemas_can_be_made,
    secrets_stay_hidden,
    settings_are_strict,
)

RULES: tuple[Rule, ...] = (
    *(
        Rule(check.__name__, check)
        for check in (
            imports_lightly,
            importing_does_nothing,
            leaves_the_kernel_alone,
            hooks,
            registers,
            declares_the_same_twice,
            says_what_it_is,
            needs_make_sense,
            settings_are_strict,
            schemas_can_be_made,
            secrets_stay_hidden,
            actions_refuse_bad_requests,
        )
    ),
    *(
        Rule(check.__name__, check, "candidate")
        for check in (
            comes_up,
            satisfies_its_contract,
            is_well,
            leaves_nothing,
            is_swapped,
            survives_cancellation,
        )
    ),
    *(Rule(check.__name__, check) for check in (names_agree, is_typed, requires_the_contract)),
)
