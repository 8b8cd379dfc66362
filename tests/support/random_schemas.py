"""Random JSON schemas of what clients send; equal seeds make equal schemas."""

from __future__ import annotations

from typing import Any

import torch


class SchemaMaker:
    """Make random schemas of what clients send: nested objects, choices, references, bounds."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.num_names = 0

    def make(self) -> dict[str, Any]:
        schema = self.any_of_kinds(depth=3)
        schema["$defs"] = {
            "leaf": self.scalar(),
            "tree": {
                "type": "object",
                "properties": {"value": self.scalar(), "next": {"$ref": "#/$defs/tree"}},
                "required": ["value"],
                "additionalProperties": False,
            },
        }
        return schema

    def below(self, limit: int) -> int:
        return int(torch.randint(limit, (1,), generator=self.generator))

    def any_of_kinds(self, depth: int) -> dict[str, Any]:
        makers = [self.scalar, self.reference]
        if depth > 0:
            makers += [lambda: self.object(depth), lambda: self.array(depth)] * 2
            makers += [lambda: self.union(depth)]
        return makers[self.below(len(makers))]()

    def object(self, depth: int) -> dict[str, Any]:
        names = [self.name() for _ in range(self.below(5))]
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: self.any_of_kinds(depth - 1) for name in names},
            "required": [name for name in names if self.below(2)],
            "title": "Thing",
        }
        match self.below(4):
            case 0:
                schema["additionalProperties"] = False
            case 1:
                schema["additionalProperties"] = self.scalar()
            case 2:
                schema["patternProperties"] = {"^x_[a-z]{1,3}$": self.scalar()}
                schema["additionalProperties"] = False
        return schema

    def array(self, depth: int) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array", "items": self.any_of_kinds(depth - 1)}
        if self.below(2):
            schema["minItems"] = self.below(3)
            schema["maxItems"] = schema["minItems"] + self.below(3)
        if self.below(4) == 0:
            schema["prefixItems"] = [self.scalar(), self.scalar()]
            schema.pop("maxItems", None)
        return schema

    def union(self, depth: int) -> dict[str, Any]:
        match self.below(3):
            case 0:
                return {"anyOf": [self.any_of_kinds(depth - 1), {"type": "null"}]}
            case 1:
                kinds = [{"kind": {"const": name}} for name in ("cat", "dog", 'ü"\\')]
                variants = [
                    {"type": "object", "properties": kind, "required": ["kind"]} for kind in kinds
                ]
                return {"oneOf": variants, "discriminator": {"propertyName": "kind"}}
            case _:
                return {"allOf": [{"type": "string", "minLength": 2}, {"maxLength": 9}]}

    def reference(self) -> dict[str, Any]:
        return {"$ref": ("#/$defs/leaf", "#/$defs/tree")[self.below(2)]}

    def scalar(self) -> dict[str, Any]:
        low = self.below(100) - 50
        choices: list[dict[str, Any]] = [
            {"type": "string"},
            {"type": "string", "minLength": self.below(4), "maxLength": 4 + self.below(20)},
            {"type": "string", "pattern": "^[A-Z]{2}-\\d{1,4}(x|yz)*$"},
            {"type": "string", "format": ("date", "uuid", "time", "uri", "odd")[self.below(5)]},
            {"type": "integer"},
            {"type": "integer", "minimum": low, "maximum": low + self.below(3000)},
            {"type": "integer", "multipleOf": 1 + self.below(9)},
            {"type": "number", "exclusiveMinimum": low, "maximum": low + 0.5 + self.below(20)},
            {"type": ["boolean", "null"], "default": None},
            {"enum": ["a", 1, None, {"deep": [True, 2.5]}, "é😀"]},
            {"const": ["x", {"y": low}]},
        ]
        return choices[self.below(len(choices))]

    def name(self) -> str:
        self.num_names += 1
        stems = ("name", "a b", 'quote"d', "größe", "$ref", "enum", "items")
        return f"{stems[self.below(len(stems))]}{self.num_names}"
