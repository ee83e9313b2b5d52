"""The way to an endpoint: a client whose replies are whole in time, and what became of a request."""

import os
import threading
import time
from collections.abc import Collection
from concurrent.futures import Future
from contextvars import ContextVar
from importlib import import_module

from cpt_utils import replies
from cpt_utils.runtime.errors import EndpointError
from cpt_utils.runtime.keys import is_key, one_line, remember_address

WHOLE_BY = "whole by"
"""The extension of a reply that says, by time.monotonic, when it has to be whole: one that is streamed is not yet."""
_ASKED: ContextVar[Collection[str]] = ContextVar("asked", default=())
"""The texts of the conversation that this thread asks about: behind a redirect the request no longer has them."""


def address(base_url: str) -> str:
    """The address without space around it; an EndpointError if it is none."""
    found = base_url.strip() if isinstance(base_url, str) else ""
    if not found.startswith(("http://", "https://")):
        told = "a key, which belongs into OPENAI_API_KEY" if is_key(found) else one_line(repr(base_url))[:80]
        where = "CPT_ENDPOINT" if found and found == os.environ.get("CPT_ENDPOINT", "").strip() else "base_url"
        raise EndpointError(f"{where} is {told}: write it like http://localhost:8000/v1.", fatal=True)
    remember_address(found)
    return found


def connected(base_url: str, key: str, retries: int, timeout: float):
    """The openai client; an EndpointError where the address or the proxies of the environment are of no use."""
    from openai import OpenAI

    try:
        http = _http_client(timeout)
        return OpenAI(base_url=base_url, api_key=key, max_retries=retries, timeout=timeout, http_client=http)
    except Exception as problem:  # of many types: a proxy's package that is missing, an address that is none
        told = one_line(f"{type(problem).__name__}: {problem}")[:200]
    raise EndpointError(
        f"No connection can be set up ({told}): check base_url, and the proxies and certificates that the environment "
        "names (ALL_PROXY, HTTPS_PROXY, SSL_CERT_FILE); a SOCKS proxy needs `pip install socksio`.",
        fatal=True,
    )


def _http_client(seconds: float):
    """An HTTP client whose replies are whole within so many seconds: the library counts from byte to byte.

    A reply that comes later is left to a thread that nobody waits for. Of one that is streamed these are the headers.
    """
    from openai import DefaultHttpxClient

    http = import_module(DefaultHttpxClient.__base__.__module__.split(".")[0])  # httpx, or what openai has moved to

    class Whole(DefaultHttpxClient):
        def send(self, request, **options):
            send, outcome, whole_by = super().send, Future(), time.monotonic() + seconds

            def work():
                try:
                    response = send(request, **options)
                    if response.status_code >= 400:
                        response.read()  # it says why
                    outcome.set_result(response)
                except Exception as error:
                    outcome.set_exception(error)

            threading.Thread(target=work, daemon=True).start()
            try:
                response = outcome.result(seconds)
            except TimeoutError:
                outcome.add_done_callback(lambda late: late.exception() or late.result().close())
                raise http.ReadTimeout("the reply is not whole", request=request) from None
            if response.status_code >= 400 and not replies.may_pass(_refusal(response)):
                response.headers["x-should-retry"] = "false"  # the openai client heeds it
            response.extensions[WHOLE_BY] = whole_by
            return response

    return Whole()


def _refusal(response, sent=()) -> EndpointError:
    passes = "retry-after" in response.headers
    return replies.refusal(response.status_code, response.text, sent, passes, _ASKED.get())


def body_of(
    client, model: str, turns: list[dict], options: dict, sent: Collection[str], asked: Collection[str]
) -> tuple[str, EndpointError | None]:
    """The body of the reply, or the failure of all attempts that the openai client makes.

    sent, asked: as `replies.refusal` takes them.
    """
    reply, failure = reply_to(client, model, turns, options, sent, asked)
    return ("" if failure else reply.text), failure


def reply_to(
    client, model: str, turns: list[dict], options: dict, sent: Collection[str], asked: Collection[str]
) -> tuple[object | None, EndpointError | None]:
    """The HTTP reply itself, or the failure, as `body_of` takes and gives them."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    _ASKED.set(asked)
    try:
        reply = client.chat.completions.with_raw_response.create(model=model, messages=turns, **options)
        return reply.http_response, None
    except APIStatusError as error:
        return None, _refusal(error.response, sent)
    except APITimeoutError:
        return None, too_late(client.timeout)
    except APIConnectionError:
        return None, EndpointError("no connection, or one that broke off (is the server up, and base_url right?)")
    except UnicodeEncodeError:
        return None, EndpointError("a request with half a character in it (an emoji that was cut in two: delete it)")
    except Exception as error:
        told = one_line(f"{type(error).__name__}: {error}")[:160]
        return None, EndpointError(f"a request that cannot be sent ({told})")


def too_late(seconds: float) -> EndpointError:
    return EndpointError(f"no answer within {seconds:g} s (raise timeout, or use fewer workers)")
