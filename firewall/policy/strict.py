"""The base of every mapping of the policy language."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """No unknown keys, no conversions: what is written is what is meant."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)
