"""From ``results.json`` to the tables, and into the documents that show them."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from benchmarks import batch_cost, record, stages
from benchmarks.contenders import KINDS
from benchmarks.rounds import ratios, spread
from benchmarks.workloads import CURVE, IN_TABLE, PEERS

Results = dict[str, Any]
Row = tuple[str, str, str, bool | None]

FIGURES = ("rate", "p50_s", "p99_s")
OF_PAGE = ("stages", "batching", "length", "replicas")  # parts that only ``benchmarks/README.md`` shows
FEW = (1, 2, 4)  # so many clients are answered no later than by the best peer
BLOCK = "<!-- figures: {} -->\n{}<!-- end -->"


def measured(results: Results, workload: str) -> bool:
    """Whether the bundle answered in every turn of a workload."""
    cells = [cell for cell in results["workloads"][workload]["cells"] if cell["contender"] == "bundle"]
    return bool(cells) and all(cell["requests"] and not cell.get("errors") for cell in cells)


def tables(results: Results) -> str:
    """All tables, as Markdown."""
    parts = [header(results)]
    if not results["quick"]:
        parts += ["\n", targets(results)]
    for found in results["workloads"].values():
        parts += [f"\n**{found['title'][0].upper()}{found['title'][1:]}**\n\n", workload(found), "\n", curve(found)]
    return "".join(parts)


def header(results: Results, without: Collection[str] = ()) -> str:
    """When, on what, with what: a line for each run that parts are of.

    Args:
        results: All parts.
        without: Parts that are not shown: runs of which no other part is are left out.
    """
    runs = [run for run in results["runs"] if set(run["parts"]) - set(without)]
    return "\n".join((f"{', '.join(run['parts'])}: " if len(runs) > 1 else "") + _place(run) for run in runs)


def _place(run: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return (
        f"{run['date']}, {run['processor']}, {run['cores']} cores, {run['memory_gib']} GiB, "
        f"Python {run['python']}, {versions}; {run['minutes']} minutes, "
        f"load average {run['load']:.1f} when it began.\n"
    )


def _median(cells: list[dict[str, Any]], name: str, clients: int, value: str) -> float | None:
    found = [
        cell[value] for cell in cells
        if cell["contender"] == name and cell["clients"] == clients and cell.get(value) is not None
    ]  # fmt: skip
    return statistics.median(found) if found else None


def workload(found: dict[str, Any]) -> str:
    """One line for each contender, with requests/s, p50 and p99 by number of clients."""
    cells = found["cells"]
    counts = sorted({cell["clients"] for cell in cells} & set(IN_TABLE))
    lines = [
        "| server | " + " | ".join(f"{n} client{'s' * (n > 1)}: req/s, p50, p99 (ms)" for n in counts)
        + " | errors | memory | ready |",
        "| --- |" + " ---: |" * (len(counts) + 3),
    ]  # fmt: skip
    for name, contender in found["contenders"].items():
        title = KINDS[name].title
        if "failed" in contender:
            lines.append(f"| {title} |" + " |" * len(counts) + " did not take part | | |")
            continue
        figures = " | ".join(_figures(cells, name, count) for count in counts)
        mine = [cell for cell in cells if cell["contender"] == name]
        errors = sum(sum(cell.get("errors", {}).values()) for cell in mine)
        lines.append(
            f"| {title} | {figures} | {errors} | {contender['pss_bytes'] / 1e6:.0f} MB | {contender['ready_s']:.1f} s |"
        )
    return "\n".join(lines) + "\n" + _unanswered(cells)


def curve(found: dict[str, Any]) -> str:
    """One line for each number of clients: the bundle, the peers that are asked by any number, and the best of them."""
    cells = found["cells"]
    names = [name for name in CURVE if any(cell["contender"] == name for cell in cells)]
    titles = " | ".join(f"{KINDS[name].title}: req/s, p50, p99 (ms)" for name in names)
    lines = [
        f"| clients | {titles} | against the best peer: req/s, p50, p99 |",
        "| ---: |" + " ---: |" * (len(names) + 1),
    ]
    for clients in sorted({cell["clients"] for cell in cells}):
        figures = " | ".join(_figures(cells, name, clients) for name in names)
        peer = best_peer(found, clients)
        times = [ratios(cells, "bundle", peer, clients, value) for value in FIGURES] if peer else []
        beside = ", ".join(f"{statistics.median(values):.2f}x" if values else "-" for values in times) or "-"
        lines.append(f"| {clients} | {figures} | {beside} |")
    return "\n".join(lines) + "\n"


def _figures(cells: list[dict[str, Any]], name: str, clients: int) -> str:
    rate, p50, p99 = (_median(cells, name, clients, value) for value in FIGURES)
    if rate is None:
        return "not asked"
    if not rate or p50 is None or p99 is None:
        return "no answer"
    return f"{rate:.3g}, {1000 * p50:.0f}, {1000 * p99:.0f}"


def _unanswered(cells: list[dict[str, Any]]) -> str:
    names = sorted({KINDS[cell["contender"]].title for cell in cells if cell.get("unanswered")})
    if not names:
        return ""
    return (
        "\nSome requests had no answer when the turn ended, and count in p50 and p99 with the time waited so far: "
        f"{', '.join(names)}.\n"
    )


def best_peer(found: dict[str, Any], clients: int) -> str | None:
    """The peer with the most requests/s."""
    return _best(found, clients, "rate", max)


def _best(found: dict[str, Any], clients: int, value: str, which: Callable[..., str]) -> str | None:
    values = {name: _median(found["cells"], name, clients, value) for name in PEERS}
    known = {name: value for name, value in values.items() if value}
    return which(known, key=lambda name: known[name]) if known else None


def targets(results: Results) -> str:
    """What was aimed at and what was reached."""
    lines = ["| what | target | measured | |", "| --- | ---: | ---: | --- |"]
    for what, target, value, met in target_rows(results):
        lines.append(f"| {what} | {target} | {value} | {'' if met is None else 'met' if met else '**missed**'} |")
    return "\n".join(lines) + "\n"


def target_rows(results: Results) -> list[Row]:
    """What was measured, its target, its value, and whether that is met; None where there is no target."""
    rows: list[Row] = []
    limits = results.get("limits") or {}
    if whole := limits.get("whole"):
        share, title = whole["share_of_peak"], "engine on wav2vec2-large, 5 s: share of the matmul peak"
        kind = whole["engine"].rpartition("-")[2]
        rows.append((f"{title} in {kind}", ">= 75 %", f"{100 * share:.0f} %", share >= 0.75))
    if full_size := results.get("full_size"):
        rows += _full_size(full_size)
    found = results["workloads"]
    for name, clients, target in (("full", 8, 0.95), ("voices", 32, 0.88)):
        if name in found:
            rows += _served(found[name], clients, target, "full-size" if name == "full" else "compact voices")
    if "faces" in found:
        rows += _served_work(found["faces"], 32)
    for name, target in (("full", 2.0), ("voices", 2.0), ("faces", 2.5)):
        if name in found:
            rows += _against(found[name], 32, target, name)
            rows += [row for clients in FEW for row in _soon(found[name], clients, name)]
    if "voices" in found:
        rows += _process(found["voices"])
        bundle = found["voices"]["contenders"].get("bundle", {})
        if "ready_s" in bundle:
            ready, memory = bundle["ready_s"], bundle["pss_bytes"] / 1e9
            rows.append(("start to ready, all compact models", "<= 6 s", f"{ready:.1f} s", ready <= 6))
            rows.append(("memory of the process tree (PSS)", "<= 1.2 GB", f"{memory:.2f} GB", memory <= 1.2))
    if cpu := limits.get("features_cpu_s"):
        rows.append(("47 features of a 30 s clip, processor time", "<= 0.3 s", f"{cpu:.2f} s", cpu <= 0.3))
    return rows


def _full_size(found: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for network, target in (("wav2vec2-large", 2.5), ("AST", 2.0), ("VGG16", 1.8)):
        pair = found["against_torch"][network]
        met = statistics.median(pair["ratios"]) >= target
        title = f"engine ({pair['engine']}) against torch f32 eager, {network}"
        rows.append((title, f">= {target:g}x", f"{spread(pair['ratios'])}x", met))
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in found["import_s"].items())
    took = f"{seconds}; ready {found['ready_s']:.0f} s; {found['memory_bytes'] / 1e9:.1f} GB"
    rows.append(("full-size checkpoints imported, then served together and each asked", "", took, None))
    return rows


def _bare(found: dict[str, Any], clients: int, key: str) -> list[float]:
    """Round by round, the bundle's requests/s over the bare loop's of the same round."""
    rates = [cell["rate"] for cell in found["cells"] if cell["contender"] == "bundle" and cell["clients"] == clients]
    return [rate / bare[key] for rate, bare in zip(rates, found["bare"], strict=False) if bare.get(key)]


def _served(found: dict[str, Any], clients: int, target: float, title: str) -> list[Row]:
    shares = _bare(found, clients, "engine")
    if not shares:
        return []
    met = statistics.median(shares) >= target
    return [(f"served / bare engine, {title}, {clients} clients", f">= {100 * target:.0f} %", _percent(shares), met)]


def _served_work(found: dict[str, Any], clients: int) -> list[Row]:
    work = _bare(found, clients, "work")
    title = f"served / the work in one process (decode, find the face, engine), faces, {clients} clients"
    return [(title, "", _percent(work), None)] if work else []


def _percent(values: list[float]) -> str:
    return spread([100 * value for value in values], ".0f") + " %"


def _against(found: dict[str, Any], clients: int, target: float, name: str) -> list[Row]:
    peer = best_peer(found, clients)
    if peer is None:
        return []
    rates = ratios(found["cells"], "bundle", peer, clients)
    tails = ratios(found["cells"], "bundle", peer, clients, "p99_s")
    met = bool(rates and tails) and statistics.median(rates) >= target and statistics.median(tails) < 1
    title = f"requests/s against the best peer ({KINDS[peer].title}), {name}, {clients} clients"
    return [(title, f">= {target:g}x, lower p99", f"{spread(rates)}x, p99 {spread(tails)}x", met)]


def _soon(found: dict[str, Any], clients: int, name: str) -> list[Row]:
    """Latency by few clients beside that of the peer that answers soonest."""
    peer = _best(found, clients, "p50_s", min)
    if peer is None:
        return []
    p50, p99 = (ratios(found["cells"], "bundle", peer, clients, value) for value in ("p50_s", "p99_s"))
    met = bool(p50 and p99) and max(statistics.median(p50), statistics.median(p99)) <= 1
    title = f"latency over the best peer's ({KINDS[peer].title}), {name}, {clients} client{'s' * (clients > 1)}"
    return [(title, "p50, p99 <= 1x", f"p50 {spread(p50)}x, p99 {spread(p99)}x", met)]


def _process(found: dict[str, Any]) -> list[Row]:
    times = ratios(found["cells"], "process", "bundle", 1, "p50_s")
    if not times:
        return []
    title = "latency of a process per request over the bundle's, 1 client"
    return [(title, ">= 50x", f"{spread(times, '.0f')}x", statistics.median(times) >= 50)]


def write(folder: Path) -> None:
    """Fills the blocks of ``benchmarks/README.md`` and of the README from the results in a folder."""
    results = record.load(folder / record.RESULTS)
    plots = "\n![Latency by length of the clip](length.png)\n\n![Requests/s by number of processes](replicas.png)\n"
    page = {"results": tables(results) + plots, "results-float32": tables(record.load(folder / record.FLOAT32))}
    if results.get("stages"):
        page["stages"] = stages.table(results["stages"])
    if results.get("batching"):
        page["batching"] = batch_cost.table(results["batching"])
    fill(folder / "README.md", page)
    about = "From `make bench`, which `benchmarks/README.md` explains and shows in full.\n"
    speed = f"{about}{header(results, OF_PAGE)}\n{targets(results)}"
    fill(folder.parent / "README.md", {"performance": speed})


def fill(path: Path, blocks: dict[str, str]) -> None:
    """Replaces the named blocks that a document has."""
    text = path.read_text()
    for name, content in blocks.items():
        pattern = re.compile(re.escape(f"<!-- figures: {name} -->") + r".*?<!-- end -->", re.DOTALL)
        new = BLOCK.format(name, content)
        text = pattern.sub(lambda _, new=new: new, text)  # type: ignore[misc]
    path.write_text(text)
