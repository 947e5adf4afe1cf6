"""Sums up what `make mutants` found: of each part the changes that were judged, and the part that a test noticed.

Reads the lines of ``mutmut results --all true``; lists what went unnoticed, whose text ``mutmut show NAME`` prints.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable

# How mutmut names a method (``package.module.xǁClassǁmethod__mutmut_1``) and a function (``x_function__mutmut_1``).
NAME = re.compile(r"(?P<module>[\w.]+)\.x(?:ǁ(?P<owner>\w+?)ǁ|_)\w+__mutmut_\d+")
NOT_JUDGED = frozenset({"not checked", "skipped", "check was interrupted by user"})
# A test failed, or hung for so long that the process was ended: by its own limit, or by that of processor time.
NOTICED = frozenset({"killed", "timeout", "segfault"})


def summary(lines: Iterable[str]) -> str:
    """A table of the parts, and the changes that no test noticed.

    Args:
        lines: A name and what became of it in each; other lines are passed over.
    """
    parts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    unnoticed: list[str] = []
    for line in lines:
        name, _, status = line.strip().partition(": ")
        if (found := NAME.fullmatch(name)) is None or status in NOT_JUDGED:
            continue
        owner = found["owner"]
        parts[f"{found['module']} {owner}" if owner else found["module"]][status] += 1
        if status not in NOTICED:
            unnoticed.append(f"{name}: {status}")
    table = [_row(part, counts) for part, counts in sorted(parts.items())]
    table.append(_row("all", sum(parts.values(), Counter())))
    return "\n".join([*unnoticed, "", f"{'part':44}{'changes':>8}{'noticed':>9}", *table])


def _row(part: str, counts: Counter[str]) -> str:
    noticed = sum(counts[status] for status in NOTICED)
    share = f"{noticed / counts.total():.0%}" if counts else "-"
    return f"{part:44}{counts.total():8}{share:>9}"


if __name__ == "__main__":
    print(summary(sys.stdin))
