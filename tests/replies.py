"""What the small servers of the tests send: chat completions, as JSON."""

import json


def completion(text, model="m") -> dict:
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }


def send_json(handler, status: int, reply: dict) -> None:
    data = json.dumps(reply).encode()
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
