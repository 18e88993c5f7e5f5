"""The size of modules: none over 500 lines, half of them under 150. Prints what is too large and exits 1."""

import sys
from pathlib import Path
from statistics import median

LARGEST = 500
MEDIAN = 150


def main() -> int:
    """Check every module of the package, the tests, the benchmarks and the tools."""
    root = Path(__file__).parent.parent
    sizes = {
        path.relative_to(root): path.read_text(encoding="utf-8").count("\n")
        for folder in ("dnsbridge", "tests", "benchmarks", "tools")
        for path in sorted((root / folder).rglob("*.py"))
    }
    # Empty files only mark packages; counting them would hide large modules behind them.
    middle = median(size for path, size in sizes.items() if size and path.parts[0] == "dnsbridge")
    faults = [f"{path}: {size} lines, at most {LARGEST}: split it" for path, size in sizes.items() if size > LARGEST]
    if middle >= MEDIAN:
        faults.append(f"dnsbridge: the median module has {middle:.0f} lines, must be under {MEDIAN}")
    for fault in faults:
        print(fault)
    if not faults:
        print(f"Sizes: {len(sizes)} modules, median {middle:.0f} lines, largest {max(sizes.values())}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
