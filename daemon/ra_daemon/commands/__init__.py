"""One module a command; heavy imports only inside functions."""
