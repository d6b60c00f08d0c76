"""`python -m crm.embedded`: commands on this checkout's own servers."""

import argparse
import os
import shlex
import subprocess
import sys

from crm.embedded.servers import running_servers
from crm.embedded.state import Kind


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    command = [part for index, part in enumerate(options.command) if not (index == 0 and part == "--")]
    kind = Kind(options.kind)
    with running_servers(kind=kind) as environment:
        if options.action == "env":
            print("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()), end="")
            return 0
        return run_child(command=command, environment=environment)


def run_child(*, command: list[str], environment: dict[str, str]) -> int:
    """Run one command to its end and return its exit code. Ctrl-C is the child's to answer."""
    with subprocess.Popen(command, env={**os.environ, **environment}) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m crm.embedded", description=__doc__)
    parser.add_argument("--kind", choices=[kind.value for kind in Kind], default=Kind.DEV.value, help="which pair of servers")
    parser.add_argument("action", choices=["exec", "env"])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
