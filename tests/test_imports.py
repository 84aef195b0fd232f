"""Which folder may import which: the table of docs/architecture.md, checked against the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.draw_architecture import PACKAGES, PICTURE, Graph, draw, folder, imported, modules, reduce_transitively

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {  # a folder may import only the rows below it that it names
    "__main__": "flows cli",
    "flows": ("tasks cli operations planning accounting jobs scale problems errors"),
    "tasks": (
        "operations submission planning accounting outputs ledger records jobs concurrency storage redaction problems"
    ),
    "cli": (
        "operations planning accounting callbacks outputs ledger records jobs concurrency scale sandbox redaction "
        "problems errors"
    ),
    "api": "operations planning accounting outputs ledger jobs tables storage errors",
    "operations": (
        "exports submission planning collection accounting callbacks outputs ledger records jobs tables concurrency "
        "storage network scale problems errors"
    ),
    "submission": ("planning accounting ledger records jobs concurrency storage scale redaction problems errors"),
    "planning": (
        "accounting outputs ledger manifests records jobs attachments tables concurrency storage scale redaction "
        "batches lenient_json problems errors"
    ),
    "collection": "accounting callbacks outputs ledger records jobs tables concurrency storage scale errors",
    "exports": "jobs errors",
    "accounting": "outputs ledger records jobs storage errors",
    "callbacks": "ledger jobs tables storage scale redaction lenient_json problems errors",
    "outputs": "ledger records jobs tables storage scale redaction batches lenient_json problems errors",
    "ledger": "records jobs tables concurrency storage scale redaction errors",
    "manifests": "records storage batches lenient_json problems errors",
    "records": "attachments problems",
    "jobs": "attachments tables network storage scale redaction lenient_json problems errors",
    "attachments": "downloads network storage scale media problems errors",
    "downloads": "network scale",
    "tables": "storage scale lenient_json errors",
    "sandbox": "concurrency scale media problems",
    "concurrency": "storage scale errors",
    "storage": "errors",
    "scale": "network lenient_json media problems",
    "redaction": ("lenient_json"),
    "network": "",
    "batches": "",
    "lenient_json": "",
    "media": "",
    "problems": "",
    "errors": "",
}
SANDBOX_MAY_IMPORT = (
    "labelflow.scale",
    "labelflow.media",
    "labelflow.problems",
    "labelflow.concurrency.daemon_threads",
)
SOURCES = (*PACKAGES, "benchmarks")  # what the page describes
OWN_PACKAGES = {*PACKAGES, "demo", "tests", "benchmarks"}
OWN_MODULES = {name: path for package in PACKAGES for name, path in modules(package).items()}


def own_imports(module: str, *, on_load: bool = False) -> set[str]:
    """The modules of this repository that a module imports."""
    names = imported(OWN_MODULES[module], OWN_MODULES, on_load=on_load)
    return {name for name in names if name.partition(".")[0] in OWN_PACKAGES}


def modules_of(row: str) -> list[str]:
    """The modules of a row of the table."""
    return [name for name in OWN_MODULES if name != "labelflow" and folder(name) == row]


def is_part_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_table_has_every_folder() -> None:
    assert {folder(name) for name in OWN_MODULES if name != "labelflow"} == set(MAY_IMPORT)
    assert own_imports("labelflow") == {"labelflow.api"}
    assert not own_imports("labelflow", on_load=True)
    on_load = own_imports("labelflow.__main__", on_load=True)
    assert all(is_part_of(name, "labelflow.cli.commands") for name in on_load), "help must be fast"


@pytest.mark.parametrize("row", MAY_IMPORT)
def test_folder_imports_what_the_table_allows(row: str) -> None:
    allowed = {row, *MAY_IMPORT[row].split()}
    for module in modules_of(row):
        forbidden = {name for name in own_imports(module) if folder(name) not in allowed}
        assert not forbidden, f"{module} imports {forbidden}"


@pytest.mark.parametrize("row", MAY_IMPORT)
def test_table_allows_nothing_unused(row: str) -> None:
    used = {folder(name) for module in modules_of(row) for name in own_imports(module)}
    assert set(MAY_IMPORT[row].split()) <= used


def test_rows_import_only_rows_below_them() -> None:
    rows = list(MAY_IMPORT)
    for index, row in enumerate(rows):
        assert set(MAY_IMPORT[row].split()) <= set(rows[index + 1 :]), row


def test_modules_have_no_import_cycle() -> None:
    graph = {name: own_imports(name, on_load=True) & set(OWN_MODULES) for name in OWN_MODULES}
    assert not modules_in_cycles(graph)


def modules_in_cycles(graph: Graph) -> set[str]:
    """The nodes that are left when nodes without imports are removed repeatedly: cycles, and what imports them."""
    rest = dict(graph)
    while leaves := {name for name, targets in rest.items() if not targets & set(rest)}:
        rest = {name: targets for name, targets in rest.items() if name not in leaves}
    return set(rest)


def test_cycle_is_found() -> None:
    assert modules_in_cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"a", "b", "c"}
    assert not modules_in_cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_architecture_page_has_the_same_table() -> None:
    section = (ROOT / "docs" / "architecture.md").read_text().partition("## Folders")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")] for line in section.splitlines() if line.startswith("| `")]
    table = {re.sub(r"`(?:labelflow/)?(\w+)(?:/|\.py)`", r"\1", row[1]): row[3].replace("–", "") for row in cells}
    assert list(table) == list(MAY_IMPORT)
    assert {row: set(allowed.split(", ")) - {""} for row, allowed in table.items()} == {
        row: set(allowed.split()) for row, allowed in MAY_IMPORT.items()
    }


def test_architecture_page_uses_names_of_the_code() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    code = "".join(path.read_text() for package in SOURCES for path in sorted((ROOT / package).rglob("*.py")))
    names = set(re.findall(r"`([A-Z][A-Za-z]{3,}|[A-Z_]{4,}|[a-z]+_[a-z_]+)`", page))
    state_files = set(re.findall(r"_ledger/[a-z-]+(?:\.json|/)", page))
    assert len(names) > 20
    assert len(state_files) > 10
    assert not {name for name in names if not re.search(rf"\b{name}\b", code)}
    assert not {name for name in state_files if f'"{name}"' not in code}


def test_lazy_imports_are_found(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nimport a.b\nif TYPE_CHECKING:\n    import c\n"
        "class C:\n    from d import e, f\n    def m(self):\n        import g\n"
    )
    assert imported(path, ["d.e"]) == {"typing", "a.b", "c", "d.e", "d", "g"}
    assert imported(path, ["d.e", "d.f"], on_load=True) == {"typing", "a.b", "d.e", "d.f"}


def test_picture_omits_arrows_that_others_imply() -> None:
    graph: Graph = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}
    assert reduce_transitively(graph) == {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}


def test_architecture_picture_is_current() -> None:
    assert PICTURE.read_text() == draw(), "run `make architecture`"


def test_sandbox_imports_little_of_labelflow() -> None:
    for module in modules_of("sandbox"):
        for name in own_imports(module):
            assert any(is_part_of(name, allowed) for allowed in ("labelflow.sandbox", *SANDBOX_MAY_IMPORT)), module


def test_core_does_not_load_prefect() -> None:
    """Not even indirectly. The commands in cli/ may: they start Prefect's server."""
    names = [name for name in OWN_MODULES if is_part_of(name, "labelflow") and folder(name) != "cli"]
    names = [name for name in names if not name.endswith("__main__")]
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
    code += "loaded = {name.split('.')[0] for name in sys.modules} & {'prefect', 'flows', 'tasks'}\n"
    code += "sys.exit(str(loaded) if loaded else 0)"
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr


def test_no_file_in_flows_shadows_a_package() -> None:
    """Prefect puts flows/ first on sys.path for file entrypoints: such a file would hide the package."""
    installed = {
        *sys.stdlib_module_names,
        *OWN_PACKAGES,
        "prefect",
        "pandas",
        "pyarrow",
        "boto3",
        "requests",
        "rich",
        "yaml",
    }
    assert not {path.stem for path in modules("flows").values()} & installed
