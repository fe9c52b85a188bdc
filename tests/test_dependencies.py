"""What the package imports is what it says it needs."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE_OF = {"PIL": "pillow", "sklearn": "scikit-learn", "umap": "umap-learn", "tomli_w": "tomli-w"}


def test_every_imported_package_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    declared = {re.match(r"[\w-]+", line).group().lower() for line in listed}
    undeclared = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for root in {name.split(".")[0] for name in names} - {"hypermol"} - sys.stdlib_module_names:
                if PACKAGE_OF.get(root, root).lower() not in declared:
                    undeclared.setdefault(root, path.relative_to(ROOT).as_posix())
    assert undeclared == {}
