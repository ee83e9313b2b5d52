"""What moves under a notebook: the rubric studio and the steering desk, with their parts."""
