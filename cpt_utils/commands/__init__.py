"""What `python -m cpt_utils` does: run the series, answer a prompt, look at the machine."""
