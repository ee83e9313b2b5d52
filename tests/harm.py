"""What crashes and full disks do to a file."""

HARM = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "nulls": lambda path: path.write_bytes(b"\0" * path.stat().st_size),
}
