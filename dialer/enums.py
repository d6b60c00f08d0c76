"""Vocabularies of the dialer (rules 2.6, 2.7, 2.22)."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AgentKind(models.TextChoices):
    HUMAN = "human", _("People")
    AUTOMATED = "automated", _("Automated")


class DialMode(models.TextChoices):
    """How the next call starts for a person: when they say so, by itself, or on several lines at once."""

    PREVIEW = "preview", _("Preview")
    PROGRESSIVE = "progressive", _("Progressive")
    POWER = "power", _("Power")


class EntryStatus(models.TextChoices):
    NEW = "new", _("New")
    IN_PROGRESS = "in_progress", _("In progress")
    DONE = "done", _("Done")


class Disposition(models.TextChoices):
    """How it ended with an entry: document 2's four, then what the product adds."""

    COMPLETED = "completed", _("Completed")
    NO_ANSWER = "no_answer", _("No answer")
    NOT_INTERESTED = "not_interested", _("Not interested")
    HUNG_UP = "hung_up", _("Hung up")
    WRONG_NUMBER = "wrong_number", _("Wrong number")
    DO_NOT_CALL = "do_not_call", _("Do not call")
    FAILED = "failed", _("Could not be called")


class CallStatus(models.TextChoices):
    """Where a call stands. The first three are live."""

    QUEUED = "queued", _("Queued")
    RINGING = "ringing", _("Ringing")
    IN_PROGRESS = "in_progress", _("On the line")
    COMPLETED = "completed", _("Completed")
    NO_ANSWER = "no_answer", _("No answer")
    BUSY = "busy", _("Busy")
    FAILED = "failed", _("Failed")
    CANCELED = "canceled", _("Canceled")


LIVE = (CallStatus.QUEUED, CallStatus.RINGING, CallStatus.IN_PROGRESS)


class CallOutcome(models.TextChoices):
    """Document 2's three. A call that was never placed has none."""

    ANSWERED = "answered", _("Answered")
    NO_ANSWER = "no_answer", _("No answer")
    FAILED = "failed", _("Failed")


class CallResult(models.TextChoices):
    """What came of a call, finely: what retry rules look at, and what a person says after it."""

    COMPLETED = "completed", _("Spoke with them")
    CALLBACK = "callback", _("Call back")
    NOT_INTERESTED = "not_interested", _("Not interested")
    HUNG_UP = "hung_up", _("Hung up")
    VOICEMAIL = "voicemail", _("Voicemail")
    NO_ANSWER = "no_answer", _("No answer")
    BUSY = "busy", _("Busy")
    WRONG_NUMBER = "wrong_number", _("Wrong number")
    DO_NOT_CALL = "do_not_call", _("Do not call again")
    FAILED = "failed", _("Failed")
    ABANDONED = "abandoned", _("Nobody was free")
    NOT_PLACED = "not_placed", _("Not placed")

    @property
    def outcome(self) -> CallOutcome | None:
        return _OUTCOMES[self]


_OUTCOMES = {
    CallResult.COMPLETED: CallOutcome.ANSWERED,
    CallResult.CALLBACK: CallOutcome.ANSWERED,
    CallResult.NOT_INTERESTED: CallOutcome.ANSWERED,
    CallResult.HUNG_UP: CallOutcome.ANSWERED,
    CallResult.WRONG_NUMBER: CallOutcome.ANSWERED,
    CallResult.DO_NOT_CALL: CallOutcome.ANSWERED,
    CallResult.ABANDONED: CallOutcome.ANSWERED,
    # A machine took the call; nobody did.
    CallResult.VOICEMAIL: CallOutcome.NO_ANSWER,
    CallResult.NO_ANSWER: CallOutcome.NO_ANSWER,
    CallResult.BUSY: CallOutcome.NO_ANSWER,
    CallResult.FAILED: CallOutcome.FAILED,
    CallResult.NOT_PLACED: None,
}

# What a person may say of a call, in the order of the number keys.
BY_PERSON = (
    CallResult.COMPLETED,
    CallResult.CALLBACK,
    CallResult.NOT_INTERESTED,
    CallResult.VOICEMAIL,
    CallResult.NO_ANSWER,
    CallResult.BUSY,
    CallResult.HUNG_UP,
    CallResult.WRONG_NUMBER,
    CallResult.DO_NOT_CALL,
)
# Results after which a rule may call again.
RETRYABLE = (
    CallResult.NO_ANSWER,
    CallResult.BUSY,
    CallResult.VOICEMAIL,
    CallResult.FAILED,
    CallResult.WRONG_NUMBER,
    CallResult.HUNG_UP,
    CallResult.ABANDONED,
)


class WaitReason(models.TextChoices):
    """Why an entry is not being called at this moment."""

    NOT_DUE = "not_due", _("Planned for later")
    RETRY = "retry", _("Waits for the next try")
    CALLBACK = "callback", _("A callback was agreed")
    OUTSIDE_HOURS = "outside_hours", _("Outside the agent's hours")
    HOLIDAY = "holiday", _("A holiday")
    OUTSIDE_WINDOW = "outside_window", _("Outside the hours in which this number may be called")
    DO_NOT_CALL = "do_not_call", _("On a do-not-call list")
    DAILY_CAP = "daily_cap", _("Called often enough today")
    AGENT_PAUSED = "agent_paused", _("The agent is paused")
    NO_CAPACITY = "no_capacity", _("All lines are busy")
    ABANDON_CAP = "abandon_cap", _("Too many calls were abandoned")
    IN_CALL = "in_call", _("Being called now")
    NUMBER_BUSY = "number_busy", _("This number is being called by another agent")
    HELD = "held", _("Somebody is looking at it")
    FOR_ANOTHER = "for_another", _("Waits for the person it is for")
    LEAD_GONE = "lead_gone", _("The lead was deleted")
    DONE = "done", _("Done")


class SessionState(models.TextChoices):
    """What a person in the workspace does now."""

    WAITING = "waiting", _("Waiting for the next")
    PREVIEW = "preview", _("Looking at a lead")
    DIALING = "dialing", _("Dialing")
    ON_CALL = "on_call", _("On a call")
    WRAP_UP = "wrap_up", _("Wrapping up")
    PAUSED = "paused", _("Paused")
    ENDED = "ended", _("Ended")


class PauseReason(models.TextChoices):
    """Lost network is said by the machine, the others by people."""

    BREAK = "break", _("Break")
    LUNCH = "lunch", _("Lunch")
    MEETING = "meeting", _("Meeting")
    TRAINING = "training", _("Training")
    PAPERWORK = "paperwork", _("Paperwork")
    OTHER = "other", _("Something else")
    LOST_NETWORK = "lost_network", _("Lost network")


class AnsweredBy(models.TextChoices):
    HUMAN = "human", _("A person")
    MACHINE = "machine", _("A machine")


class CallEventKind(models.TextChoices):
    STATUS = "status", _("Status")
    RECORDING = "recording", _("Recording")
    TRANSCRIPTION = "transcription", _("Transcript")
    OUTCOME = "outcome", _("Outcome")
    NOTE = "note", _("Note")
    TROUBLE = "trouble", _("Trouble")


class ProviderName(models.TextChoices):
    SIMULATOR = "simulator", _("Simulator (no real calls)")
    TWILIO = "twilio", _("Twilio")
