"""`notify.email`: one message over SMTP, by a server whose address is a secret: `smtps://user:password@host:465`."""

import asyncio
import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterable, Sequence
from email.message import EmailMessage
from email.utils import localtime
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field, StringConstraints

from holdfast.errors import Misconfigured, ToolFailed
from holdfast.sandbox.port import SecretSource
from holdfast.tools.builtin.secrets import permitted
from holdfast.tools.declare import Tool, ToolContext, declared
from schemas.base import Name, Payload, Request
from schemas.tools import EffectClass, ToolExample

_PATIENCE_S = 30
_TRUST = "It has to be valid for that name, by an authority that the worker's host trusts."
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=500)]
Mailbox = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}$", max_length=254)
]


class Mail(Request):
    server: Name = Field(description="The name of the secret that holds the server's address.")
    sender: Mailbox
    to: tuple[Mailbox, ...] = Field(min_length=1, max_length=20)
    subject: Line = Field(min_length=1)
    text: str = Field(max_length=100_000)


class Sent(Payload):
    message_id: str
    refused: tuple[str, ...] = ()

    def told(self) -> str:
        return "sent" + (f", but not to {', '.join(self.refused)}" if self.refused else "")


def mail_tools(secrets: SecretSource) -> Sequence[Tool]:
    @declared(
        "notify.email",
        version="1.0.2",
        effect=EffectClass.IRREVERSIBLE,
        timeout_s=90,
        risk="medium",
        examples=(
            ToolExample(
                title="Tell the owner",
                arguments={
                    "server": "smtp",
                    "sender": "holdfast@example.com",
                    "to": ["owner@example.com"],
                    "subject": "The disk of db-1 is full",
                    "text": "It will be cleaned up tonight.",
                },
                needs="a manifest over it that names the secret smtp, and that secret",
            ),
        ),
    )
    async def email(arguments: Mail, context: ToolContext) -> Sent:
        """Sends an e-mail as plain text."""
        url = await permitted(secrets, arguments.server, context)
        delivery = _Delivery(url, _message(arguments, context))
        try:
            return await asyncio.to_thread(delivery.made)
        except asyncio.CancelledError:
            delivery.abandon()
            raise

    return (email,)


def _message(mail: Mail, context: ToolContext) -> EmailMessage:
    """The id comes from the action, so that a repeated message can be told from a new one."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, ", ".join(mail.to), mail.subject
    message["Message-ID"] = f"<{context.idempotency_key[-40:]}@{mail.sender.rpartition('@')[2]}>"
    message["Date"], message["Auto-Submitted"] = localtime(), "auto-generated"
    message["X-Holdfast-Run"] = context.action.run_id
    message.set_content(mail.text)
    return message


class _Delivery:
    """One message handed to one server, in a thread; what is given up is not sent later."""

    def __init__(self, url: str, message: EmailMessage) -> None:
        self._parts = urlsplit(url)
        self._message = message
        self._server: smtplib.SMTP | None = None
        self._abandoned = self._begun = False

    def abandon(self) -> None:
        self._abandoned = True
        if self._server is not None and self._server.sock is not None:
            with contextlib.suppress(OSError):
                self._server.sock.shutdown(socket.SHUT_RDWR)

    def made(self) -> Sent:
        parts = self._parts
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise Misconfigured(
                "The secret of the mail server is no address of one.",
                remedy="Write it as smtps://user:password@host:465, or smtp:// for STARTTLS.",
            )
        try:
            with self._opened(parts.scheme, parts.hostname) as self._server:
                self._introduced(self._server)
                refused = self._sent(self._server)
        except (OSError, smtplib.SMTPException) as error:
            raise _failure(parts.hostname, error, begun=self._begun) from error
        return Sent(message_id=str(self._message["Message-ID"]), refused=tuple(sorted(refused)))

    def _sent(self, server: smtplib.SMTP) -> Iterable[str]:
        if self._abandoned:
            return ()
        self._begun = True
        return server.send_message(self._message)

    def _opened(self, scheme: str, host: str) -> smtplib.SMTP:
        try:
            port = self._parts.port
        except ValueError as error:
            raise Misconfigured("The mail server's port is no port.", remedy="Mend its secret.") from error
        if scheme == "smtps":
            return smtplib.SMTP_SSL(
                host, port or 465, timeout=_PATIENCE_S, context=ssl.create_default_context()
            )
        return smtplib.SMTP(host, port or 587, timeout=_PATIENCE_S)

    def _introduced(self, server: smtplib.SMTP) -> None:
        """A password goes through TLS or not at all."""
        if self._parts.username:
            if self._parts.scheme == "smtp":
                server.starttls(context=ssl.create_default_context())
            server.login(unquote(self._parts.username), unquote(self._parts.password or ""))


def _failure(host: str, error: Exception, *, begun: bool) -> ToolFailed:
    """What the server said of the message; of the login nothing, as a server may repeat it."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            why = "; ".join(f"{to}: {_said(*reply)}" for to, reply in error.recipients.items())
            return ToolFailed(
                f"The server refused every recipient: {why}"[:1000], remedy="Mend the addresses."
            )
        case smtplib.SMTPAuthenticationError():
            said, remedy = f"refused the login ({error.smtp_code})", "Mend user and password in its secret."
        case smtplib.SMTPNotSupportedError():
            said, remedy = "offers no STARTTLS, or no login", "Use smtps://, or leave user and password out."
        case smtplib.SMTPSenderRefused() | smtplib.SMTPDataError():
            said = f"refused the message: {_said(error.smtp_code, error.smtp_error)}"
            remedy = "The sender has to be one that this server sends for."
        case ssl.SSLCertVerificationError():
            said, remedy = f"has a certificate that does not hold: {error.verify_message}", _TRUST
        case ssl.SSLError():
            said, remedy = "speaks no TLS on this port", "Use smtp:// for STARTTLS, smtps:// for TLS at once."
        case smtplib.SMTPServerDisconnected() | TimeoutError():
            said = "fell silent" + (" over the message, which may have gone out" if begun else "")
            remedy = (
                "Ask its recipients before sending it again." if begun else "Is it up, and is its port right?"
            )
        case smtplib.SMTPConnectError() | OSError():
            said, remedy = f"cannot be reached ({type(error).__name__})", "Is it up, and is its port right?"
        case _:
            said, remedy = f"failed ({type(error).__name__})", ""
    return ToolFailed(f"The mail server {host} {said}.", remedy=remedy)


def _said(code: int, text: bytes | str) -> str:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())}"[:300]
