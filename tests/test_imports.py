"""Imports point one way, and the core knows no Prefect. Source: docs/architecture.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "labelflow": set(),
    "tasks": {"labelflow"},
    "flows": {"tasks", "labelflow"},
}
OWN_PACKAGES = {*MAY_IMPORT, "demo", "tests", "benchmarks"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ["tasks", "flows"])
def test_imports_follow_the_layer_table(package: str) -> None:
    assert modules(package)
    for path in modules(package):
        foreign = (imported(path) & OWN_PACKAGES) - {package} - MAY_IMPORT[package]
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_core_never_imports_prefect_even_indirectly() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in modules("labelflow")
        if "cli" not in path.parts
    ]
    names = [name for name in names if not name.endswith("__main__")]
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
    code += "above = {name.split('.')[0] for name in sys.modules} & {'prefect', 'flows', 'tasks'}\n"
    code += "sys.exit(str(above) if above else 0)"
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
    assert not {path.stem for path in modules("flows")} & installed
