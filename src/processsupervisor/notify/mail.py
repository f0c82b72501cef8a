"""A message by mail: SMTP with STARTTLS, TLS or neither. Loaded by the sending process only.

Delivered means that the server took it for every address; those that it refused are tried again without the
others. Its Message-ID is that of the message, so a second copy is known as one.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate

from processsupervisor.config.spec import NotifySpec
from processsupervisor.notify.job import Result
from processsupervisor.notify.message import Message


def send_mail(channel: NotifySpec, login: tuple[str, str] | None, message: Message, timeout_s: float) -> Result:
    """Send the message to the channel's addresses; raises OSError (all of smtplib's errors are some) when it was not taken."""
    host, _, port = (channel["server"] or "").rpartition(":")
    host = host.strip("[]")
    context = ssl.create_default_context()
    try:
        if channel["tls"] == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, int(port), timeout=timeout_s, context=context)
        else:
            server = smtplib.SMTP(host, int(port), timeout=timeout_s)
        try:
            if channel["tls"] == "starttls":
                server.starttls(context=context)
            if login is not None:
                server.login(*login)
            refused = server.send_message(letter(channel, message))
            with contextlib.suppress(OSError):  # it is taken, however the server says good-bye
                server.quit()
        finally:
            server.close()
    except smtplib.SMTPNotSupportedError as err:
        hint = 'tls = "none" goes without' if channel["tls"] == "starttls" else ""
        raise OSError(f"the mail server cannot do that: {err}" + (f"; {hint}" if hint else "")) from err
    except smtplib.SMTPResponseException as err:
        raise OSError(f"the mail server refused: {err.smtp_code} {_words(err.smtp_error)}") from err
    except smtplib.SMTPRecipientsRefused as err:
        refused = err.recipients
    except ssl.SSLCertVerificationError as err:
        raise OSError(f"the certificate of {host} is not trusted: {err.verify_message}") from err
    if refused:
        address, (code, why) = next(iter(refused.items()))
        result: Result = {"ok": False, "said": f"the mail server refused {address}: {code} {_words(why)}", "retry_after_s": 0.0}
        return result if len(refused) == len(channel["address"]) else {**result, "left": list(refused)}
    return {"ok": True, "said": f"taken by {host} for {', '.join(channel['address'])}", "retry_after_s": 0.0}


def letter(channel: NotifySpec, message: Message) -> EmailMessage:
    """Return the mail."""
    mail = EmailMessage()
    mail["Subject"] = " ".join(message["title"].split())
    mail["From"] = channel["sender"]
    mail["To"] = ", ".join(channel["address"])
    mail["Date"] = formatdate(message["at"])
    mail["Message-ID"] = f"<{message['id']}@psv.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message["text"] + "\n")
    return mail


def _words(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
