"""Draw docs/architecture.svg: the folders in layers, and which folder imports which. Run it with `make architecture`.

An arrow is left out if other arrows imply it: if a imports b and b imports c, the picture has no arrow from a to c.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise, permutations
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
PACKAGES = ("labelflow", "tasks", "flows")  # the ones that are installed
BASE = "base modules"  # one box for the single files at the bottom
BASE_MODULES = {"batches", "errors", "lenient_json", "problems", "redaction"}

CAPTIONS = {  # of the boxes; a new folder needs one
    "__main__": "console script",
    "flows": "order of the steps",
    "tasks": "steps as Prefect tasks",
    "cli": "arguments, display, signals",
    "api": "functions for notebooks",
    "operations": "one file per command",
    "exports": "COCO, CSV, JSON Lines",
    "submission": "create tasks exactly once",
    "planning": "which rows need a task",
    "collection": "collect finished tasks",
    "accounting": "counts and summary",
    "manifests": "read the data set's rows",
    "callbacks": "receive and store callbacks",
    "outputs": "labels, errors, rejects",
    "ledger": "which row has which task",
    "jobs": "job model, config, secrets",
    "records": "types of a row's stages",
    "tables": "Parquet, indexes, sorting",
    "attachments": "probe files before paying",
    "downloads": "files over HTTP, within limits",
    "concurrency": "leases, threads, stopping",
    "sandbox": "local server with the API",
    "scale": "API client, task types",
    "storage": "folders on disk and in S3",
    "media": "kind, pixels, duration",
    "network": "limits of HTTP connections",
    BASE: "single files, import nothing",
}

BOX_WIDTH, BOX_HEIGHT, LAYER_HEIGHT, MARGIN = 188, 46, 84, 12  # pixels
BOX_GAP, LANE_GAP = 26, 22  # around boxes, and around arrows that pass a layer
LANE_WEIGHT = 8
PLACEMENT_ROUNDS = 300
STYLE = """
text { font-family: system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #1f2328 }
.name { font-size: 14px; font-weight: 600 } .files { font-size: 11px; text-anchor: end; fill: #59636e }
.caption { font-size: 12px; fill: #424a53 }
rect { stroke-width: 1.5 }
.core rect { fill: #ddf4ff; stroke: #54aeff } .prefect rect { fill: #fbefff; stroke: #c297ff }
path { fill: none; stroke: #848d97; stroke-width: 1.6 } marker path { fill: #848d97; stroke: none }
"""

Graph = dict[str, set[str]]
Order = tuple[str, ...]  # of a layer, from the left
Cost = tuple[int, float]


# Reading the imports


def modules(package: str) -> dict[str, Path]:
    """The modules of a package, by dotted name. A package itself has the path of its `__init__.py`."""
    paths: dict[str, Path] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        paths[".".join(parts).removesuffix(".__init__")] = path
    return paths


def imported(path: Path, own: Iterable[str] = (), *, on_load: bool = False) -> set[str]:
    """The modules that a file imports, as dotted names. Raises ValueError for a relative import.

    own: modules of this repository: `from package import name` yields `package.name` if that is one of them.
    on_load: leave out imports inside functions, and those for type checkers only.
    """
    own = set(own)
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in _on_load(tree) if on_load else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"{path}:{node.lineno}: use absolute imports")
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (members & own) | ({node.module} if members - own else set())
    return names


def _on_load(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _on_load(node)


def folder(module: str) -> str:
    """The row of the table that a module belongs to: `cli` for `labelflow.cli.display`, `tasks` for `tasks.label`."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] or first if first == "labelflow" else first


def folder_imports() -> Graph:
    """The folders that each folder imports, lazy imports included."""
    own = {name: path for package in PACKAGES for name, path in modules(package).items()}
    graph: Graph = {}
    for name, path in own.items():
        if name != "labelflow":  # the package itself: `import labelflow` gives the version only
            targets = {folder(target) for target in imported(path, own) if target.partition(".")[0] in PACKAGES}
            graph.setdefault(folder(name), set()).update(targets - {folder(name)})
    return graph


# Layers


def reduce_transitively(graph: Mapping[str, set[str]]) -> Graph:
    """The same graph without the arrows that others imply."""
    reachable: Graph = {}

    def reach(node: str) -> set[str]:
        if node not in reachable:
            reachable[node] = set().union(graph[node], *(reach(target) for target in graph[node]))
        return reachable[node]

    return {
        node: {target for target in targets if not any(target in reach(other) for other in targets)}
        for node, targets in graph.items()
    }


def heights(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """The layer of each node, counted from the bottom: one above the highest node that it imports."""
    height: dict[str, int] = {}

    def measure(node: str) -> int:
        if node not in height:
            height[node] = 1 + max((measure(target) for target in graph[node]), default=-1)
        return height[node]

    for node in graph:
        measure(node)
    return height


@dataclass
class Layout:
    """Boxes and lanes in layers, from the top. A lane is where an arrow passes a layer; its name has a `>`.

    x: the centre of each, in pixels.
    """

    layers: list[list[str]]
    routes: list[list[str]]  # of each arrow: its box, its lanes, its target
    x: dict[str, float] = field(default_factory=dict)


def arrange(graph: Graph) -> Layout:
    """Place the nodes so that few arrows cross and arrows are short."""
    height = heights(graph)
    top = max(height.values())
    layers: list[list[str]] = [[] for _ in range(top + 1)]
    for node in sorted(graph):
        layers[top - height[node]].append(node)
    routes: list[list[str]] = []
    for node in sorted(graph):
        for target in sorted(graph[node]):
            passed = range(top - height[node] + 1, top - height[target])
            lanes = [f"{node}>{target}>{layer}" for layer in passed]
            for layer, lane in zip(passed, lanes, strict=True):
                layers[layer].append(lane)
            routes.append([node, *lanes, target])
    layout = Layout(layers, routes)
    _order(layout)
    _place(layout)
    return layout


def _order(layout: Layout) -> None:
    """Order each layer so that the fewest arrows cross: the shortest path over all orders of all layers."""
    paths = {order: ((0, 0.0), [order]) for order in permutations(layout.layers[0])}
    for upper, lower in pairwise(layout.layers):
        links = [pair for route in layout.routes for pair in pairwise(route) if pair[0] in upper and pair[1] in lower]
        paths = {
            order: min((_add(cost, _cost(path[-1], order, links)), [*path, order]) for cost, path in paths.values())
            for order in permutations(lower)
        }
    layout.layers = [list(order) for order in min(paths.values())[1]]


def _cost(upper: Order, lower: Order, links: list[tuple[str, str]]) -> Cost:
    """The crossings between two layers, and how far the arrows go sideways."""
    ends = [(upper.index(a) - len(upper) / 2, lower.index(b) - len(lower) / 2) for a, b in links]
    crossings = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(ends, 2))
    return crossings, sum(abs(a - b) for a, b in ends)


def _add(one: Cost, other: Cost) -> Cost:
    return one[0] + other[0], one[1] + other[1]


def _place(layout: Layout) -> None:
    """Set x: every box and lane moves to the mean of its neighbours, as far as its layer has space."""
    neighbours: dict[str, list[str]] = {node: [] for layer in layout.layers for node in layer}
    for route in layout.routes:
        for upper, lower in pairwise(route):
            neighbours[upper].append(lower)
            neighbours[lower].append(upper)
    x = layout.x = {}
    for layer in layout.layers:
        x.update(zip(layer, _spread(layer, [0.0] * len(layer)), strict=True))
    for _ in range(PLACEMENT_ROUNDS):
        for layer in layout.layers:
            wanted = [_weighted_mean(node, neighbours[node], x) for node in layer]
            x.update(zip(layer, _spread(layer, wanted), strict=True))
    _straighten(layout)


def _straighten(layout: Layout) -> None:
    """Give the lanes of an arrow the same x, if the boxes beside them leave space for it."""
    x = layout.x
    for _, *lanes, _ in layout.routes:
        low, high = float("-inf"), float("inf")
        for lane in lanes:
            layer = next(layer for layer in layout.layers if lane in layer)
            index = layer.index(lane)
            low = max([low, *(x[left] + _distance(left, lane) for left in layer[:index][-1:])])
            high = min([high, *(x[right] - _distance(lane, right) for right in layer[index + 1 :][:1])])
        if lanes and low <= high:
            x.update(dict.fromkeys(lanes, min(high, max(low, _mean([x[lane] for lane in lanes])))))


def _spread(layer: list[str], wanted: list[float]) -> list[float]:
    """The positions closest to the wanted ones that keep the order and the distances of a layer."""
    offsets = [0.0]
    for left, right in pairwise(layer):
        offsets.append(offsets[-1] + _distance(left, right))
    blocks: list[list[float]] = []  # of neighbours that touch: the start of the layer that each requires
    for offset, position in zip(offsets, wanted, strict=True):
        blocks.append([position - offset])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    starts = [_mean(block) for block in blocks for _ in block]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def _weighted_mean(node: str, neighbours: list[str], x: Mapping[str, float]) -> float:
    """The mean x of the neighbours of a node. Lanes weigh more to lanes, so that long arrows are straight."""
    weights = [LANE_WEIGHT if is_lane(node) and is_lane(other) else 1 for other in neighbours]
    return sum(weight * x[other] for weight, other in zip(weights, neighbours, strict=True)) / (sum(weights) or 1)


def is_lane(node: str) -> bool:
    """Whether a node is the place where an arrow passes a layer, and not a box."""
    return ">" in node


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _distance(left: str, right: str) -> float:
    """Between the centres of two neighbours in a layer."""
    return sum(LANE_GAP if is_lane(node) else BOX_WIDTH + BOX_GAP for node in (left, right)) / 2


# The picture


def draw() -> str:
    """The picture as SVG: the same for the same imports."""
    graph: Graph = {}
    for source, targets in folder_imports().items():
        graph.setdefault(_box(source), set()).update({_box(target) for target in targets} - {_box(source)})
    layout = arrange(reduce_transitively(graph))
    halves = {node: 0 if is_lane(node) else BOX_WIDTH / 2 for node in layout.x}
    left = min(x - halves[node] for node, x in layout.x.items())
    layout.x = {node: round(x - left + MARGIN) for node, x in layout.x.items()}
    width = round(max(x + halves[node] for node, x in layout.x.items()) + MARGIN)
    height = (len(layout.layers) - 1) * LAYER_HEIGHT + BOX_HEIGHT + 2 * MARGIN
    layer_of = {node: index for index, layer in enumerate(layout.layers) for node in layer}
    top = {node: MARGIN + layer * LAYER_HEIGHT for node, layer in layer_of.items()}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<title>The folders of labelflow and their imports</title>",
        f"<style>{STYLE}</style>",
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker>',
        *(_arrow(route, layout, top) for route in layout.routes),
        *(_draw_box(node, layout.x[node], top[node]) for node in top if not is_lane(node)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _box(name: str) -> str:
    return BASE if name in BASE_MODULES else name


def _arrow(route: list[str], layout: Layout, top: Mapping[str, int]) -> str:
    source, *lanes, target = route
    leaving = sorted((other for other in layout.routes if other[0] == source), key=lambda other: layout.x[other[1]])
    arriving = sorted((other for other in layout.routes if other[-1] == target), key=lambda other: layout.x[other[-2]])
    x, y = _port(layout.x[source], leaving.index(route), len(leaving)), top[source] + BOX_HEIGHT
    path = f"M{x} {y}"
    end = _port(layout.x[target], arriving.index(route), len(arriving))
    for node in [*lanes, target]:
        next_x, next_y = (end if node == target else round(layout.x[node])), top[node]
        middle = (y + next_y) // 2
        path += f"C{x} {middle} {next_x} {middle} {next_x} {next_y}"
        if node != target:
            path += f"V{next_y + BOX_HEIGHT}"
        x, y = next_x, next_y + BOX_HEIGHT
    return f'<path d="{path}" marker-end="url(#head)"/>'


def _port(x: float, index: int, count: int) -> int:
    """Where on a box the arrow with this index starts or ends."""
    return round(x + (index - (count - 1) / 2) * min(36, BOX_WIDTH / count))


def _draw_box(name: str, x: float, y: int) -> str:
    left = round(x - BOX_WIDTH / 2)
    kind = "prefect" if _loads_prefect(name) else "core"
    files = len(_files(name))
    return (
        f'<g class="{kind}"><rect x="{left}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7"/>'
        f'<text class="name" x="{left + 11}" y="{y + 19}">{escape(name)}</text>'
        f'<text class="files" x="{left + BOX_WIDTH - 10}" y="{y + 18}">{files} file{"s" * (files != 1)}</text>'
        f'<text class="caption" x="{left + 11}" y="{y + 36}">{escape(CAPTIONS[name])}</text></g>'
    )


def _files(name: str) -> list[Path]:
    own = {module: path for package in PACKAGES for module, path in modules(package).items() if module != "labelflow"}
    return [path for module, path in own.items() if _box(folder(module)) == name]


def _loads_prefect(name: str) -> bool:
    return any(
        "prefect" in {target.partition(".")[0] for target in imported(path, on_load=True)} for path in _files(name)
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
