"""The book as a site: execute chapters, choose their outputs, build the pages."""
