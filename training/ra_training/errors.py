"""What training refuses, with the remedy."""

from __future__ import annotations


class TrainingError(Exception):
    """A refusal that a person can act on.

    Attributes:
        code: stable, for scripts; text: what is wrong; hint: what to do about it.
    """

    def __init__(self, *, code: str, text: str, hint: str) -> None:
        super().__init__(f"{text}. {hint[:1].upper()}{hint[1:]}.")
        self.code = code
        self.text = text
        self.hint = hint
