"""The style and the split of recordings, from a table that people write."""

from __future__ import annotations

import csv
import fnmatch
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from dancenet.data.mocap.formats.text import read_text
from dancenet.support.errors import UserError
from dancenet.support.names import quoted, visible

COLUMNS = ("file", "style", "split")
SPLITS = ("train", "val")

_LARGEST = 4 << 20  # bytes of a table
_DELIMITERS = ",;\t"  # spreadsheets write semicolons where the comma is the decimal sign


class Labels:
    """The style and the split of recordings, from a CSV file.

    Its first line is `file,style` or `file,style,split`. A file is a name or a pattern such as
    `60_*.bvh`. The first line that matches a recording counts; an empty field is unknown.
    """

    def __init__(self, rows: Sequence[tuple[str, str | None, str | None]], source: str) -> None:
        self._rows = tuple(rows)
        self._used: set[str] = set()
        self.source = source

    @classmethod
    def read(cls, path: str | Path) -> Labels:
        """Reads a CSV file, with commas, semicolons or tabs, in any encoding.

        Raises:
            UserError: it cannot be read, or a line is not understood.
        """
        try:
            text, _ = read_text(path, largest=_LARGEST)
        except UserError as error:
            raise UserError(f"The labels {quoted(path)} cannot be read: {error}") from error
        lines = list(_lines(path, text))
        head = [name.strip().lower() for name in lines[0][1]] if lines else []
        if head not in (list(COLUMNS), list(COLUMNS[:2])):
            raise UserError(
                f"The first line of the labels {quoted(path)} must be {','.join(COLUMNS)} (the "
                f"last may be left out); received {visible(','.join(head))[:80]!r}."
            )
        rows: list[tuple[str, str | None, str | None]] = []
        said: dict[str, tuple[str | None, str | None]] = {}
        for number, line in lines[1:]:
            fields = [field.strip() for field in line]
            while len(fields) > len(head) and not fields[-1]:
                fields.pop()
            if not any(fields):
                continue
            pattern, style, split = (*fields, "", "")[:3]
            pattern, split = pattern.replace("\\", "/"), split.lower()
            if len(fields) > len(head) or not pattern or split not in ("", *SPLITS):
                raise UserError(
                    f"Line {number} of the labels {quoted(path)} is not {','.join(head)} (a split "
                    f"is train or val; a style with a comma stands in quotes): "
                    f"{visible(','.join(line))[:80]!r}."
                )
            known = (style or None, split or None)
            if said.setdefault(pattern, known) != known:
                raise UserError(
                    f"Line {number} of the labels {quoted(path)} says of {quoted(pattern)} another "
                    "style or split than a line before it; leave one out."
                )
            rows.append((pattern, *known))
        return cls(rows, quoted(path))

    def of(self, path: Path) -> tuple[str | None, str | None]:
        """Returns the style and the split of a recording."""
        for pattern, style, split in self._rows:
            if _fits(path, pattern):
                self._used.add(pattern)
                return style, split
        return None, None

    @property
    def unused(self) -> list[str]:
        """The patterns that no recording has matched so far."""
        return [pattern for pattern, _, _ in self._rows if pattern not in self._used]


def _lines(path: str | Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the number and the fields of each line that holds anything."""
    text = text.lstrip("\ufeff\n")
    first, _, rest = text.partition("\n")
    delimiter = max(_DELIMITERS, key=first.count)
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        delimiter, text = first.strip()[4], rest  # as Excel says it
    reader = csv.reader(text.split("\n"), delimiter=delimiter, skipinitialspace=True)
    try:
        for line in reader:
            if any(field.strip() for field in line):
                yield reader.line_num, line
    except csv.Error as error:
        raise UserError(
            f"Line {reader.line_num} of the labels {quoted(path)} is no line of a table "
            f"({visible(str(error))}); is a quotation mark missing?"
        ) from error


def _fits(path: Path, pattern: str) -> bool:
    """Tells whether a pattern means a file; neither capitals nor the form of accents count."""
    wanted = _folded(pattern.removeprefix("./"))
    name, whole = _folded(path.name), _folded(path.as_posix())
    if name == wanted or whole == wanted or whole.endswith(f"/{wanted}"):
        return True  # a name may hold [ and ], which patterns use
    return fnmatch.fnmatchcase(name, wanted) or Path(whole).match(wanted)


def _folded(name: str) -> str:
    # Some systems store an accent apart from its letter.
    return unicodedata.normalize("NFC", name).lower()
