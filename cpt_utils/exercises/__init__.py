"""Checks of the exercises, by notebook; each answers in one line and names the likely slip."""
