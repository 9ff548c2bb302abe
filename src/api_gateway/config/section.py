"""What all sections of the configuration have in common."""

from __future__ import annotations

from pydantic import BaseModel, ByteSize, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """Base of every section: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _bool_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        # Python counts True as 1, so that `port: yes` would listen on port 1.
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float, ByteSize):
            raise ValueError(f"expected a number, got {str(value).lower()}")
        return value
