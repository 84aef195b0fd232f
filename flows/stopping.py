"""The state of a flow run that was stopped."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints

from prefect.states import Cancelled

from labelflow.errors import StopRequested

P = ParamSpec("P")
R = TypeVar("R")


def canceled_when_stopped(steps: Callable[P, R]) -> Callable[P, R]:
    """Make a flow end as Cancelled, not as Failed, when Ctrl-C or a signal has stopped it. Put it below `@flow`."""

    @wraps(steps)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return steps(*args, **kwargs)
        except StopRequested:
            state: Any = Cancelled(message="Stopped by a signal. Created tasks are recorded; run it again to continue.")
            return cast("R", state)

    # Prefect reads the parameters from here: it does not know the module in which the annotations are defined.
    run.__signature__ = inspect.signature(steps, eval_str=True)  # type: ignore[attr-defined]
    run.__annotations__ = get_type_hints(steps, include_extras=True)
    return run
