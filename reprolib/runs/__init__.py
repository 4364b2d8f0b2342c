"""A recorded run: what was run, on what machine, with which outcome; its weights, checkpoint and lock."""
