"""What the containers' health checks run. Standard library only, so that a check costs next to nothing.

healthcheck.py http PORT PATH      the address answers with 200
healthcheck.py fresh FILE SECONDS  the file was written not longer ago than that
"""

import os
import sys
import time
import urllib.request
from pathlib import Path


def answers(*, port: int, path: str) -> bool:
    # The product refuses names it does not know, so the check speaks one it does.
    known = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].strip().lstrip(".") or "localhost"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": "localhost" if known == "*" else known})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return bool(answer.status == 200)


def is_fresh(*, path: Path, seconds: float) -> bool:
    # The clock's schedule is a small database, whose library may add endings to the name.
    return any(time.time() - file.stat().st_mtime < seconds for file in path.parent.glob(f"{path.name}*"))


def main(arguments: list[str]) -> int:
    match arguments:
        case ["http", port, path]:
            return 0 if answers(port=int(port), path=path) else 1
        case ["fresh", path, seconds]:
            return 0 if is_fresh(path=Path(path), seconds=float(seconds)) else 1
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
