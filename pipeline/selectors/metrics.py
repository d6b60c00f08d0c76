"""The metrics of stages, each made of `figures`. docs/pipeline.md says what each number means."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crm.actors import Actor
from crm.identity.models import User
from leads.enums import StatusCategory
from leads.models import LeadStatus
from leads.permissions import SEE_ALL
from pipeline.selectors.figures import Period, kept_to, past_within, present_state, range_within, work_within
from pipeline.selectors.measures import Kept, Stay, hours_of

NONE = Stay()


def percent(part: float, whole: float) -> float:
    """With two decimals; of nothing it is 0."""
    return round(100 * part / whole, 2) if whole else 0.0


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What happened to the leads in the actor's sight in a period, and how many were in each status at its end."""

    statuses: list[LeadStatus]
    stays: dict[int, Stay]
    present: dict[int, int]
    ranges: dict[int, tuple[timedelta, timedelta]]

    def of(self, status: LeadStatus) -> Stay:
        return self.stays.get(status.pk, NONE)

    def into(self, category: StatusCategory) -> int:
        return sum(self.of(status).entries for status in self.statuses if status.category == category)

    @property
    def open(self) -> list[LeadStatus]:
        return [status for status in self.statuses if status.category == StatusCategory.OPEN]


def flow_of(period: Period, *, extremes: bool = False, by: Actor) -> Flow:
    """Statuses in the tenant's order; of those that are switched off the ones with figures."""
    past = past_within(start=period.start, end=period.end, extremes=extremes, by=by)
    statuses = [status for status in LeadStatus.objects.all() if status.is_active or status.pk in past.stays or past.present.get(status.pk)]
    return Flow(statuses=statuses, stays=past.stays, present=past.present, ranges=past.ranges)


def performance(period: Period, *, by: Actor) -> list[dict[str, Any]]:
    """S1-25."""
    flow = flow_of(period, extremes=True, by=by)
    ranges = flow.ranges
    if by.can(SEE_ALL):
        ranges = range_within(start=period.start, end=period.end, status_ids=[status.pk for status in flow.statuses])
    rows = []
    for status in flow.statuses:
        stay, span = flow.of(status), ranges.get(status.pk)
        rows.append(
            {
                "status_id": status.number,
                "status_name": status.code,
                "status_label": status.label,
                "status_description": status.description,
                "total_entries": stay.entries,
                "total_exits": stay.exits,
                "currently_in_stage": flow.present.get(status.pk, 0),
                "avg_duration_hours": stay.average_hours,
                "min_duration_hours": hours_of(span[0]) if span else None,
                "max_duration_hours": hours_of(span[1]) if span else None,
                "leads_exceeding_24h": stay.over_24h,
                "leads_exceeding_48h": stay.over_48h,
            }
        )
    return rows


def user_performance(period: Period, *, user_id: int | None, by: Actor) -> list[dict[str, Any]]:
    """S1-26: whoever may not see all leads is told of their own moves."""
    if not by.can(SEE_ALL):
        user_id = by.user_id
    found = work_within(start=period.start, end=period.end, user_id=user_id)
    statuses = {status.pk: status for status in LeadStatus.objects.all()}
    people = User.objects.in_bulk(list(found) if user_id is None else [user_id])
    rows = []
    for person in sorted(people.values(), key=lambda person: (person.first_name, person.last_name, person.pk)):
        work = found.get(person.pk, {})
        moves, exits = sum(item.moves for item in work.values()), sum(item.exits for item in work.values())
        spent = sum((item.spent for item in work.values()), timedelta())
        won, lost = (
            sum(item.moves for pk, item in work.items() if statuses[pk].category == category)
            for category in (StatusCategory.WON, StatusCategory.LOST)
        )
        rows.append(
            {
                "user_id": person.pk,
                "user_name": person.full_name,
                "user_email": person.email,
                "total_changes": moves,
                "won": won,
                "lost": lost,
                "win_rate": percent(won, won + lost),
                "stays_ended": exits,
                "avg_duration_hours": hours_of(spent / exits) if exits else None,
                "by_status": [
                    {
                        "status_id": statuses[pk].number,
                        "status_name": statuses[pk].code,
                        "moved_in": item.moves,
                        "avg_duration_hours": hours_of(item.spent / item.exits) if item.exits else None,
                    }
                    for pk, item in sorted(work.items(), key=lambda entry: statuses[entry[0]].position)
                ],
            }
        )
    return rows


def transition_matrix(period: Period, *, by: Actor) -> dict[str, Any]:
    """S1-27: every move that was made, and the same as a matrix of counts."""
    flow = flow_of(period, by=by)
    names = {status.pk: status.code for status in flow.statuses}
    moves = []
    matrix: dict[str, dict[str, int]] = {source.code: {target.code: 0 for target in flow.statuses} for source in flow.statuses}
    for source in flow.statuses:
        stay = flow.of(source)
        for target in flow.statuses:
            number, spent = stay.went_to.get(target.pk, (0, timedelta()))
            if number:
                matrix[source.code][target.code] = number
                moves.append(
                    {
                        "from_status": source.code,
                        "to_status": names[target.pk],
                        "count": number,
                        "percentage": percent(number, stay.exits),
                        "avg_duration_hours": hours_of(spent / number),
                    }
                )
    return {
        "transitions": moves,
        "matrix": matrix,
        "statuses": list(matrix),
        "total": sum(int(move["count"]) for move in moves),  # type: ignore[call-overload]
    }


def conversion_rates(period: Period, *, by: Actor) -> dict[str, Any]:
    """S1-29: of the stays that ended, how many went on, how many were won, how many lost."""
    flow = flow_of(period, by=by)
    by_id = {status.pk: status for status in flow.statuses}
    rows = []
    for status in flow.open:
        stay = flow.of(status)
        going = [(by_id[pk], number) for pk, (number, _spent) in stay.went_to.items() if pk in by_id]
        onward = sum(number for target, number in going if _is_onward(status, target))
        lost = sum(number for target, number in going if target.category == StatusCategory.LOST)
        rows.append(
            {
                "status_id": status.number,
                "status_name": status.code,
                "status_label": status.label,
                "entries": stay.entries,
                "exits": stay.exits,
                "moved_on": onward,
                "moved_back": stay.exits - onward - lost,
                "lost": lost,
                "conversion_rate": percent(onward, stay.exits),
                "loss_rate": percent(lost, stay.exits),
                "to": [
                    {"status_name": target.code, "count": number, "rate": percent(number, stay.exits)}
                    for target, number in sorted(going, key=lambda entry: entry[0].position)
                ],
            }
        )
    won, lost = flow.into(StatusCategory.WON), flow.into(StatusCategory.LOST)
    return {"stages": rows, "overall": {"won": won, "lost": lost, "closed": won + lost, "win_rate": percent(won, won + lost)}}


def _is_onward(source: LeadStatus, target: LeadStatus) -> bool:
    return target.category == StatusCategory.WON or (target.category == StatusCategory.OPEN and target.position > source.position)


def summary(now: datetime, *, by: Actor) -> dict[str, Any]:
    """S1-30: what is in each status now, how long it has been there, and what moved in the last day."""
    statuses = list(LeadStatus.objects.filter(is_active=True))
    ends = {status.pk for status in statuses if status.category in (StatusCategory.WON, StatusCategory.LOST)}
    ids = list(LeadStatus.objects.values_list("pk", flat=True))
    found = present_state(now=now, since=now - timedelta(days=1), status_ids=ids, over=(24, 48), by=by)
    present = {pk: waiting.leads for pk, waiting in found.waiting.items()}
    total = sum(present.values())
    stages = []
    for status in statuses:
        # How long leads have been won or lost says nothing.
        wait, late = None if status.pk in ends else found.waiting.get(status.pk), found.lately.get(status.pk, NONE)
        stages.append(
            {
                "status_id": status.number,
                "status_name": status.code,
                "status_label": status.label,
                "category": status.category,
                "lead_count": present.get(status.pk, 0),
                "percentage": percent(present.get(status.pk, 0), total),
                "avg_hours_in_stage": hours_of(wait.average) if wait else None,
                "oldest_entered_at": wait.oldest if wait else None,
                "exceeding_24h": wait.over[0] if wait else 0,
                "exceeding_48h": wait.over[1] if wait else 0,
                "entered_last_24h": late.entries,
                "left_last_24h": late.exits,
            }
        )
    return {
        "total_leads": total,
        "open_leads": sum(present.get(status.pk, 0) for status in statuses if status.pk not in ends),
        "stages": stages,
    }


def status_statistics(period: Period, *, by: Actor) -> list[dict[str, Any]]:
    """S1-32."""
    flow = flow_of(period, by=by)
    total = sum(flow.present.values())
    return [
        {
            "status_id": status.number,
            "status_name": status.code,
            "status_label": status.label,
            "category": status.category,
            "lead_count": flow.present.get(status.pk, 0),
            "percentage": percent(flow.present.get(status.pk, 0), total),
            "total_entries": flow.of(status).entries,
            "total_exits": flow.of(status).exits,
            "net_change": flow.of(status).entries - flow.of(status).exits,
            "avg_duration_hours": flow.of(status).average_hours,
            "total_hours": hours_of(flow.of(status).spent),
        }
        for status in flow.statuses
    ]


def sla_compliance(now: datetime, *, hours: int, by: Actor) -> dict[str, Any]:
    """S1-33: of the stays in open statuses that ended, or went on for longer already, those that took no more than so many hours."""
    statuses = list(LeadStatus.objects.filter(category=StatusCategory.OPEN))
    kept = kept_to(now=now, hours=hours, status_ids=[status.pk for status in statuses], by=by)
    rows = []
    for status in statuses:
        its = kept.get(status.pk, Kept())
        total = its.ended + its.late
        if not status.is_active and not total:
            continue
        rows.append(
            {
                "status_id": status.number,
                "status_name": status.code,
                "status_label": status.label,
                "total": total,
                "within_sla": its.within,
                "exceeded_sla": total - its.within,
                "overdue_now": its.late,
                "pending": its.waiting - its.late,
                "compliance_rate": _one_decimal(its.within, total),
            }
        )
    all_of, within = sum(row["total"] for row in rows), sum(row["within_sla"] for row in rows)
    overall = {"total": all_of, "within_sla": within, "exceeded_sla": all_of - within, "compliance_rate": _one_decimal(within, all_of)}
    return {"sla_hours": hours, "overall": overall, "stages": rows}


def _one_decimal(part: float, whole: float) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def workflow_efficiency(period: Period, *, by: Actor) -> dict[str, Any]:
    """S1-34: how straight and how fast leads go from their beginning to won or lost."""
    flow = flow_of(period, by=by)
    by_id = {status.pk: status for status in flow.statuses}
    onward = back = lost = reopened = 0
    for source in flow.statuses:
        for pk, (number, _spent) in flow.of(source).went_to.items():
            target = by_id.get(pk)
            if source.category != StatusCategory.OPEN:
                reopened += number
            elif target is not None and target.category == StatusCategory.LOST:
                lost += number
            elif target is not None and _is_onward(source, target):
                onward += number
            else:
                back += number
    moves = onward + back + lost + reopened
    spent = sum((flow.of(status).spent for status in flow.open), timedelta())
    ends = sum(flow.of(status).exits for status in flow.open)
    won, closed_lost = flow.into(StatusCategory.WON), flow.into(StatusCategory.LOST)
    return {
        "total_moves": moves,
        "forward_moves": onward,
        "backward_moves": back,
        "lost_moves": lost,
        "reopened": reopened,
        "forward_rate": percent(onward, moves),
        "backward_rate": percent(back, moves),
        "won": won,
        "lost": closed_lost,
        "win_rate": percent(won, won + closed_lost),
        "avg_stage_hours": hours_of(spent / ends) if ends else None,
        "open_hours_per_closed_lead": hours_of(spent / (won + closed_lost)) if won + closed_lost else None,
        "open_leads": sum(flow.present.get(status.pk, 0) for status in flow.open),
        "stages": [
            {
                "status_name": status.code,
                "avg_duration_hours": flow.of(status).average_hours,
                "share_of_time": percent(flow.of(status).spent.total_seconds(), spent.total_seconds()),
            }
            for status in flow.open
        ],
    }


def bottlenecks(period: Period, *, by: Actor) -> dict[str, Any]:
    """S1-35: where leads pile up: more came in than went out, and the stay takes a large share of all time."""
    flow = flow_of(period, by=by)
    spent = sum((flow.of(status).spent for status in flow.open), timedelta()).total_seconds()
    exits = sum(flow.of(status).exits for status in flow.open)
    usual = spent / exits / 3600 if exits else 0.0
    rows = []
    for status in flow.open:
        stay = flow.of(status)
        lost = sum(
            number
            for pk, (number, _spent) in stay.went_to.items()
            if any(target.pk == pk and target.category == StatusCategory.LOST for target in flow.statuses)
        )
        slowness = stay.average_hours / usual if stay.average_hours is not None and usual else 0.0
        piling = stay.entries / stay.exits if stay.exits else float(bool(stay.entries)) * 2
        rows.append(
            {
                "status_id": status.number,
                "status_name": status.code,
                "status_label": status.label,
                "total_entries": stay.entries,
                "total_exits": stay.exits,
                "currently_in_stage": flow.present.get(status.pk, 0),
                "avg_duration_hours": stay.average_hours,
                "share_of_time": percent(stay.spent.total_seconds(), spent),
                "throughput_rate": percent(stay.exits, stay.entries),
                "loss_rate": percent(lost, stay.exits),
                "slowness": round(slowness, 2),
                "is_bottleneck": slowness >= 1.5 or (piling >= 1.25 and slowness >= 1),
            }
        )
    rows.sort(key=lambda row: (-row["is_bottleneck"], -row["share_of_time"], row["status_id"]))  # type: ignore[operator]
    worst = rows[0]["status_name"] if rows and rows[0]["total_exits"] else None
    return {"avg_stage_hours": round(usual, 2) if exits else None, "slowest_share": worst, "stages": rows}
