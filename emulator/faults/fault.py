"""What all faults share: where one strikes, and how often."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """What all kinds share."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    kind: str
    target: str = Field(
        default="*", min_length=1, max_length=256, description="glob; `*` and `?` as in a shell"
    )
    nth: int = Field(
        default=1, ge=1, description="the first occasion that it strikes; 1 is the next one"
    )
    times: int = Field(
        default=1, ge=0, description="how many occasions from there on; 0: until removed"
    )
