"""Experiments, measurements, and the figures of their committed results."""
