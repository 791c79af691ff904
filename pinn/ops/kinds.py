"""Physics that is chosen by name: propagators, detector responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pinn.errors import ConfigError

T = TypeVar("T")


class Kinds(Generic[T]):
    """Factories by name.

    A choice is a name, or a name with the numbers that its factory takes: `far`, `blur:1.5`. So
    one short text in a configuration, an archive or a result says all of it.

    Args:
        option: the option that makes the choice, for messages.
        kinds: what there is from the start.
    """

    def __init__(self, option: str, **kinds: Callable[..., T]) -> None:
        self._option, self._kinds = option, dict(kinds)

    def register(self, name: str, factory: Callable[..., T]) -> None:
        """Make `factory(*numbers)` known as `name`; a name that is in use changes hands."""
        self._kinds[name] = factory

    def __call__(self, choice: str) -> T:
        """What a text such as `far` or `blur:1.5` names.

        Raises:
            ConfigError: an unknown name, or numbers that it does not take.
        """
        name, *numbers = choice.split(":")
        if name not in self._kinds:
            raise ConfigError(
                f"{self._option} is {choice[:40]!r}, but the kinds are: "
                f"{', '.join(sorted(self._kinds))}"
            )
        try:
            return self._kinds[name](*map(float, numbers))
        except (TypeError, ValueError):
            raise ConfigError(
                f"{self._option} is {choice[:40]!r}, but {name} does not take these numbers"
            ) from None
