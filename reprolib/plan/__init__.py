"""The runs of the book: which there are, what trains them, and whether their figures still come out."""
