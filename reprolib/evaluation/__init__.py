"""Scores (Sec. 4): what a metric is, the two challenges' figures, and what a record keeps of a trained network."""
