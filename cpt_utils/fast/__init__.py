"""Speed-ups of our own. Each is tried once here (switch.py), and the library's own way stands in where it fails."""
