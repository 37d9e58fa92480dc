"""One file for each runtime; chosen by name through entry points."""
