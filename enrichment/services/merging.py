"""What was found about a lead, when it becomes part of another: the winner keeps its own and gains what it lacked."""

from crm.actors import Actor
from enrichment.models import FieldSource


def count_sources(*, source_ids: list[int]) -> int:
    return FieldSource.objects.filter(lead__in=source_ids).count()


def move_sources(*, source_id: int, target_id: int, by: Actor) -> list[int]:
    """Give the target what was found for fields about which nothing is known of it."""
    known = FieldSource.objects.filter(lead_id=target_id).values("field")
    ids = sorted(FieldSource.objects.filter(lead_id=source_id).exclude(field__in=known).values_list("pk", flat=True))
    FieldSource.objects.filter(pk__in=ids).update(lead_id=target_id)
    return ids


def move_sources_back(*, ids: list[int], source_id: int, target_id: int, by: Actor) -> list[int]:
    """Those that are still the target's, and of whose fields the source has nothing new."""
    known = FieldSource.objects.filter(lead_id=source_id).values("field")
    there = sorted(FieldSource.objects.filter(pk__in=ids, lead_id=target_id).exclude(field__in=known).values_list("pk", flat=True))
    FieldSource.objects.filter(pk__in=there).update(lead_id=source_id)
    return there
