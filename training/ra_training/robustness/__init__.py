"""What must not move a score, and how far generated images are from real ones."""
