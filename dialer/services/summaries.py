"""What a transcript says, by rule: a summary of two lines, and the result its words give away."""

import re
import textwrap

from django.core.files.base import ContentFile

from dialer.enums import CallResult
from dialer.models import Call

LONGEST = 200_000
_SUMMARY = 300
_LINE = re.compile(r"^\s*(?P<who>[^:\n]{1,30}):\s*(?P<said>.+)$")
# The firmest words first: who says both is not called again.
_TELLING = (
    (
        CallResult.DO_NOT_CALL,
        r"(do not|don't|never) (call|phone|ring)( me)? (again|any ?more|ever)|stop (calling|phoning)|take me off|remove (me|my number)",
    ),
    (CallResult.WRONG_NUMBER, r"wrong number|no one (here )?(by|of) that name|nobody (here )?(by|of) that name"),
    (CallResult.NOT_INTERESTED, r"not interested|no interest|no,? thank(s| you)|we don't need"),
    (CallResult.CALLBACK, r"call (me )?back|call (me )?(later|tomorrow|next week|another time)|bad time|in a meeting"),
)
_PATTERNS = tuple((result, re.compile(pattern, re.IGNORECASE)) for result, pattern in _TELLING)
_MINE = frozenset({"agent", "rep", "caller", "us"})


def result_of(transcript: str) -> CallResult | None:
    """The result that the words of who was called give away; None where they say nothing of the kind."""
    words = " ".join(said for who, said in _lines(transcript) if who not in _MINE).replace("’", "'")
    return next((result for result, pattern in _PATTERNS if pattern.search(words)), None)


def summary_of(transcript: str) -> str:
    """Two lines at most: the longest thing that was said by who was called, and the last."""
    theirs = [said for who, said in _lines(transcript) if who not in _MINE]
    if not theirs:
        return ""
    longest, last = max(theirs, key=len), theirs[-1]
    told = [longest] if longest == last else [longest, last]
    return "\n".join(textwrap.shorten(line, _SUMMARY // 2, placeholder="…") for line in told)


def keep_transcript(*, call: Call, transcript: str) -> None:
    """Put a transcript beside the call, with its summary where none is there. The caller saves the call."""
    text = transcript[:LONGEST].strip()
    if not text:
        return
    call.transcript.save("transcript.txt", ContentFile(text.encode()), save=False)
    call.summary = call.summary or summary_of(text)


def transcript_of(call: Call) -> str:
    """A call's transcript; empty where there is none, or its file is gone."""
    try:
        with call.transcript.open("rb") as file:
            return str(file.read(LONGEST).decode(errors="replace"))
    except (FileNotFoundError, ValueError):
        return ""


def _lines(transcript: str) -> list[tuple[str, str]]:
    """Who said what; a line without a name is of who was called."""
    spoken = []
    for line in transcript.splitlines():
        match = _LINE.match(line)
        if match:
            spoken.append((match["who"].strip().casefold(), match["said"].strip()))
        elif line.strip():
            spoken.append(("", line.strip()))
    return spoken
