"""A small IMAP server on loopback: what imap-tools and the mailbox worker say to one, with faults on demand."""

import re
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class Message:
    """A mail in a folder."""

    uid: int
    raw: bytes
    flags: set[str] = field(default_factory=set)


@dataclass
class Folder:
    """Its mails by UID, in order."""

    validity: int = 1
    next_uid: int = 1
    messages: list[Message] = field(default_factory=list)

    def add(self, raw: bytes, *flags: str) -> Message:
        message = Message(self.next_uid, raw, set(flags))
        self.next_uid += 1
        self.messages.append(message)
        return message


class ImapServer(socketserver.ThreadingTCPServer):
    """Use as a context manager. `port` is where it listens; `commands` is what it was told."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        *,
        user: str = "leads",
        password: str = "secret",
        capabilities: str = "IMAP4rev1 MOVE UIDPLUS",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.port: int = self.server_address[1]
        self.user, self.password, self.capabilities = user, password, capabilities
        self.folders = {"INBOX": Folder(), "Done": Folder()}
        self.commands: list[str] = []
        self.tls = tls
        # Before a command whose line holds the word: wait so long, or hang up.
        self.slow: tuple[str, float] = ("", 0)
        self.drop_at = ""

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        plain, address = super().get_request()
        return (self.tls.wrap_socket(plain, server_side=True) if self.tls else plain), address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""

    @property
    def inbox(self) -> Folder:
        return self.folders["INBOX"]

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()


class _Conversation(socketserver.StreamRequestHandler):
    server: ImapServer

    def handle(self) -> None:
        self.folder: Folder | None = None
        self.signed_in = False
        self.say("* OK ready")
        while line := self.rfile.readline().decode("latin-1").rstrip("\r\n"):
            tag, _, rest = line.partition(" ")
            self.server.commands.append(rest)
            word, seconds = self.server.slow
            if word and word in rest:
                time.sleep(seconds)
            if self.server.drop_at and self.server.drop_at in rest:
                return
            try:
                ended = self.answer(tag, rest)
            except OSError:
                return
            if ended:
                return

    def say(self, text: str) -> None:
        self.wfile.write(text.encode("latin-1") + b"\r\n")

    def answer(self, tag: str, rest: str) -> bool:
        verb, _, arguments = rest.partition(" ")
        verb = verb.upper()
        if verb == "CAPABILITY":
            self.say(f"* CAPABILITY {self.server.capabilities}")
        elif verb == "LOGOUT":
            self.say("* BYE")
        elif verb == "LOGIN":
            self.signed_in = [word.strip('"') for word in arguments.split(" ")] == [self.server.user, self.server.password]
            if not self.signed_in:
                self.say(f"{tag} NO [AUTHENTICATIONFAILED] wrong")
                return False
        elif not self.signed_in:
            self.say(f"{tag} BAD sign in first")
            return False
        elif verb in ("STATUS", "SELECT"):
            name = arguments.partition(" (")[0].strip('"')
            folder = self.server.folders.get(name)
            if folder is None:
                self.say(f"{tag} NO no such folder")
                return False
            if verb == "STATUS":
                self.say(f'* STATUS "{name}" (UIDVALIDITY {folder.validity} UIDNEXT {folder.next_uid})')
            else:
                self.folder = folder
                self.say(f"* {len(folder.messages)} EXISTS")
        elif verb == "UID" and self.folder is not None:
            self.by_uid(self.folder, *arguments.split(" ", 2))
        else:
            self.say(f"{tag} BAD unknown")
            return False
        self.say(f"{tag} OK done")
        return verb == "LOGOUT"

    def by_uid(self, folder: Folder, verb: str, uids: str, rest: str = "") -> None:
        if verb.upper() == "SEARCH":
            self.say("* SEARCH " + " ".join(str(uid) for uid in self.search(folder, f"{uids} {rest}")))
            return
        chosen = [message for message in folder.messages if message.uid in self.range(folder, uids)]
        for message in chosen:
            number = folder.messages.index(message) + 1
            if verb.upper() == "FETCH":
                most = int(re.search(r"<0\.(\d+)>", rest)[1])
                raw = message.raw[:most]
                self.wfile.write(f"* {number} FETCH (UID {message.uid} BODY[]<0> {{{len(raw)}}}\r\n".encode() + raw + b")\r\n")
            elif verb.upper() == "STORE":
                message.flags |= set(re.findall(r"\\\w+", rest))
            elif verb.upper() in ("COPY", "MOVE"):
                self.server.folders[rest.strip('"')].add(message.raw, *message.flags)
            if verb.upper() == "MOVE" or (verb.upper() == "EXPUNGE" and "\\Deleted" in message.flags):
                folder.messages.remove(message)

    @staticmethod
    def range(folder: Folder, text: str) -> set[int]:
        """A sequence set. As the standard has it, `9:*` holds the last mail even where its UID is lower."""
        last = max((message.uid for message in folder.messages), default=0)
        found: set[int] = set()
        for part in text.split(","):
            start, _, end = part.partition(":")
            bounds = sorted((last if start == "*" else int(start), last if (end or start) == "*" else int(end or start)))
            found |= set(range(bounds[0], bounds[1] + 1))
        return found

    def search(self, folder: Folder, criteria: str) -> list[int]:
        """`UID a:*`, optionally with `OR UID b:* UNSEEN`."""
        match = re.fullmatch(r"UID (\S+)(?: OR UID (\S+) UNSEEN)?", criteria.strip())
        assert match, criteria
        among, fresh = self.range(folder, match[1]), self.range(folder, match[2]) if match[2] else None
        return [
            message.uid
            for message in folder.messages
            if message.uid in among and (fresh is None or message.uid in fresh or "\\Seen" not in message.flags)
        ]
