"""The daily figures tell who waits; somebody's own figures are counted from one index; clocks know their owner for counting."""

from datetime import timedelta

from django.db import migrations, models

_ENTERED = "(entered_at AT TIME ZONE 'UTC')::date"
_EXITED = "(exited_at AT TIME ZONE 'UTC')::date"
_WAITED = "(entered_at AT TIME ZONE 'UTC') - (entered_at AT TIME ZONE 'UTC')::date"


def _days(rows: str, sign: str, *, waiting: bool) -> str:
    minus = "-" if sign == "-" else ""
    entered = exited = ""
    if waiting:
        entered = f""", CASE WHEN exited_at IS NULL THEN {sign}1 ELSE 0 END AS waiting,
               CASE WHEN exited_at IS NULL THEN {minus}({_WAITED}) ELSE interval '0' END AS waiting_from"""
        exited = ", 0, interval '0'"
    return f"""
        SELECT tenant_id, {_ENTERED} AS day, status_id, NULL::bigint AS left_to_id, {sign}1 AS entries, 0 AS exits,
               interval '0' AS spent, 0 AS over_24h, 0 AS over_48h{entered} FROM {rows} WHERE is_counted
        UNION ALL
        SELECT tenant_id, {_EXITED}, status_id, left_to_id, 0, {sign}1, {minus}duration,
               CASE WHEN duration > interval '24 hours' THEN {sign}1 ELSE 0 END,
               CASE WHEN duration > interval '48 hours' THEN {sign}1 ELSE 0 END{exited}
        FROM {rows} WHERE is_counted AND exited_at IS NOT NULL"""


def _users(rows: str, sign: str) -> str:
    minus = "-" if sign == "-" else ""
    return f"""
        SELECT tenant_id, {_ENTERED} AS day, user_id, status_id, {sign}1 AS moves, 0 AS exits, interval '0' AS spent
        FROM {rows} WHERE is_counted AND user_id IS NOT NULL AND came_from_id IS NOT NULL
        UNION ALL
        SELECT tenant_id, {_EXITED}, user_id, status_id, 0, {sign}1, {minus}duration
        FROM {rows} WHERE is_counted AND user_id IS NOT NULL AND exited_at IS NOT NULL"""


def _spans(rows: str, sign: str) -> str:
    return f"""
        SELECT tenant_id, status_id, ceil(extract(epoch FROM duration) / 3600)::integer AS hours, {sign}1 AS stays
        FROM {rows} WHERE is_counted AND exited_at IS NOT NULL"""


def _day_rows(parts: tuple[tuple[str, str], ...], *, waiting: bool) -> str:
    names = ["entries", "exits", "spent", "over_24h", "over_48h", *(["waiting", "waiting_from"] if waiting else [])]
    zeros = " OR ".join(f"sum({name}) <> {_zero(name)}" for name in names)
    changes = " UNION ALL ".join(_days(rows, sign, waiting=waiting) for rows, sign in parts)
    key = "tenant_id, day, status_id, left_to_id"
    return f"""
    INSERT INTO pipeline_stageday ({key}, {", ".join(names)}, is_folded)
    SELECT {key}, {", ".join(f"sum({name})" for name in names)}, false FROM ({changes}) AS changes GROUP BY {key} HAVING {zeros};"""


def _zero(name: str) -> str:
    return "interval '0'" if name in ("spent", "waiting_from") else "0"


def _move_rows(parts: tuple[tuple[str, str], ...]) -> str:
    users = " UNION ALL ".join(_users(rows, sign) for rows, sign in parts)
    spans = " UNION ALL ".join(_spans(rows, sign) for rows, sign in parts)
    return f"""
    INSERT INTO pipeline_stageuserday (tenant_id, day, user_id, status_id, moves, exits, spent, is_folded)
    SELECT tenant_id, day, user_id, status_id, sum(moves), sum(exits), sum(spent), false FROM ({users}) AS changes
    GROUP BY tenant_id, day, user_id, status_id HAVING sum(moves) <> 0 OR sum(exits) <> 0 OR sum(spent) <> interval '0';
    INSERT INTO pipeline_stagespan (tenant_id, status_id, hours, stays, is_folded)
    SELECT tenant_id, status_id, hours, sum(stays), false FROM ({spans}) AS changes
    GROUP BY tenant_id, status_id, hours HAVING sum(stays) <> 0;"""


def _figures(*, waiting: bool) -> str:
    new, old = (("new_rows", "+"),), (("old_rows", "-"),)
    # Of new leads there is nothing to say but that they came: most inserts are theirs.
    unless_new = _move_rows(new)
    if waiting:
        unless_new = f"IF EXISTS (SELECT FROM new_rows WHERE came_from_id IS NOT NULL OR exited_at IS NOT NULL) THEN {unless_new} END IF;"
    return f"""
CREATE OR REPLACE FUNCTION pipeline_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {_day_rows(new, waiting=waiting)} {unless_new}
    ELSIF TG_OP = 'DELETE' THEN {_day_rows(old, waiting=waiting)} {_move_rows(old)}
    ELSE {_day_rows((*new, *old), waiting=waiting)} {_move_rows((*new, *old))}
    END IF;
    RETURN NULL;
END $$;
"""  # noqa: S608 -- our own names


_FILL = f"""
INSERT INTO pipeline_stageday
    (tenant_id, day, status_id, left_to_id, entries, exits, spent, over_24h, over_48h, waiting, waiting_from, is_folded)
SELECT tenant_id, {_ENTERED}, status_id, NULL, 0, 0, interval '0', 0, 0, count(*), sum({_WAITED}), false
FROM pipeline_leadstage WHERE is_counted AND exited_at IS NULL GROUP BY tenant_id, {_ENTERED}, status_id;
UPDATE pipeline_slaclock AS clock SET owner_id = lead.owner_id FROM leads_lead AS lead
WHERE lead.tenant_id = clock.tenant_id AND lead.id = clock.lead_id AND clock.ended_at IS NULL AND lead.owner_id IS NOT NULL;
"""  # noqa: S608 -- our own names


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0003_service_levels")]

    operations = [
        migrations.RemoveIndex(model_name="leadstage", name="pipeline_stage_lead"),
        migrations.AddIndex(
            model_name="leadstage",
            index=models.Index(
                fields=["tenant", "lead", "id"],
                include=("status", "left_to", "entered_at", "exited_at", "is_counted"),
                name="pipeline_stage_lead",
            ),
        ),
        migrations.AddField(model_name="slaclock", name="owner_id", field=models.BigIntegerField(null=True)),
        migrations.AddIndex(
            model_name="slaclock",
            index=models.Index(
                condition=models.Q(("ended_at", None)),
                fields=["tenant", "owner_id", "due_at"],
                include=("paused_at",),
                name="pipeline_clock_owner",
            ),
        ),
        migrations.AddField(model_name="stageday", name="waiting", field=models.BigIntegerField(default=0)),
        migrations.AddField(model_name="stageday", name="waiting_from", field=models.DurationField(default=timedelta)),
        migrations.RunSQL(_figures(waiting=True), reverse_sql=_figures(waiting=False)),
        migrations.RunSQL(_FILL, reverse_sql=migrations.RunSQL.noop),
    ]
