"""What the columns of a folder's tables are: ids, labels, a count of the rows, or features."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmc.data.formats.arrays import Contents, as_ids, counts_up, is_id_name, is_label_name
from cmc.data.formats.sniff import TABLES, files_in
from cmc.data.formats.tables import Table, is_missing, is_number, read_table
from cmc.errors import UserError
from cmc.utils.safe_read import text_array

_FEW = 2  # columns over which numbers may count up by chance


class _Ids(NamedTuple):
    """A column that may be ids: its position, its values, and whether it only counts the rows from 0 or 1."""

    place: int
    values: NDArray[np.str_]
    plain: bool


def read_table_folder(path: Path, ids: str | None = None) -> Contents:
    """Read all tables of a folder, each named by its file.

    Args:
        path: the folder.
        ids: the column of ids, by its heading or its number, counted from 1; None to find it.

    Raises:
        UserError: A table is damaged; a cell of it is not what it must be; ids that are in doubt, blank or twice there.
    """
    files = next((found for suffixes in TABLES if (found := files_in(path, *suffixes))), [])
    tables = {file.stem: read_table(file) for file in files}
    if len(tables) < len(files):
        twice = next(stem for stem, n in Counter(file.stem for file in files).items() if n > 1)
        raise UserError(f"{path}: two tables are called {twice!r}; rename one")
    held = Contents({})
    tables = _settled(tables, held)
    columns = _ids(path, tables, ids)
    known = {each for found in columns.values() if not found.plain for each in found.values.tolist()}
    counts = {name for name, each in columns.items() if each.plain and known.isdisjoint(each.values.tolist())}
    for name, each in columns.items():
        if name in counts:
            held.remarks.append(f"{name}: {_column(tables[name], each.place)} counts the rows, and is left out")
    for name, table in tables.items():
        _take(held, name, table, columns.get(name), name in counts)
    return held


def _settled(tables: dict[str, Table], held: Contents) -> dict[str, Table]:
    """Tell whether a first line in doubt is a heading: by the number of rows that the other tables have.

    Where no table is free of doubt, numbers that count up over three columns or more are a heading.
    """
    sure = {table.n_rows for table in tables.values() if not (table.counted or table.doubtful)}
    wide = {name for name, table in tables.items() if table.counted and len(table.places) + len(table.texts) > _FEW}
    if not sure:
        sure = {tables[name].n_rows - 1 for name in wide}
    settled = dict(tables)
    for name, table in tables.items():
        fits, one_more = table.n_rows in sure, table.n_rows - 1 in sure
        told = "of numbers that count up"
        if table.doubtful:
            told, *others = table.texts[0]
            one_more = one_more and told not in others
        if (table.counted or table.doubtful) and not fits and (one_more or name in wide):
            settled[name] = table.without_first()
            held.remarks.append(f"{name}: the first line, {told}, is taken for a heading")
    return settled


def _ids(path: Path, tables: dict[str, Table], told: str | None) -> dict[str, _Ids]:
    """Table -> its column of ids, where it has one."""
    if told is not None:
        found = {name: _told(table, told) for name, table in tables.items()}
        if not any(found.values()):
            held = ", ".join(dict.fromkeys(h for table in tables.values() for h in (table.headings or ())))
            raise UserError(f"{path}: data.ids={told}: no table has such a column (headings: {held[:200] or 'none'})")
        return {name: _checked(tables[name], each) for name, each in found.items() if each}
    found = {name: _found(table) for name, table in tables.items()}
    return {name: each for name, each in found.items() if each} | _same_first_columns(tables, found)


def _told(table: Table, told: str) -> _Ids | None:
    width = len(table.places) + len(table.texts)
    named = [place for place in range(width) if table.headings and table.heading(place) == told]
    if not named and told.isdecimal() and 0 < int(told) <= width and (width > 1 or not is_label_name(table.file.stem)):
        named = [int(told) - 1]
    return _Ids(named[0], _values(table, named[0]), False) if named else None


def _found(table: Table) -> _Ids | None:
    """The column of ids that a table has by its heading, its text, or because it counts."""
    width = len(table.places) + len(table.texts)
    if width < 2:
        return None
    named = [place for place in range(width) if table.headings and is_id_name(table.heading(place))]
    texts = [
        place
        for place, cells in table.texts.items()
        if place not in named and not is_label_name(table.heading(place)) and len(set(cells)) == len(cells)
    ]
    candidates = [place for place in named if len(set(_values(table, place).tolist())) == table.n_rows] or named[:1]
    candidates += [place for place in texts if not (is_label_name(table.file.stem) and candidates)]
    if len(candidates) > 1 and "" in (headings := [table.heading(place) for place in candidates]):
        left = [place for place in candidates if not (table.heading(place) == "" and _counting(table, place))]
        candidates = left if len(left) < len(headings) and left else candidates
    if len(candidates) > 1:
        said = " and ".join(_column(table, place) for place in candidates)
        raise UserError(f"{table.file}: both {said} could be ids; say which, data.ids={_call(table, candidates[0])}")
    if candidates:
        plain = not table.heading(candidates[0]) and _counting(table, candidates[0])
        return _checked(table, _Ids(candidates[0], _values(table, candidates[0]), plain))
    if 0 in table.places and counts_up(table.numbers[:, table.places.index(0)]):
        return _Ids(0, _values(table, 0), _counting(table, 0))
    return None


def _counting(table: Table, place: int) -> bool:
    """Whether a column counts its rows from 0 or 1."""
    cells = _values(table, place)
    return any(np.array_equal(cells, np.arange(start, start + len(cells)).astype(str)) for start in (0, 1))


def _same_first_columns(tables: dict[str, Table], found: dict[str, _Ids | None]) -> dict[str, _Ids]:
    """First columns of whole numbers that are the same set in every table, each once, in whatever order."""
    firsts = {
        name: _Ids(0, _values(table, 0), False)
        for name, table in tables.items()
        if found[name] is None and len(table.places) > 1 and 0 in table.places and _whole(table.numbers[:, 0])
    }
    whole = [name for name, table in tables.items() if len(table.places) > 1]
    if len(firsts) < 2 or len(firsts) < len(whole):
        return {}
    sets = [set(each.values.tolist()) for each in firsts.values()]
    once = all(len(of) == len(each.values) for of, each in zip(sets, firsts.values(), strict=True))
    return firsts if once and all(of == sets[0] for of in sets) and len(sets[0]) > 2 else {}


def _whole(values: NDArray[np.float64]) -> bool:
    return bool((values == np.rint(values)).all())


def _values(table: Table, place: int) -> NDArray[np.str_]:
    if place in table.texts:
        cells = [
            str(int(float(c))) if "." in c and is_number(c) and float(c).is_integer() else c for c in table.texts[place]
        ]
        return text_array(table.file, cells)
    return as_ids(table.numbers[:, table.places.index(place)])


def _checked(table: Table, ids: _Ids) -> _Ids:
    """Refuse ids that are blank or twice there."""
    cells = ids.values.tolist()
    if "" in cells:
        raise UserError(
            f"{table.file}: {_column(table, ids.place)} is blank in row {cells.index('') + 1}; give every sample its id"
        )
    if len(set(cells)) < len(cells):
        twice, n = Counter(cells).most_common(1)[0]
        raise UserError(
            f"{table.file}: the id {twice!r} is there {n} times ({_column(table, ids.place)}); give every sample one "
            "row, or name another column, data.ids=COLUMN"
        )
    return ids


def _take(held: Contents, name: str, table: Table, ids: _Ids | None, is_count: bool) -> None:
    """Put a table's columns where they belong."""
    of_labels = is_label_name(name)
    taken = {ids.place} if ids else set()
    labels = [p for p in _places(table) if p not in taken and table.headings and is_label_name(table.heading(p))]
    if of_labels and not labels and len(left := [p for p in _places(table) if p not in taken]) == 1:
        labels = left
    kept = [i for i, place in enumerate(table.places) if place not in {*taken, *labels}]
    others = [place for place in table.texts if place not in {*taken, *labels}]
    alone = of_labels and len(labels) == 1
    names = {place: name if alone else f"{name}:{_call(table, place)}" for place in labels}
    single = len(others) == 1 and not kept and not labels
    names |= {place: name if single else f"{name}:{_call(table, place)}" for place in others}
    arrays: dict[str, NDArray[Any]] = {names[place]: _labels(table, place) for place in names}
    if kept and not (of_labels and labels):
        arrays[name] = table.numbers if len(kept) == table.numbers.shape[1] else table.numbers[:, kept]
        if table.headings:
            held.headings[name] = text_array(table.file, [table.heading(table.places[i]) for i in kept])
    held.arrays |= arrays
    if ids and not is_count:
        for array in arrays:
            held.ids[array] = ids.values
            held.corners[array] = table.heading(ids.place)


def _places(table: Table) -> list[int]:
    return sorted([*table.places, *table.texts])


def _labels(table: Table, place: int) -> NDArray[Any]:
    """Labels as numbers, of NaN where there is none, or as class names, which are then blank."""
    if place not in table.texts:
        return table.numbers[:, table.places.index(place)]
    cells = ["" if is_missing(cell) else cell for cell in table.texts[place]]
    if all(not cell or is_number(cell) for cell in cells) and any(cells):
        return np.array([float(cell) if cell else np.nan for cell in cells])
    return text_array(table.file, cells)


def _column(table: Table, place: int) -> str:
    heading = table.heading(place)
    return f"the column {heading!r}" if heading else f"column {place + 1}"


def _call(table: Table, place: int) -> str:
    """What data.labels and data.ids call a column."""
    return table.heading(place) or str(place + 1)
