"""One command proves a GPU machine: `make gpu` (see README.md beside this file)."""
