"""How the package is laid out, in figures that anyone can count again: ``python -m experiments.house [CHECKOUT]``.

A room is a module or a package directly below ``cmc/``. An arrow leads from a room to one that it imports from,
wherever the import stands, and is counted once. Lines are those of Python files (stubs apart), with blank ones,
comments and docstrings; a function's are those from its ``def`` to its end. Nothing is imported.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path
from statistics import median
from typing import NamedTuple

HOME = Path(__file__).resolve().parents[1]
Graph = Mapping[str, set[str]]  # a name -> the names that it imports from


class Source(NamedTuple):
    """A Python file of the package: its dotted name, lines and syntax tree."""

    name: str
    path: Path
    n_lines: int
    tree: ast.Module


def main() -> None:
    """Print the figures, a line each."""
    parser = argparse.ArgumentParser(prog="python -m experiments.house", description=__doc__.partition(":")[0])
    parser.add_argument("checkout", nargs="?", type=Path, default=HOME, help="a folder that holds cmc/; default: this")
    folder = parser.parse_args().checkout / "cmc"
    if not (folder / "__init__.py").is_file():
        parser.error(f"{folder} is no package: it has no __init__.py")
    for name, value in figures(folder).items():
        print(f"{name:<44} {value}")


def figures(folder: Path) -> dict[str, str]:
    """What is counted -> the count.

    Args:
        folder: of the package.
    """
    sources = read(folder)
    sizes = sorted(source.n_lines for source in sources)
    longest = max(sources, key=lambda source: source.n_lines)
    functions = sorted(length for source in sources for length in lengths(source.tree))
    modules = imports(sources)
    rooms = between_rooms(modules)
    return {
        "modules at the root (without __init__)": str(sum(1 for path in folder.glob("*.py") if path.stem[0] != "_")),
        "packages at the root": str(sum(1 for _ in folder.glob("*/__init__.py"))),
        "Python files": str(len(sources)),
        "lines": f"{sum(sizes):,}",
        "longest file": f"{longest.n_lines} ({longest.path.relative_to(folder.parent)})",
        "files over 350 lines": str(sum(size > 350 for size in sizes)),
        "median file, lines": f"{median(sizes):g}",
        "functions": f"{len(functions):,}",
        "median function / 95 %, lines": f"{median(functions):g} / {functions[ceil(0.95 * len(functions)) - 1]}",
        "imports between modules": str(sum(map(len, modules.values()))),
        "arrows between rooms": str(sum(map(len, rooms.values()))),
        "cycles of modules": _told(cycles(modules)),
        "cycles of rooms": _told(cycles(rooms)),
    }


def _told(found: list[set[str]]) -> str:
    return " ".join([str(len(found)), *(f"({', '.join(sorted(cycle))})" for cycle in found)])


def read(folder: Path) -> list[Source]:
    """Every Python file of a package, by name."""
    sources = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        text = path.read_text(encoding="utf-8")
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources.append(Source(name, path, len(text.splitlines()), ast.parse(text)))
    return sources


def lengths(tree: ast.Module) -> Iterator[int]:
    """Lines of every function and method, those inside of others too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def imports(sources: list[Source]) -> dict[str, set[str]]:
    """Module -> the package's modules that it names in an import, itself apart."""
    names = {source.name for source in sources}
    return {source.name: set(_named(source, names)) - {source.name} for source in sources}


def _named(source: Source, names: set[str]) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (name for alias in node.names if (name := alias.name) in names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(source, node)
            for alias in node.names:
                below = f"{base}.{alias.name}"
                if below in names or base in names:
                    yield below if below in names else base


def _base(source: Source, node: ast.ImportFrom) -> str:
    """What an import takes from, with its leading dots resolved."""
    if not node.level:
        return node.module or ""
    package = source.name if source.path.name == "__init__.py" else source.name.rpartition(".")[0]
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def between_rooms(modules: Graph) -> dict[str, set[str]]:
    """The same between rooms; the package's own ``__init__`` is none."""
    rooms: dict[str, set[str]] = {}
    for module, others in modules.items():
        if here := _room(module):
            rooms.setdefault(here, set()).update({there for other in others if (there := _room(other))} - {here})
    return rooms


def _room(module: str) -> str:
    return ".".join(module.split(".")[1:2])


def cycles(graph: Graph) -> list[set[str]]:
    """Sets of names that all reach each other, of two names at least."""
    reached = {name: _reach(graph, name) for name in graph}
    found: list[set[str]] = []
    for name in graph:
        together = {other for other in reached[name] if name in reached.get(other, ())}
        if together and not any(name in cycle for cycle in found):
            found.append(together | {name})
    return found


def _reach(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph.get(waiting.pop(), ()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


if __name__ == "__main__":
    main()
