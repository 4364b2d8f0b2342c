"""Images of one's own, and results for others: a folder as a data set, large images, the challenges' formats."""
