"""What a dataset's fields must hold, and rows checked against it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfew_pl.errors import UserError


class FieldType(ABC):
    """What a field holds. Text files hold text only, so each type reads its values from text too."""

    @abstractmethod
    def read(self, value: object) -> object:
        """The value as the dataset on the hub has it.

        Raises:
            ValueError: it is none of this type; the message says what is expected.
        """


@dataclass(frozen=True)
class Text(FieldType):
    """A text."""

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("a text")
        return value


@dataclass(frozen=True)
class Texts(FieldType):
    """A list of texts; in a CSV file, as JSON."""

    count: int

    def read(self, value: object) -> list[str]:
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not (isinstance(found, list) and len(found) == self.count and all(isinstance(t, str) for t in found)):
            raise ValueError(f"a list of {self.count} texts")
        return found


@dataclass(frozen=True)
class Number(FieldType):
    """A whole number."""

    least: int = 0
    most: int | None = None

    def read(self, value: object) -> int:
        number = _whole(value)
        if number is None or number < self.least or (self.most is not None and number > self.most):
            raise ValueError(f"a whole number from {self.least}" + (f" to {self.most}" if self.most else ""))
        return number


@dataclass(frozen=True)
class Word(FieldType):
    """One of a few texts, digits among them."""

    words: tuple[str, ...]

    def read(self, value: object) -> str:
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
        if text not in self.words:
            raise ValueError(f"one of {', '.join(map(repr, self.words))}")
        return text


@dataclass(frozen=True)
class Label(FieldType):
    """The index of a class; its name is taken too."""

    names: tuple[str, ...]

    def read(self, value: object) -> int:
        if value in self.names:
            return self.names.index(str(value))
        number = _whole(value)
        if number is None or not 0 <= number < len(self.names):
            expected = ", ".join(f"{index} ({name})" for index, name in enumerate(self.names))
            hidden = "; -1 marks a split without labels" if number == -1 else ""
            raise ValueError(f"one of {expected}{hidden}")
        return number


TEXT = Text()


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return int(value)  # Parquet and JSON may keep two classes so
    if isinstance(value, int):
        return value
    try:
        return int(value) if isinstance(value, str) else None
    except ValueError:
        return None


def conform(rows: Iterable[Mapping[str, Any]], types: Mapping[str, FieldType], where: str) -> list[dict[str, Any]]:
    """The rows with the fields of the schema alone, each of its type.

    Args:
        rows: as a file holds them.
        types: of the fields, by name.
        where: the rows come from, for messages.

    Raises:
        UserError: a field is missing, or holds something else; the message says which, where and what is expected.
    """
    conforming = []
    for number, row in enumerate(rows, 1):
        missing = [name for name in types if name not in row]
        if missing:
            raise UserError(f"{where} lacks {', '.join(missing)}; it has {', '.join(map(str, row))}")
        fields = {}
        for name, type_ in types.items():
            try:
                fields[name] = type_.read(row[name])
            except ValueError as error:
                raise UserError(f"{where}, row {number}: {name} is {_shown(row[name])}, expected {error}") from error
        conforming.append(fields)
    return conforming


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
