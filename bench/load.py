"""Send requests to a server on loopback and time them."""

import http.client
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Latencies of one case, in milliseconds."""

    samples: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


class Caller:
    """One keep-alive connection."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = headers or {}

    def ask(self, method: str, path: str, body: bytes | None = None, expect: tuple[int, ...] = (200,)) -> tuple[float, bytes]:
        """Milliseconds and body of one request. Raises on another status than expected."""
        started = time.perf_counter()
        self.connection.request(method, path, body, {**self.headers, **({"Content-Type": "application/json"} if body else {})})
        answer = self.connection.getresponse()
        content = answer.read()
        took = (time.perf_counter() - started) * 1000
        if answer.status not in expect:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return took, content


def timed(caller: Caller, path: str, *, rounds: int = 20, warm: int = 3) -> Timing:
    for _ in range(warm):
        caller.ask("GET", path)
    return Timing(samples=[caller.ask("GET", path)[0] for _ in range(rounds)])


def hammer(
    make_caller: Callable[[], Caller], path: str, body: Callable[[int], bytes], *, clients: int, seconds: float
) -> tuple[float, Timing]:
    """Post from several clients at once for a while; answers a second and latencies."""
    deadline = time.perf_counter() + seconds
    samples: list[float] = []
    numbers = iter(range(10**9))
    lock = threading.Lock()

    def work() -> None:
        caller = make_caller()
        own = []
        while time.perf_counter() < deadline:
            with lock:
                number = next(numbers)
            own.append(caller.ask("POST", path, body(number), expect=(200, 201))[0])
        with lock:
            samples.extend(own)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(samples) / (time.perf_counter() - started), Timing(samples=samples)
