"""Speed-ups of our own. Each is tried once here (switch.py), and the library's own way stands in where it fails.

Newer libraries retire two of them, attention.one_token and output_layer.TokenLogps. unsloth 2026.10.9 allows
trl <= 1.15.0 and transformers <= 5.17.0, which keeps the pins at trl 1.14 and transformers 5.17.
"""
