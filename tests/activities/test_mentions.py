"""Names in texts: stored as marks, shown safely, cut nowhere."""

from activities.services.mentions import marked_text, mentioned_ids, plain_text
from activities.templatetags.activities import mentions
from tests.factories import make_user


def test_a_full_name_becomes_a_mark_and_reads_as_typed(tenant):
    ann, annlee = make_user(tenant, first_name="Ann", last_name=""), make_user(tenant, first_name="Ann", last_name="Lee")
    text = "Ask @Ann Lee, @ann and a@Ann.example, @Annabel"
    marked = marked_text(text, [ann, annlee])
    assert marked == f"Ask @[Ann Lee]({annlee.pk}), @[Ann]({ann.pk}) and a@Ann.example, @Annabel"
    assert mentioned_ids(marked) == [annlee.pk, ann.pk]
    assert plain_text(marked) == "Ask @Ann Lee, @Ann and a@Ann.example, @Annabel"
    assert marked_text(marked, [ann, annlee]) == marked


def test_two_of_one_name_are_not_guessed_between(tenant):
    twins = [make_user(tenant, first_name="Ann", last_name="Lee") for _ in range(2)]
    assert marked_text("Hello @Ann Lee", twins) == "Hello @Ann Lee"


def test_everything_but_the_mark_is_escaped():
    assert mentions('<b>@[<i>"x"](3)\n&') == '&lt;b&gt;<span class="mention">@&lt;i&gt;&quot;x&quot;</span><br>&amp;'
