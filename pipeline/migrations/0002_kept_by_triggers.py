"""Stays are written by statement triggers of the lead's table, and figures by those of the stays; leads of before are filled in."""

from django.db import migrations

# A statement inside a trigger keeps the plan of its first run, made for a row or two: what compares the rows before and after
# groups them instead of joining them, which costs the same for one and for a thousand.
_STAGES = """
CREATE OR REPLACE FUNCTION pipeline_actor(tenant bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    -- Platform staff act in tenants that are not theirs.
    SELECT id FROM identity_user
    WHERE tenant_id = tenant AND id = (NULLIF(current_setting('pghistory.context_metadata', true), '')::jsonb ->> 'user')::bigint
$$;

CREATE OR REPLACE FUNCTION pipeline_begin_stages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pipeline_leadstage
        (tenant_id, lead_id, status_id, entered_at, user_id, notes, next_action_required, rules_skipped, is_counted)
    SELECT tenant_id, id, status_id, status_changed_at, created_by_id, '', '', false, deleted_at IS NULL FROM new_rows;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION pipeline_move_stages() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
    binned bigint;
BEGIN
    SELECT count(*) FILTER (WHERE status), count(*) FILTER (WHERE bin) INTO moved, binned FROM (
        SELECT min(status_id) <> max(status_id) AS status, count(deleted_at) = 1 AS bin
        FROM (SELECT id, status_id, deleted_at FROM old_rows UNION ALL SELECT id, status_id, deleted_at FROM new_rows) AS both_rows
        GROUP BY id
    ) AS compared WHERE status OR bin;
    IF moved > 0 THEN
        -- An undo gives the status back with its old moment, which lies before the stay that ends now.
        UPDATE pipeline_leadstage AS stage SET
            left_to_id = lead.status_id,
            exited_at = CASE WHEN lead.changed_at <> lead.changed_before AND lead.changed_at >= stage.entered_at THEN lead.changed_at
                        ELSE greatest(stage.entered_at, statement_timestamp()) END
        FROM (
            SELECT id, max(tenant_id) AS tenant_id, max(status_id) FILTER (WHERE is_new) AS status_id,
                   max(status_changed_at) FILTER (WHERE is_new) AS changed_at,
                   max(status_changed_at) FILTER (WHERE NOT is_new) AS changed_before
            FROM (
                SELECT id, tenant_id, status_id, status_changed_at, true AS is_new FROM new_rows
                UNION ALL SELECT id, tenant_id, status_id, status_changed_at, false FROM old_rows
            ) AS both_rows GROUP BY id HAVING min(status_id) <> max(status_id)
        ) AS lead
        WHERE stage.tenant_id = lead.tenant_id AND stage.lead_id = lead.id AND stage.exited_at IS NULL;
        INSERT INTO pipeline_leadstage
            (tenant_id, lead_id, status_id, came_from_id, entered_at, user_id, notes, next_action_required, rules_skipped, is_counted)
        SELECT lead.tenant_id, lead.id, lead.status_id, lead.came_from, coalesce(ended.exited_at, lead.changed_at),
               pipeline_actor(lead.tenant_id), '', '',
               NOT EXISTS (
                   SELECT FROM leads_leadtransition AS allowed
                   WHERE allowed.tenant_id = lead.tenant_id AND allowed.source_id = lead.came_from AND allowed.target_id = lead.status_id
               ),
               lead.is_live
        FROM (
            SELECT id, max(tenant_id) AS tenant_id, max(status_id) FILTER (WHERE is_new) AS status_id,
                   max(status_id) FILTER (WHERE NOT is_new) AS came_from, max(status_changed_at) FILTER (WHERE is_new) AS changed_at,
                   count(deleted_at) FILTER (WHERE is_new) = 0 AS is_live
            FROM (
                SELECT id, tenant_id, status_id, status_changed_at, deleted_at, true AS is_new FROM new_rows
                UNION ALL SELECT id, tenant_id, status_id, status_changed_at, deleted_at, false FROM old_rows
            ) AS both_rows GROUP BY id HAVING min(status_id) <> max(status_id)
        ) AS lead
        LEFT JOIN LATERAL (
            SELECT stage.exited_at FROM pipeline_leadstage AS stage
            WHERE stage.tenant_id = lead.tenant_id AND stage.lead_id = lead.id ORDER BY stage.id DESC LIMIT 1
        ) AS ended ON true
        ORDER BY lead.id;
    END IF;
    IF binned > 0 THEN
        UPDATE pipeline_leadstage AS stage SET is_counted = lead.is_live
        FROM (
            SELECT id, max(tenant_id) AS tenant_id, bool_and(deleted_at IS NULL) FILTER (WHERE is_new) AS is_live
            FROM (
                SELECT id, tenant_id, deleted_at, true AS is_new FROM new_rows
                UNION ALL SELECT id, tenant_id, deleted_at, false FROM old_rows
            ) AS both_rows GROUP BY id HAVING count(deleted_at) = 1
        ) AS lead
        WHERE stage.tenant_id = lead.tenant_id AND stage.lead_id = lead.id AND stage.is_counted <> lead.is_live;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION pipeline_forget_stages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM pipeline_leadstage AS stage USING old_rows AS lead WHERE stage.tenant_id = lead.tenant_id AND stage.lead_id = lead.id;
    RETURN NULL;
END $$;

CREATE TRIGGER pipeline_stages_insert AFTER INSERT ON leads_lead
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pipeline_begin_stages();
CREATE TRIGGER pipeline_stages_update AFTER UPDATE ON leads_lead
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pipeline_move_stages();
CREATE TRIGGER pipeline_stages_delete AFTER DELETE ON leads_lead
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pipeline_forget_stages();
"""

_UNSTAGES = """
DROP TRIGGER pipeline_stages_insert ON leads_lead; DROP TRIGGER pipeline_stages_update ON leads_lead;
DROP TRIGGER pipeline_stages_delete ON leads_lead;
DROP FUNCTION pipeline_begin_stages(); DROP FUNCTION pipeline_move_stages(); DROP FUNCTION pipeline_forget_stages();
DROP FUNCTION pipeline_actor(bigint);
"""

_DAY, _DAYS_OF = "tenant_id, day, status_id, left_to_id", "sum(entries), sum(exits), sum(spent), sum(over_24h), sum(over_48h)"
_ENTERED = "(entered_at AT TIME ZONE 'UTC')::date"
_EXITED = "(exited_at AT TIME ZONE 'UTC')::date"


def _days(rows: str, sign: str) -> str:
    minus = "-" if sign == "-" else ""
    return f"""
        SELECT tenant_id, {_ENTERED} AS day, status_id, NULL::bigint AS left_to_id, {sign}1 AS entries, 0 AS exits,
               interval '0' AS spent, 0 AS over_24h, 0 AS over_48h FROM {rows} WHERE is_counted
        UNION ALL
        SELECT tenant_id, {_EXITED}, status_id, left_to_id, 0, {sign}1, {minus}duration,
               CASE WHEN duration > interval '24 hours' THEN {sign}1 ELSE 0 END,
               CASE WHEN duration > interval '48 hours' THEN {sign}1 ELSE 0 END
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


def _inserts(*parts: tuple[str, str]) -> str:
    def changes(of: object) -> str:
        return " UNION ALL ".join(of(rows, sign) for rows, sign in parts)  # type: ignore[operator]

    return f"""
    INSERT INTO pipeline_stageday ({_DAY}, entries, exits, spent, over_24h, over_48h, is_folded)
    SELECT {_DAY}, {_DAYS_OF}, false FROM ({changes(_days)}) AS changes GROUP BY {_DAY}
    HAVING sum(entries) <> 0 OR sum(exits) <> 0 OR sum(spent) <> interval '0' OR sum(over_24h) <> 0 OR sum(over_48h) <> 0;
    INSERT INTO pipeline_stageuserday (tenant_id, day, user_id, status_id, moves, exits, spent, is_folded)
    SELECT tenant_id, day, user_id, status_id, sum(moves), sum(exits), sum(spent), false FROM ({changes(_users)}) AS changes
    GROUP BY tenant_id, day, user_id, status_id HAVING sum(moves) <> 0 OR sum(exits) <> 0 OR sum(spent) <> interval '0';
    INSERT INTO pipeline_stagespan (tenant_id, status_id, hours, stays, is_folded)
    SELECT tenant_id, status_id, hours, sum(stays), false FROM ({changes(_spans)}) AS changes
    GROUP BY tenant_id, status_id, hours HAVING sum(stays) <> 0;"""


_FIGURES = f"""
CREATE OR REPLACE FUNCTION pipeline_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {_inserts(("new_rows", "+"))}
    ELSIF TG_OP = 'DELETE' THEN {_inserts(("old_rows", "-"))}
    ELSE {_inserts(("new_rows", "+"), ("old_rows", "-"))}
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pipeline_figures_insert AFTER INSERT ON pipeline_leadstage
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pipeline_figures();
CREATE TRIGGER pipeline_figures_update AFTER UPDATE ON pipeline_leadstage
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pipeline_figures();
CREATE TRIGGER pipeline_figures_delete AFTER DELETE ON pipeline_leadstage
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pipeline_figures();
"""

_UNFIGURES = """
DROP TRIGGER pipeline_figures_insert ON pipeline_leadstage; DROP TRIGGER pipeline_figures_update ON pipeline_leadstage;
DROP TRIGGER pipeline_figures_delete ON pipeline_leadstage; DROP FUNCTION pipeline_figures();
"""

# The history holds a lead as it was before each change: its rows and the lead itself, in order, are the statuses it went through.
_FILL = """
CREATE OR REPLACE FUNCTION pipeline_fill_stages(tenant bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    filled bigint;
BEGIN
    INSERT INTO pipeline_leadstage
        (tenant_id, lead_id, status_id, came_from_id, left_to_id, entered_at, exited_at, user_id, notes, next_action_required,
         rules_skipped, is_counted)
    WITH lead AS (
        SELECT id, status_id, status_changed_at, created_by_id, deleted_at IS NULL AS is_live FROM leads_lead AS it
        WHERE tenant_id = tenant
            AND NOT EXISTS (SELECT FROM pipeline_leadstage AS stage WHERE stage.tenant_id = tenant AND stage.lead_id = it.id)
    ), seen AS (
        SELECT lead.id, old.pgh_id AS place, old.status_id, old.status_changed_at AS changed_at, old.pgh_created_at AS until,
               (old.pgh_context ->> 'user')::bigint AS changer
        FROM lead JOIN leads_leadhistory AS old ON old.tenant_id = tenant AND old.pgh_obj_id = lead.id
        WHERE old.pgh_label = 'changed'
        UNION ALL
        SELECT id, NULL, status_id, status_changed_at, NULL, NULL FROM lead
    ), stepped AS (
        SELECT *, lag(status_id) OVER steps AS before, lag(until) OVER steps AS since, lag(changer) OVER steps AS mover, lag(changed_at) OVER steps AS changed_before
        FROM seen WINDOW steps AS (PARTITION BY id ORDER BY place NULLS LAST)
    ), begun AS (
        SELECT id, place, status_id, before, mover,
               -- The moment that the lead itself remembers; after an undo it is an older one, and the change's own moment counts.
               max(CASE WHEN before IS NULL OR (changed_at > changed_before AND changed_at <= since) THEN changed_at ELSE since END)
                   OVER (PARTITION BY id ORDER BY place NULLS LAST) AS entered_at
        FROM stepped WHERE before IS DISTINCT FROM status_id
    )
    SELECT tenant, begun.id, begun.status_id, begun.before, lead(begun.status_id) OVER steps, begun.entered_at,
           lead(begun.entered_at) OVER steps, person.id, '', '',
           begun.before IS NOT NULL AND NOT EXISTS (
               SELECT FROM leads_leadtransition AS allowed
               WHERE allowed.tenant_id = tenant AND allowed.source_id = begun.before AND allowed.target_id = begun.status_id
           ),
           lead.is_live
    FROM begun JOIN lead ON lead.id = begun.id
    LEFT JOIN identity_user AS person
        ON person.tenant_id = tenant AND person.id = CASE WHEN begun.before IS NULL THEN lead.created_by_id ELSE begun.mover END
    WINDOW steps AS (PARTITION BY begun.id ORDER BY begun.place NULLS LAST)
    ORDER BY begun.id, begun.place NULLS LAST;
    GET DIAGNOSTICS filled = ROW_COUNT;
    RETURN filled;
END $$;
SELECT pipeline_fill_stages(id) FROM tenancy_tenant;
"""


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0001_initial"), ("leads", "0010_transitions_ask"), ("tenancy", "0001_initial")]

    operations = [
        migrations.RunSQL(_STAGES, reverse_sql=_UNSTAGES),
        migrations.RunSQL(_FIGURES, reverse_sql=_UNFIGURES),
        migrations.RunSQL(_FILL, reverse_sql="DROP FUNCTION pipeline_fill_stages(bigint);"),
    ]
