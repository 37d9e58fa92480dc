"""Stage 3: from members to one statement."""
