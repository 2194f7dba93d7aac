"""`notify.email`: one message over SMTP, by a server whose address is a secret: `smtps://user:password@host:465`."""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
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
            ),
        ),
    )
    async def email(arguments: Mail, context: ToolContext) -> Sent:
        """Sends an e-mail as plain text."""
        url = await permitted(secrets, arguments.server, context)
        message = _message(arguments, context)
        return await asyncio.to_thread(_send, url, message)

    return (email,)


def _message(mail: Mail, context: ToolContext) -> EmailMessage:
    """The id comes from the action, so that a repeated message can be told from a new one."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, ", ".join(mail.to), mail.subject
    message["Message-ID"] = f"<{context.idempotency_key[-40:]}@{mail.sender.rpartition('@')[2]}>"
    message["X-Holdfast-Run"] = context.action.run_id
    message.set_content(mail.text)
    return message


def _send(url: str, message: EmailMessage) -> Sent:
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise Misconfigured("The secret of the mail server is no smtp:// or smtps:// address.")
    try:
        with _opened(parts.scheme, parts.hostname, parts.port) as server:
            if parts.username:
                if parts.scheme == "smtp":
                    server.starttls(context=ssl.create_default_context())
                server.login(unquote(parts.username), unquote(parts.password or ""))
            refused = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        raise ToolFailed(f"The server refused every recipient: {', '.join(error.recipients)}.") from error
    except (OSError, smtplib.SMTPException) as error:
        raise ToolFailed(f"The mail server {parts.hostname} failed: {type(error).__name__}.") from error
    return Sent(message_id=str(message["Message-ID"]), refused=tuple(sorted(refused)))


def _opened(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=_PATIENCE_S, context=ssl.create_default_context())
    return smtplib.SMTP(host, port or 587, timeout=_PATIENCE_S)
