"""Everything worth knowing from a few minutes on a GPU: one command, which needs a checkout and no network.

    python scripts/gpu_check.py --minutes 8 --out FOLDER                everything, most important first
    python scripts/gpu_check.py --only search,training --out FOLDER     some parts
    python scripts/gpu_check.py --device cpu --tiny --minutes 3         a rehearsal without a GPU
    python scripts/gpu_check.py --table FOLDER/result.json              the section for docs/performance.md

Each part runs in a process of its own with its own time limit: one that crashes, runs out of memory or hangs ends
alone. FOLDER/result.json is rewritten after each measurement, FOLDER/log.txt holds what each part printed. docs/gpu.md
says how to bring what the machine lacks.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # before installed packages: the checkout is what is checked
    from scripts.gpu_checks.command import main

    sys.exit(main(sys.argv[1:]))
