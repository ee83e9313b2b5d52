"""What the small servers of the tests send: chat completions, as JSON."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, model="m", finish_reason="stop", **fields) -> dict:
    message = {"role": "assistant", "content": text} | fields
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
    }


def send_json(handler, status: int, reply: dict | str) -> None:
    data = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@contextlib.contextmanager
def serving(reply):
    """The address of a server on this machine that answers with `reply(body of the request) -> (status, reply)`.

    The reply is JSON, or text as it is.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            send_json(self, *reply(body))

        def log_message(self, *args):
            pass

    with served_by(Handler) as url:
        yield url


@contextlib.contextmanager
def served_by(handler):
    """The address of a server on this machine whose requests this class handles."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def delta(text=None, reason=None, index=0, **fields) -> dict:
    """One event of a streamed completion."""
    said = fields if text is None else {"content": text} | fields
    choice = {"index": index, "delta": said, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


@contextlib.contextmanager
def serving_pieces(reply):
    """As `serving`; `reply` may also give a list of what comes piece by piece, with status 200.

    A dict is an event, a text or bytes come as they are, a number is a pause in seconds, a threading.Event is waited
    for, and None breaks the connection off.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            given = reply(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            if isinstance(given, tuple):
                return send_json(self, *given)
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has gone
                for piece in given:
                    self.send(piece)
                self.wfile.write(b"0\r\n\r\n")

        def send(self, piece):
            if piece is None:
                self.close_connection = True
                raise BrokenPipeError
            if isinstance(piece, threading.Event):
                piece.wait(20)
            elif isinstance(piece, (int, float)):
                time.sleep(piece)
            else:
                piece = f"data: {json.dumps(piece)}\n\n" if isinstance(piece, dict) else piece
                data = piece.encode() if isinstance(piece, str) else piece
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

        def log_message(self, *args):
            pass

    with served_by(Handler) as url:
        yield url
