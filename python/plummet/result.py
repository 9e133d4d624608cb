"""What the gate says of a function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

VERDICTS = {0: "right", 1: "wrong", 5: "untested", 6: "protocol", 7: "crash", 8: "expectation"}


@dataclass(frozen=True)
class Result:
    """A report: in words, and as the JSON of docs/gate-report.schema.json."""

    exit_code: int
    text: str
    json: dict[str, Any] = field(repr=False)

    @property
    def verdict(self) -> str:
        """``right``, or what is the matter: ``wrong``, ``untested``, ``protocol``, ``crash`` or
        ``expectation``."""
        return VERDICTS.get(self.exit_code, "fault")

    @property
    def q(self) -> float:
        """The largest distance from the truth, in bounds of the worst case: above 1 is wrong."""
        return max((float(q) for row in self.json["rows"] for q in row["q"].values()), default=0.0)

    @property
    def grade(self) -> str | None:
        """``A`` where every answer is within the statistical bound, ``B`` where every one is
        within that of the worst case; None where one is not, or none was judged."""
        rows = self.json["rows"]
        if self.exit_code != 0 or not rows:
            return None
        return "B" if any(row["grade_b"] for row in rows) else "A"

    @property
    def coverage(self) -> float:
        """The share of the operator's passes and dtypes that was tried."""
        operators = set(self.json["served"])
        missing = [name for name in self.json["uncovered"] if name.split(":")[0] in operators]
        tried = {(row["op"], row["dir"], row["dtype"]) for row in self.json["rows"]}
        return len(tried) / max(len(tried) + len(missing), 1)

    def __repr__(self) -> str:
        return self.text


class Failed(AssertionError):
    """A function is not right, or nothing can be said of it. The text is the report's."""

    def __init__(self, result: Result):
        super().__init__(result.text)
        self.result = result
