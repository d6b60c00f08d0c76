"""Groups of records from pairs. A record joins a group only when it agrees with the group, so weak links make no chains."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence


def clusters(pairs: Iterable[tuple[int, int, float]], *, agreement: float) -> list[list[int]]:
    """Join the likeliest pairs first; two groups become one while the mean probability between their members reaches `agreement`.

    A pair that is not given counts as zero. Groups and members come in ascending order.
    """
    links: dict[int, dict[int, float]] = defaultdict(dict)
    queue = []
    for one, other, probability in pairs:
        links[one][other] = links[other][one] = probability
        queue.append((-probability, min(one, other), max(one, other)))
    heapq.heapify(queue)
    members: dict[int, list[int]] = {record: [record] for record in links}
    while queue:
        mean, one, other = heapq.heappop(queue)
        if -mean < agreement:
            break
        # An entry is out of date once either side has grown or gone.
        if one not in members or other not in members or _mean(links, members, one, other) != -mean:
            continue
        members[one] += members.pop(other)
        for third, weight in links.pop(other).items():
            if third != one:
                links[one][third] = links[third][one] = links[one].get(third, 0.0) + weight
            links[third].pop(other, None)
        for third in links[one]:
            if third in members:
                heapq.heappush(queue, (-_mean(links, members, one, third), min(one, third), max(one, third)))
    return sorted(sorted(group) for group in members.values() if len(group) > 1)


def _mean(links: Mapping[int, Mapping[int, float]], members: Mapping[int, Sequence[int]], one: int, other: int) -> float:
    """The mean between two groups; `links` holds the sum over all pairs between them."""
    return links[one].get(other, 0.0) / (len(members[one]) * len(members[other]))
