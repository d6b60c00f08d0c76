"""A lead's date is its earliest pending activity, whoever writes which of the two."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity
from activities.services.changes import reschedule, update_status
from activities.services.logging import ActivityDraft, log_activity
from audit.services.undo import undo_operation
from crm.bulk import update_records
from crm.operations import runner
from duplicates.services.merge_rules import MergeRules
from duplicates.services.merging import merge_leads, undo_merge
from leads.models import Lead
from leads.services.bulk import Selection, bulk_edit
from leads.services.editing import edit_lead
from tests.factories import acting, inside, make_lead

NOW = timezone.now().replace(microsecond=0)
SOON, LATER, LAST = NOW + timedelta(days=1), NOW + timedelta(days=3), NOW + timedelta(days=9)


def date_of(lead):
    return Lead.objects.get(pk=lead.pk).next_follow_up_at


def steps(lead):
    return list(Activity.objects.filter(lead=lead).order_by("pk").values_list("activity_type", "status", "due_at"))


def follow(lead, due_at, *, by, kind=ActivityType.CALL):
    return log_activity(lead_id=lead.pk, draft=ActivityDraft(activity_type=kind, description="Next", due_at=due_at), by=by)


def broken():
    """Leads whose date is not their earliest pending activity."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM leads_lead AS l WHERE next_follow_up_at IS DISTINCT FROM (SELECT min(due_at) FROM activities_activity AS a "
            "WHERE a.tenant_id = l.tenant_id AND a.lead_id = l.id AND a.status = 'pending')"
        )
        return cursor.fetchall()


def test_a_new_lead_with_a_date_has_its_follow_up(tenant, alice):
    lead = make_lead(tenant, owner=alice, priority=3, next_follow_up_at=SOON)
    with inside(tenant.pk):
        made = Activity.objects.get(lead=lead)
        assert (made.activity_type, made.status, made.due_at, made.user_id, made.priority) == ("follow_up", "pending", SOON, alice.pk, 3)


def test_a_date_set_on_the_lead_makes_then_moves_one_follow_up(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    with acting(alice) as by:
        edit_lead(lead_id=lead.pk, data={"next_follow_up_at": SOON}, by=by)
        edit_lead(lead_id=lead.pk, data={"next_follow_up_at": LATER}, by=by)
        assert steps(lead) == [("follow_up", "pending", LATER)]
        assert Activity.objects.get(lead=lead).created_by_id == alice.pk


def test_a_date_taken_away_gives_the_follow_up_up_or_has_it_done(tenant, alice):
    given_up, done = make_lead(tenant, owner=alice, next_follow_up_at=SOON), make_lead(tenant, owner=alice, next_follow_up_at=SOON)
    with acting(alice) as by:
        edit_lead(lead_id=given_up.pk, data={"next_follow_up_at": None}, by=by)
        edit_lead(lead_id=done.pk, data={"next_follow_up_at": None, "last_contact_at": NOW}, by=by)
        assert [steps(lead)[0][1] for lead in (given_up, done)] == ["cancelled", "completed"]
        assert Activity.objects.get(lead=done).completed_at is not None


def test_doing_what_is_due_advances_to_what_comes_next_and_clears_at_the_end(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    with acting(alice) as by:
        first, second = follow(lead, SOON, by=by), follow(lead, LATER, by=by)
        assert date_of(lead) == SOON
        update_status(activity_id=first.pk, status=ActivityStatus.COMPLETED, by=by)
        assert date_of(lead) == LATER
        update_status(activity_id=second.pk, status=ActivityStatus.COMPLETED, by=by)
        assert date_of(lead) is None
        assert Lead.objects.get(pk=lead.pk).last_contact_at == Activity.objects.get(pk=second.pk).completed_at


def test_putting_off_moves_the_date(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    with acting(alice) as by:
        reschedule(activity_id=follow(lead, SOON, by=by).pk, due_at=LAST, by=by)
        assert date_of(lead) == LAST


def test_tasks_and_meetings_keep_their_own_time(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    with acting(alice) as by:
        follow(lead, SOON, by=by, kind=ActivityType.MEETING)
        edit_lead(lead_id=lead.pk, data={"next_follow_up_at": LATER}, by=by)
        assert date_of(lead) == SOON
        assert sorted(steps(lead)) == [("follow_up", "pending", LATER), ("meeting", "pending", SOON)]
        edit_lead(lead_id=lead.pk, data={"next_follow_up_at": None}, by=by)
        assert (date_of(lead), sorted(steps(lead))[0][1]) == (SOON, "cancelled")


def test_open_work_goes_with_the_lead_to_its_next_owner(tenant, alice, bob):
    lead = make_lead(tenant, owner=alice, next_follow_up_at=SOON)
    with acting(alice):
        Lead.objects.filter(pk=lead.pk).update(owner=bob)
        assert Activity.objects.get(lead=lead).user_id == bob.pk
        Lead.objects.filter(pk=lead.pk).update(owner=None)
        assert Activity.objects.get(lead=lead).user_id is None


def test_copied_rows_and_plain_updates_are_followed_too(tenant, alice):
    leads = [make_lead(tenant, owner=alice, next_follow_up_at=SOON if number % 2 else None) for number in range(6)]
    with acting(alice):
        for lead in leads:
            lead.next_follow_up_at = LATER
        update_records(leads, ["next_follow_up_at"])
        assert [steps(lead) for lead in leads] == [[("follow_up", "pending", LATER)]] * 6
        Lead.objects.filter(pk__in=[lead.pk for lead in leads[:3]]).update(next_follow_up_at=None)
        assert broken() == []


def test_an_undone_bulk_edit_leaves_dates_and_follow_ups_as_they_were(tenant, alice):
    had, had_not = make_lead(tenant, owner=alice, next_follow_up_at=SOON), make_lead(tenant, owner=alice)
    with acting(alice) as by:
        operation = bulk_edit(selection=Selection(ids=[had.pk, had_not.pk]), updates={"next_follow_up_at": LATER}, by=by)
        runner.run_inline(operation)
        assert [date_of(lead) for lead in (had, had_not)] == [LATER, LATER]
        undo = undo_operation(operation=operation, by=by)
        runner.run_inline(undo)
        assert undo.failed == 0
        assert [date_of(lead) for lead in (had, had_not)] == [SOON, None]
        assert (steps(had), [step[1] for step in steps(had_not)]) == ([("follow_up", "pending", SOON)], ["cancelled"])


def test_merged_leads_bring_their_work_along_and_part_with_it(tenant, alice):
    winner, loser = (
        make_lead(tenant, owner=alice, first_name="Jane"),
        make_lead(tenant, owner=alice, first_name="Jane", next_follow_up_at=SOON),
    )
    with acting(alice) as by:
        note = log_activity(lead_id=loser.pk, draft=ActivityDraft(activity_type=ActivityType.NOTE, description="Likes tea"), by=by)
        merge = merge_leads(target_id=winner.pk, source_ids=[loser.pk], rules=MergeRules(), by=by)
        assert Activity.objects.get(pk=note.pk).lead_id == winner.pk
        assert (date_of(winner), broken()) == (SOON, [])
        undo_merge(merge_id=merge.merges[0].pk, by=by)
        assert Activity.objects.get(pk=note.pk).lead_id == loser.pk
        assert (date_of(winner), date_of(loser), broken()) == (None, SOON, [])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_the_two_agree_after_any_mixture_of_writes(tenant, alice, bob, seed):
    dice = random.Random(seed)
    leads = [make_lead(tenant, owner=dice.choice((alice, bob, None)), next_follow_up_at=dice.choice((None, SOON, LATER))) for _ in range(4)]
    moments = (None, SOON, LATER, LAST)
    with acting(alice) as by:
        for _ in range(40):
            lead, moment = dice.choice(leads), dice.choice(moments)
            match dice.randrange(7):
                case 0:
                    edit_lead(lead_id=lead.pk, data={"next_follow_up_at": moment}, by=by)
                case 1:
                    Lead.objects.filter(pk__in=[item.pk for item in dice.sample(leads, 2)]).update(next_follow_up_at=moment)
                case 2:
                    follow(lead, moment, by=by, kind=dice.choice((ActivityType.CALL, ActivityType.TASK, ActivityType.MEETING)))
                case 3:
                    Activity.objects.filter(lead=lead, status="pending").update(due_at=moment)
                case 4:
                    for row in Activity.objects.filter(lead=lead, status="pending")[:1]:
                        update_status(activity_id=row.pk, status=dice.choice((ActivityStatus.COMPLETED, ActivityStatus.CANCELLED)), by=by)
                case 5:
                    Activity.objects.filter(lead=lead).update(lead=dice.choice(leads).pk)
                case 6:
                    Lead.objects.filter(pk=lead.pk).update(owner=dice.choice((alice, bob, None)))
            assert broken() == []
